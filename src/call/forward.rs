//! Makes the vendor's part of a call: sends it once, reads of its answer what is needed, and passes
//! that on.

use crate::call::body;
use crate::call::context::Call;
use crate::call::stream::{self, Body, Head, NoAnswer, Outgoing, Sent};
use crate::platform;
use js_sys::Uint8Array;
use sluice_core::call::{Attempt, HeldBack, OutgoingCredential, Permit, SendFailure, Timings};
use sluice_core::http::{
    Mask, Placed, Returning, Sending, Target, VendorTarget, changes, outgoing, outgoing_query, returned, value,
};
use sluice_core::keys::{Place, Taken};
use sluice_core::refusal::Refusal;
use sluice_core::upstream::Profile;
use sluice_core::upstream::body::{BodyFacts, BodySniffer, HEAD_BYTES};
use sluice_core::upstream::credential::also_placed;
use sluice_core::upstream::outcome::{Answered, accept_encoding, classify, vendor_counts};
use sluice_core::upstream::places::{Swap, Swapped, misplaced};
use std::rc::Rc;
use web_sys::Response;

/// A call that is to be forwarded.
pub struct Forward<'a> {
    /// The call.
    pub call: &'a Call,
    /// Its target.
    pub target: &'a Target<'a>,
    /// The vendor's part of that.
    pub vendor: &'a VendorTarget<'a>,
    /// The body.
    pub body: &'a Body,
    /// What of the head has a key in it.
    pub taken: &'a Taken,
    /// Where the real token goes in a key's place, beside where a credential always goes.
    pub swap: Option<&'a Swap>,
}

/// A vendor's answer that is not passed on yet.
pub struct VendorAnswer {
    sent: Sent,
    head: Head,
    /// The credential that was put in: whatever is made of the answer shows nothing of it.
    pub mask: Rc<Mask>,
}

/// The longest answer that is kept back while the call is repeated, bytes: errors are short.
const LONGEST_KEPT_BACK: u32 = 65_536;

impl Forward<'_> {
    /// Sends it, and reads what the answer means, if one comes.
    pub async fn send(&self, permit: &Permit) -> (Attempt, Option<VendorAnswer>) {
        match self.answer(permit).await {
            Ok((attempt, answer)) => (attempt, Some(answer)),
            Err(failure) => (Attempt::failed(failure, platform::now()), None),
        }
    }

    async fn answer(&self, permit: &Permit) -> Result<(Attempt, VendorAnswer), SendFailure> {
        let OutgoingCredential { placed, token, mask } = permit.outgoing_credential().map_err(SendFailure::NotSent)?;
        let token = token.as_deref();
        let mut sent = match self.put_out(permit, &placed, token).await.map_err(SendFailure::NotSent)? {
            Ok(sent) => sent,
            Err(why) => return Err(self.no_answer(permit, why).await),
        };
        if let (Some(swap), Some(token)) = (self.swap, token)
            && !sent.put_back(token, swap.key(), LONGEST_KEPT_BACK).await
        {
            sent.discard();
            return Err(SendFailure::Unusable("the vendor's answer about a token is too long, or broke off"));
        }
        match sent.head() {
            Some(head @ Head { status: 200..=599, .. }) => {
                let own = permit.passes_through().then(|| Mask::of_callers_own(&self.call.incoming.headers));
                Ok(judged(sent, head, permit, mask, own).await)
            }
            // A status that no answer can have; among them 1xx, behind which the answer proper is
            // lost.
            _ => {
                sent.discard();
                Err(SendFailure::Unusable("the vendor's answer cannot be passed on"))
            }
        }
    }

    /// Returns why no headers came.
    async fn no_answer(&self, permit: &Permit, why: NoAnswer) -> SendFailure {
        match why {
            NoAnswer::Timeout => SendFailure::TimedOut(permit.route.timeout_ms),
            NoAnswer::Unsent => SendFailure::NotSendable,
            NoAnswer::Unreachable => SendFailure::Unreachable,
            NoAnswer::BrokenOff => SendFailure::BodyBrokeOff,
            NoAnswer::TooLong => {
                let (call, path) = (self.call, self.vendor.route_path());
                let limit = permit.route.profile.body_limit(&call.incoming.method, path);
                if limit.is_some() {
                    // A caller that still sends is to come to read why.
                    body::drain(&call.request, &call.incoming).await;
                }
                SendFailure::BodyTooLong(limit)
            }
        }
    }

    async fn put_out(
        &self,
        permit: &Permit,
        placed: &Placed,
        token: Option<&str>,
    ) -> Result<Result<Sent, NoAnswer>, Refusal> {
        let (call, route) = (self.call, &permit.route);
        // What has the token in it is read here before it is passed on.
        let encodings = match self.swap {
            Some(_) => Some("identity".to_owned()),
            None => accept_encoding(&route.profile, call.incoming.accept_encoding()),
        };
        let methods_and_path = (call.incoming.method.as_str(), self.vendor.route_path());
        let also = token.map(|token| also_placed(token, &route.profile, methods_and_path, self.taken));
        let sending = Sending {
            passthrough: permit.passes_through(),
            placed,
            also: also.as_deref().unwrap_or_default(),
            taken: self.taken,
            prefer: &call.prefer,
            accept_encoding: encodings.as_deref(),
        };
        let headers = outgoing(&call.incoming.headers, &sending);
        let headers = changes(call.incoming.at_the_platform(), &headers);
        let query = outgoing_query(self.vendor.query, placed, self.taken);
        let (mut vendor, mut body, swapped) = (*self.vendor, self.body.clone(), self.swapped(token)?);
        if let Some(Swapped { path, body: other }) = &swapped {
            vendor = VendorTarget { path, ..vendor };
            if let Some(bytes) = other {
                body = Body::Bytes(Uint8Array::from(bytes.as_slice()));
            }
        }
        let url = vendor.url(&route.base_url, query.as_deref());
        let outgoing = Outgoing {
            method: &call.incoming.method,
            url: &url,
            changes: &headers,
            body: &body,
            timeout_ms: route.timeout_ms,
        };
        Ok(stream::send(&call.request, &outgoing).await)
    }

    /// Returns the request with the token in the key's place, where that goes anywhere but where a
    /// credential always goes.
    fn swapped(&self, token: Option<&str>) -> Result<Option<Swapped>, Refusal> {
        let Some(swap) = self.swap else { return Ok(None) };
        let token = token.ok_or_else(|| misplaced(Place::Path))?;
        Ok(Some(swap.put(token, self.vendor.path, &self.bytes())))
    }

    fn bytes(&self) -> Vec<u8> {
        if let Body::Bytes(bytes) = self.body { bytes.to_vec() } else { Vec::new() }
    }

    /// Begins to pass an answer on to the caller; none if the platform does not carry it.
    pub fn pass_on(
        &self,
        permit: &Permit,
        answer: VendorAnswer,
        timings: Timings,
        total_ms: u64,
    ) -> Option<(Response, Sent)> {
        let (call, route) = (self.call, &permit.route);
        let VendorAnswer { mut sent, head: Head { status, reason, headers, .. }, mask } = answer;
        let returning = Returning {
            status,
            passthrough: permit.passes_through(),
            base_url: &route.base_url,
            connection_url: &self.target.connection_url().unwrap_or_default(),
            path: self.vendor.path,
            mask: &mask,
            call: &call.id,
            attempts: timings.attempts,
            queue_ms: timings.queue_ms,
            vendor_ms: timings.vendor_ms,
            total_ms,
            rate_limit_policy: &route.rate_limit_policy,
            rate_limit: &permit.rate_limit,
            would: permit.would.as_deref(),
            origin: call.incoming.origin(),
            page: call.incoming.is_page(),
        };
        let reason = mask.text(&reason).unwrap_or(reason);
        let changes = changes(&headers, &returned(&headers, &returning));
        match sent.deliver(&call.request, (status, &reason), &changes, permit.counts_content_bytes()) {
            Ok(response) => Some((response, sent)),
            Err(_) => {
                sent.discard();
                None
            }
        }
    }
}

