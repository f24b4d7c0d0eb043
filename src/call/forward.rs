//! The vendor's part of a call: sent once, its answer read as far as need be, passed on.

use crate::call::body;
use crate::call::context::{Call, Permit};
use crate::call::report::End;
use crate::call::stream::{self, Body, BodyEnd, Head, How, NoAnswer, Outgoing, Sent};
use crate::platform;
use crate::response::{self, Reply};
use js_sys::Uint8Array;
use sluice_core::http::{
    Mask, Placed, Returning, Sending, Target, VendorTarget, changes, outgoing, outgoing_query, returned, value,
};
use sluice_core::keys::{Place, Taken};
use sluice_core::policy::Credential;
use sluice_core::protocol::No;
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::upstream::body::{BodyFacts, BodySniffer, HEAD_BYTES};
use sluice_core::upstream::credential::also_placed;
use sluice_core::upstream::outcome::{
    Answered, Classification, Unanswered, accept_encoding, classify, unanswered, vendor_counts,
};
use sluice_core::upstream::places::{Swap, Swapped, misplaced};
use sluice_core::upstream::{Profile, credential};
use sluice_limiter::Outcome;
use std::rc::Rc;

/// A call whose answer, or whose failure, is known.
pub struct ForwardedResponse {
    /// For the caller.
    pub reply: Reply,
    /// What remains until it can be settled.
    pub ending: BodyCompletion,
    /// The vendor's status, or 0.
    pub status: u16,
    /// Why Sluice answers in the vendor's place, if it does.
    pub refused: Option<Reason>,
    /// The permit is settled already.
    pub settled: bool,
}

/// What a call has taken so far, over all its attempts.
#[derive(Clone, Copy, Default)]
pub struct CallTimings {
    /// Vendor calls made.
    pub attempts: u32,
    /// Waited for permits, ms.
    pub queue_ms: u64,
    /// From permit to headers, ms.
    pub vendor_ms: u64,
}

/// What remains of a call.
pub enum BodyCompletion {
    /// Nothing.
    Ended(End),
    /// The body, and then this, if all of it comes.
    Streaming(Sent, End),
}

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

/// What came of sending a call once.
pub struct Attempt {
    /// The vendor's answer, or what is said in its place.
    came: Result<(Sent, Head), Refusal>,
    /// How it ends, if all of the answer comes.
    end: End,
    /// What it means; none if nothing was sent.
    pub verdict: Option<Classification>,
    /// When the headers came or were given up, Unix ms.
    pub at: i64,
    /// The credential that was put in: whatever is made of the answer shows nothing of it.
    pub mask: Rc<Mask>,
}

/// Longest answer that is kept back while the call is repeated, bytes: errors are said in a few
/// words.
const LONGEST_KEPT_BACK: u32 = 65_536;