impl VendorAnswer {
    /// Reads the answer to its end, so that its call can be settled while it is kept back.
    pub async fn hold_back(&self) -> HeldBack {
        let mut bytes = 0_u32;
        while let Some(chunk) = self.sent.peek().await {
            bytes = bytes.saturating_add(chunk.length());
            if bytes > LONGEST_KEPT_BACK {
                return HeldBack::No;
            }
        }
        self.sent.peeked_bytes().map_or(HeldBack::No, HeldBack::Whole)
    }

    /// Gives the answer up: nothing of it is wanted.
    pub fn discard(self) {
        self.sent.discard();
    }
}

/// Reads what the answer means. `own` masks what the caller itself sends, which belongs in no log
/// and no statistics either.
async fn judged(sent: Sent, head: Head, permit: &Permit, mask: Mask, own: Option<Mask>) -> (Attempt, VendorAnswer) {
    let profile = &permit.route.profile;
    let said = read(&sent, profile, &head).await;
    let Head { at, status, headers, .. } = &head;
    let (at, status) = (*at, *status);
    let answered = Answered { status, headers, said: said.as_ref(), now: at };
    let mut verdict = classify(profile, &answered);
    // Logs and statistics keep it.
    if let Some(masked) = verdict.error_code.as_deref().and_then(|code| own.as_ref().unwrap_or(&mask).cut_text(code)) {
        verdict.error_code = Some(masked);
    }
    let counts = vendor_counts(profile, &answered);
    (Attempt::answered(status, at, verdict, counts), VendorAnswer { sent, head, mask: Rc::new(mask) })
}

/// Returns what the body says, for vendors that say something there: read from its head, before it
/// is passed on.
async fn read(sent: &Sent, profile: &Profile, Head { status, headers, .. }: &Head) -> Option<BodyFacts> {
    let mut peek = BodySniffer::new(&profile.reading, *status, value(headers, "content-encoding"))?;
    while let Some(chunk) = sent.peek().await {
        let most = u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX);
        if peek.feed(&chunk.subarray(0, most).to_vec()) {
            break;
        }
    }
    Some(peek.said())
}