impl Forward<'_> {
    /// Sends it, and reads what the answer means.
    pub async fn send(&self, permit: &Permit) -> Attempt {
        let route = &permit.route;
        let placed = match (&route.credential, &permit.bearer) {
            (Some(credential), _) => credential::placed(credential, &route.profile),
            (None, Some(bearer)) => Some(credential::placed_token(&bearer.token, &route.profile)),
            (None, None) => None,
        };
        let Some(placed) = placed else {
            return unsent(Refusal::new(Reason::Internal, "the permit came without a credential: try again"));
        };
        let token = match (&route.credential, &permit.bearer) {
            (Some(Credential::Bearer { token }), _) => Some(token.as_str()),
            (None, Some(bearer)) => Some(bearer.token.as_str()),
            _ => None,
        };
        let mask = credential::mask(route.credential.as_ref(), token, &placed);
        let mut sent = match self.put_out(permit, &placed, token).await {
            Ok(Ok(sent)) => sent,
            Ok(Err(why @ (NoAnswer::TooLong | NoAnswer::BrokenOff))) => return self.cut_off(permit, why).await,
            Ok(Err(why)) => return no_answer(permit, why),
            Err(refusal) => return unsent(refusal),
        };
        if let (Some(swap), Some(token)) = (self.swap, token)
            && !sent.put_back(token, swap.key(), LONGEST_KEPT_BACK).await
        {
            sent.discard();
            return lost(Unanswered::Unreachable, "the vendor's answer about a token is too long, or broke off");
        }
        match sent.head() {
            Some(head @ Head { status: 200..=599, .. }) => {
                let own = passes_through(permit).then(|| Mask::of_callers_own(&self.call.incoming.headers));
                judged(sent, head, permit, mask, own).await
            }
            // A status that no answer can have; among them 1xx, behind which the answer proper is
            // lost.
            _ => {
                sent.discard();
                lost(Unanswered::Unreachable, "the vendor's answer cannot be passed on")
            }
        }
    }

    /// The body of a call under way was longer than the vendor takes, or broke off, and the call
    /// was given up with it. The vendor has counted the call, or will not, and has nothing to do
    /// with it any more; which of these, nobody says.
    async fn cut_off(&self, permit: &Permit, why: NoAnswer) -> Attempt {
        let (call, path) = (self.call, self.vendor.route_path());
        let refusal =
            match permit.route.profile.body_limit(&call.incoming.method, path).filter(|_| why == NoAnswer::TooLong) {
                Some(limit) => {
                    // A caller that still sends is to come to read why.
                    body::drain(&call.request, &call.incoming).await;
                    body::too_long(limit)
                }
                None => Refusal::new(Reason::Request, "the request's body broke off before its end"),
            };
        let unsent = unsent(refusal);
        Attempt { end: End { outcome: Outcome::Unknown, ..unsent.end }, ..unsent }
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
            passthrough: passes_through(permit),
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

    /// The request with the token in the key's place, where that goes anywhere but where a
    /// credential always goes.
    fn swapped(&self, token: Option<&str>) -> Result<Option<Swapped>, Refusal> {
        let Some(swap) = self.swap else { return Ok(None) };
        let token = token.ok_or_else(|| misplaced(Place::Path))?;
        Ok(Some(swap.put(token, self.vendor.path, &self.bytes())))
    }

    fn bytes(&self) -> Vec<u8> {
        if let Body::Bytes(bytes) = self.body { bytes.to_vec() } else { Vec::new() }
    }

    /// Begins to pass on to the caller what came.
    pub fn pass_on(&self, permit: &Permit, attempt: Attempt, timings: CallTimings, settled: bool) -> ForwardedResponse {
        let (call, route) = (self.call, &permit.route);
        let (mut sent, head) = match attempt.came {
            Ok(came) => came,
            Err(refusal) => return failed(call, refusal, timings.attempts, attempt.end, settled),
        };
        let Head { at, status, reason, headers } = head;
        let returning = Returning {
            status,
            passthrough: passes_through(permit),
            base_url: &route.base_url,
            connection_url: &self.target.connection_url().unwrap_or_default(),
            path: self.vendor.path,
            mask: &attempt.mask,
            call: &call.id,
            attempts: timings.attempts,
            queue_ms: timings.queue_ms,
            vendor_ms: timings.vendor_ms,
            // An answer that was kept back goes out later than its headers came.
            total_ms: since(if settled { platform::now() } else { at }, call.incoming.at),
            rate_limit_policy: &route.rate_limit_policy,
            rate_limit: &permit.rate_limit,
            would: permit.would.as_deref(),
            origin: call.incoming.origin(),
            page: call.incoming.is_page(),
        };
        let reason = attempt.mask.text(&reason).unwrap_or(reason);
        let changes = changes(&headers, &returned(&headers, &returning));
        // A limit on bytes says so in its field (`policy_item`), and whether it is about this call
        // in the other; nothing else has to know how long an answer was.
        let about_this = |item: &str| permit.rate_limit.contains(item.split(';').next().unwrap_or_default().trim());
        let mut limits = route.rate_limit_policy.split(',');
        let counted = limits.any(|item| item.contains("content-bytes") && about_this(item));
        match sent.deliver(&call.request, (status, &reason), &changes, counted) {
            Ok(response) => {
                let ending = BodyCompletion::Streaming(sent, attempt.end);
                ForwardedResponse { reply: Reply::Done(response), ending, status, refused: None, settled }
            }
            Err(_) => {
                sent.discard();
                // The vendor has answered, and is done with it: that is what is settled, whatever
                // the caller can be told.
                let refusal =
                    Refusal::new(Reason::VendorUnreachable, "the vendor has answered with what cannot be passed on");
                failed(call, refusal, timings.attempts, attempt.end, settled)
            }
        }
    }
}

impl Attempt {
    /// Reads the answer to its end, so that its call can be settled while it is kept back; how it
    /// is settled then. None if it is long or breaks off: then it can only be passed on.
    pub async fn keep(&mut self) -> Option<End> {
        if let Ok((sent, _)) = &self.came {
            let mut bytes = 0_u32;
            while let Some(chunk) = sent.peek().await {
                bytes = bytes.saturating_add(chunk.length());
                if bytes > LONGEST_KEPT_BACK {
                    return None;
                }
            }
            self.end.response_bytes = sent.peeked_bytes()?;
        }
        Some(self.end.clone())
    }

    /// It is not wanted.
    pub fn drop(self) {
        if let Ok((sent, _)) = self.came {
            sent.discard();
        }
    }
}

/// From one moment to another, ms.
pub fn since(now: i64, then: i64) -> u64 {
    u64::try_from(now.saturating_sub(then)).unwrap_or_default()
}

/// What the answer means.
/// `own`: what the caller sends of its own, of which no log and no statistics are to tell either.
async fn judged(sent: Sent, head: Head, permit: &Permit, mask: Mask, own: Option<Mask>) -> Attempt {
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
    let (outcome, error_code) = (verdict.outcome, verdict.error_code.clone());
    let end = End { outcome, headers_at: Some(at), response_bytes: 0, more_bytes: false, status, counts, error_code };
    Attempt { came: Ok((sent, head)), end, verdict: Some(verdict), at, mask: Rc::new(mask) }
}

fn passes_through(permit: &Permit) -> bool {
    matches!(permit.route.credential, Some(Credential::Passthrough))
}

/// No headers came.
fn no_answer(permit: &Permit, why: NoAnswer) -> Attempt {
    match why {
        NoAnswer::Timeout => {
            let detail = format!("the vendor did not answer within {} s", permit.route.timeout_ms / 1_000);
            lost(Unanswered::Timeout, &detail)
        }
        NoAnswer::Unsent => unsent(Refusal::new(Reason::Request, "this request cannot be sent on")),
        _ => {
            let detail = "the vendor cannot be reached, or closed the connection: check the connection's base_url";
            lost(Unanswered::Unreachable, detail)
        }
    }
}

fn unsent(refusal: Refusal) -> Attempt {
    let end = End::unsent();
    Attempt { came: Err(refusal), end, verdict: None, at: platform::now(), mask: Rc::default() }
}

/// The vendor may be at work on it.
fn lost(why: Unanswered, detail: &str) -> Attempt {
    let reason = match why {
        Unanswered::Timeout => Reason::VendorTimeout,
        Unanswered::Unreachable => Reason::VendorUnreachable,
    };
    let verdict = unanswered(why);
    let unsent = unsent(Refusal::new(reason, detail));
    let end = End { outcome: verdict.outcome, error_code: verdict.error_code.clone(), ..unsent.end };
    Attempt { end, verdict: Some(verdict), ..unsent }
}

/// A call that ends with an answer of Sluice's own.
fn failed(call: &Call, refusal: Refusal, attempts: u32, end: End, settled: bool) -> ForwardedResponse {
    let refused = Some(refusal.reason);
    let no = No { refusal, vendor: None, rate_limit: None };
    let answer = response::refused_call(&no, &call.id, call.incoming.header("accept"));
    let answer = answer.with("Sluice-Attempts", attempts.to_string());
    ForwardedResponse { reply: Reply::Own(answer), ending: BodyCompletion::Ended(end), status: 0, refused, settled }
}

/// What the body says, for vendors that say something there: read from its head, before it is
/// passed on.
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

impl BodyCompletion {
    /// How the call ended, once it has.
    pub async fn end(self) -> End {
        let (sent, end) = match self {
            Self::Ended(end) => return end,
            Self::Streaming(sent, end) => (sent, end),
        };
        let BodyEnd { how, bytes, more } = sent.ended().await;
        let end = End { response_bytes: bytes, more_bytes: more, ..end };
        let broken = |why| {
            let verdict = unanswered(why);
            (verdict.outcome, verdict.error_code)
        };
        let (outcome, error_code) = match how {
            How::Whole => return end,
            How::Timeout => broken(Unanswered::Timeout),
            // Given up by the caller, not by the vendor, which may still be at work: no error of
            // its own.
            How::Gone => (Outcome::Unknown, end.error_code),
            How::Cut => broken(Unanswered::Unreachable),
        };
        End { outcome, error_code, ..end }
    }
}
