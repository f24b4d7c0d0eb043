//! The vendor's part of a call: sent once, its answer read as far as need be, passed on.

use super::answers::{self, Reply};
use super::call::Call;
use super::permit::Permit;
use super::settle::End;
use crate::http::{
    Headers, Placed, Returning, Sending, Target, VendorTarget, outgoing, outgoing_query, returned, value,
};
use crate::json::{Items, ToJson};
use crate::platform::{self, Sent};
use crate::policy::Credential;
use crate::refusal::{Reason, Refusal};
use crate::tenant::protocol::No;
use crate::throttle::Outcome;
use crate::vendor::body::{HEAD_BYTES, Peek, Said};
use crate::vendor::outcome::{Answered, Unanswered, accept_encoding, classify, unanswered, vendor_counts};
use crate::vendor::{Profile, credential};
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};

/// A call whose answer, or whose failure, is known.
pub struct UnderWay {
    /// For the caller.
    pub reply: Reply,
    /// What remains until it can be settled.
    pub ending: Ending,
    /// The vendor's status, or 0.
    pub status: u16,
    /// Why Sluice answers in the vendor's place, if it does.
    pub refused: Option<Reason>,
    /// How long the vendor took to its headers, ms.
    pub vendor_ms: u64,
    /// The permit is settled already.
    pub settled: bool,
}

/// What remains of a call.
pub enum Ending {
    /// Nothing.
    Ended(End),
    /// The body, and then this, if all of it comes.
    Streaming(Sent, End),
}

/// When the vendor's headers came, Unix ms; status, reason, headers. With status 0: why none came, in the reason.
struct Head(i64, u16, String, Headers);

impl Head {
    fn read(text: &str) -> Option<Self> {
        let mut items = Items::of(text)?;
        Some(Self(items.number()?, u16::try_from(items.number()?).ok()?, items.text()?, items.pairs()?))
    }
}

/// How a body ended; its bytes.
fn ended(text: &str) -> Option<(String, u64)> {
    let mut items = Items::of(text)?;
    // When, Unix ms.
    items.number()?;
    Some((items.text()?, u64::try_from(items.number()?).ok()?))
}

/// A call that is to be forwarded.
pub struct Forward<'a> {
    /// The call.
    pub call: &'a Call,
    /// Its target.
    pub target: &'a Target<'a>,
    /// The vendor's part of that.
    pub vendor: &'a VendorTarget<'a>,
    /// The body: null, true for the caller's, which can be sent once, or its bytes.
    pub body: &'a JsValue,
}

/// What came of sending it.
pub enum Attempt {
    /// What the caller gets.
    Final(UnderWay),
    /// The vendor refuses the access token, and the call could be repeated with another.
    TokenRefused(TokenRefused),
}

/// An answer that is kept back, read to its end.
pub struct TokenRefused {
    sent: Sent,
    head: Head,
    end: End,
}

/// Longest answer that is kept back, bytes: a token is refused in a few words.
const LONGEST_KEPT_BACK: u32 = 65_536;

impl Forward<'_> {
    /// Sends the call and begins to pass on the answer, unless it might be repeated.
    pub async fn first(&self, permit: &Permit) -> Attempt {
        let (sent, head) = match self.send(permit).await {
            Ok(answered) => answered,
            Err(under_way) => return Attempt::Final(under_way),
        };
        let (end, expired) = judge(&sent, &head, permit).await;
        let may_repeat = expired && permit.bearer.is_some() && *self.body != JsValue::TRUE;
        if may_repeat && let Some(response_bytes) = read_to_end(&sent).await {
            return Attempt::TokenRefused(TokenRefused { sent, head, end: End { response_bytes, ..end } });
        }
        Attempt::Final(self.pass_on(permit, sent, head, end, 1))
    }

    /// Sends the call once more and begins to pass on the answer, whatever it is.
    pub async fn again(&self, permit: &Permit) -> UnderWay {
        match self.send(permit).await {
            Ok((sent, head)) => {
                let (end, _) = judge(&sent, &head, permit).await;
                self.pass_on(permit, sent, head, end, 2)
            }
            Err(under_way) => under_way,
        }
    }

    /// Passes on an answer that was kept back, whose call is settled.
    pub fn deliver(&self, permit: &Permit, refused: TokenRefused) -> UnderWay {
        let TokenRefused { sent, head, end } = refused;
        UnderWay { settled: true, ..self.pass_on(permit, sent, head, end, 1) }
    }

    /// Sends it; the vendor's headers, or what the caller gets without them.
    async fn send(&self, permit: &Permit) -> Result<(Sent, Head), UnderWay> {
        let call = self.call;
        let route = &permit.route;
        let placed = match (&route.credential, &permit.bearer) {
            (Some(credential), _) => credential::placed(credential, &route.profile),
            (None, Some(bearer)) => Some(credential::placed_token(&bearer.token, &route.profile)),
            (None, None) => None,
        };
        let Some(placed) = placed else {
            let refusal = Refusal::new(Reason::Internal, "the permit came without a credential: try again");
            return Err(failed(call, permit, refusal, unsent()));
        };
        let sent = match self.put_out(permit, &placed).await {
            Ok(sent) => sent,
            Err(refusal) => return Err(failed(call, permit, refusal, unsent())),
        };
        match Head::read(&sent.head()) {
            Some(Head(_, 0, why, _)) => Err(no_answer(call, permit, &why)),
            Some(head @ Head(_, 200..=599, ..)) => Ok((sent, head)),
            // A status that no answer can have; among them 1xx, behind which the answer proper is lost.
            _ => {
                sent.drop();
                let refusal = Refusal::new(Reason::VendorUnreachable, "the vendor's answer cannot be passed on");
                Err(failed(call, permit, refusal, lost(Unanswered::Unreachable)))
            }
        }
    }

    async fn put_out(&self, permit: &Permit, placed: &Placed) -> Result<Sent, Refusal> {
        let (call, route) = (self.call, &permit.route);
        let encodings = accept_encoding(&route.profile, call.incoming.accept_encoding());
        let sending = Sending {
            passthrough: passes_through(permit),
            placed,
            prefer: &call.prefer,
            accept_encoding: encodings.as_deref(),
        };
        let headers = outgoing(&call.incoming.headers, &sending);
        let headers = headers.to_json().to_string();
        let url = self.vendor.url(&route.base_url, outgoing_query(self.vendor.query, placed).as_deref());
        let method = &call.incoming.method;
        let sent = platform::send(&call.request, &url, method, &headers, self.body, route.timeout_ms as f64).await;
        Ok(sent.unchecked_into())
    }

    /// Begins to pass on the answer to the caller.
    fn pass_on(&self, permit: &Permit, sent: Sent, head: Head, end: End, attempts: u32) -> UnderWay {
        let (call, route) = (self.call, &permit.route);
        let Head(at, status, reason, headers) = head;
        let since = |from: i64| u64::try_from(at - from).unwrap_or_default();
        let vendor_ms = since(permit.at);
        let returning = Returning {
            status,
            passthrough: passes_through(permit),
            base_url: &route.base_url,
            connection_url: &self.target.connection_url().unwrap_or_default(),
            call: &call.id,
            attempts,
            queue_ms: u64::try_from(permit.at - call.incoming.at).unwrap_or_default(),
            vendor_ms,
            total_ms: since(call.incoming.at),
            rate_limit_policy: &route.rate_limit_policy,
            rate_limit: &permit.rate_limit,
            would: permit.would.as_deref(),
            origin: call.incoming.origin(),
        };
        let returned = returned(&headers, &returning).to_json().to_string();
        // A limit on bytes says so in its field (`policy_item`), and whether it is about this call in the other; nothing else has
        // to know how long an answer was.
        let about_this = |item: &str| permit.rate_limit.contains(item.split(';').next().unwrap_or_default().trim());
        let mut limits = route.rate_limit_policy.split(',');
        let counted = limits.any(|item| item.contains("content-bytes") && about_this(item));
        match sent.deliver(&call.request, status, &reason, &returned, counted) {
            Ok(response) => {
                let ending = Ending::Streaming(sent, end);
                UnderWay { reply: Reply::Done(response), ending, status, refused: None, vendor_ms, settled: false }
            }
            Err(_) => {
                sent.drop();
                let refusal = Refusal::new(Reason::VendorUnreachable, "the vendor's answer cannot be passed on");
                failed(call, permit, refusal, lost(Unanswered::Unreachable))
            }
        }
    }
}

impl TokenRefused {
    /// What it is settled with.
    pub fn end(&self) -> End {
        self.end.clone()
    }

    /// It is not wanted.
    pub fn drop(self) {
        self.sent.drop();
    }
}

/// What the answer means: how the call ends if all of it comes, and whether the vendor refuses its credential.
async fn judge(sent: &Sent, head: &Head, permit: &Permit) -> (End, bool) {
    let profile = &permit.route.profile;
    let said = read(sent, profile, head).await;
    let Head(at, status, _, headers) = head;
    let answered = Answered { status: *status, headers, said: said.as_ref(), now: *at };
    let verdict = classify(profile, &answered);
    let counts = vendor_counts(profile, &answered);
    let (outcome, error_code) = (verdict.outcome, verdict.error_code);
    let end = End { outcome, headers_at: Some(*at), response_bytes: 0, status: *status, counts, error_code };
    (end, verdict.expired)
}

/// Reads the rest of an answer, all of which can still be passed on; its bytes, or none if it is long.
async fn read_to_end(sent: &Sent) -> Option<u64> {
    let mut bytes = 0_u32;
    while let Ok(chunk) = sent.peek().await.dyn_into::<Uint8Array>() {
        bytes = bytes.saturating_add(chunk.length());
        if bytes > LONGEST_KEPT_BACK {
            return None;
        }
    }
    Some(sent.peeked_bytes() as u64)
}

fn passes_through(permit: &Permit) -> bool {
    matches!(permit.route.credential, Some(Credential::Passthrough))
}

/// No headers came.
fn no_answer(call: &Call, permit: &Permit, why: &str) -> UnderWay {
    let (reason, detail, end) = match why {
        "timeout" => {
            let detail = format!("the vendor did not answer within {} s", permit.route.timeout_ms / 1_000);
            (Reason::VendorTimeout, detail, lost(Unanswered::Timeout))
        }
        "unsent" => (Reason::Request, "this request cannot be sent on".to_owned(), unsent()),
        _ => {
            let detail = "the vendor cannot be reached, or closed the connection: check the connection's base_url";
            (Reason::VendorUnreachable, detail.to_owned(), lost(Unanswered::Unreachable))
        }
    };
    failed(call, permit, Refusal::new(reason, detail), end)
}

const fn unsent() -> End {
    End {
        outcome: Outcome::Unused,
        headers_at: None,
        response_bytes: 0,
        status: 0,
        counts: Vec::new(),
        error_code: None,
    }
}

/// The vendor may be at work on it.
fn lost(why: Unanswered) -> End {
    let verdict = unanswered(why);
    End { outcome: verdict.outcome, error_code: verdict.error_code, ..unsent() }
}

/// A call that ends with an answer of Sluice's own.
fn failed(call: &Call, permit: &Permit, refusal: Refusal, end: End) -> UnderWay {
    let vendor_ms = u64::try_from(platform::now() - permit.at).unwrap_or_default();
    let refused = Some(refusal.reason);
    let no = No { refusal, vendor: None, rate_limit: None };
    let answer = answers::refused_call(&no, &call.id, call.incoming.header("accept"));
    UnderWay { reply: Reply::Own(answer), ending: Ending::Ended(end), status: 0, refused, vendor_ms, settled: false }
}

/// What the body says, for vendors that say something there: read from its head, before it is passed on.
async fn read(sent: &Sent, profile: &Profile, Head(_, status, _, headers): &Head) -> Option<Said> {
    let (kind, coding) = (value(headers, "content-type"), value(headers, "content-encoding"));
    let mut peek = Peek::new(&profile.reading, *status, kind, coding)?;
    while let Ok(chunk) = sent.peek().await.dyn_into::<Uint8Array>() {
        let most = u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX);
        if peek.feed(&chunk.subarray(0, most).to_vec()) {
            break;
        }
    }
    Some(peek.said())
}

impl Ending {
    /// How the call ended, once it has.
    pub async fn end(self) -> End {
        let (sent, end) = match self {
            Self::Ended(end) => return end,
            Self::Streaming(sent, end) => (sent, end),
        };
        let said = sent.ended().await.as_string();
        let (how, response_bytes) = said.as_deref().and_then(ended).unwrap_or_default();
        let end = End { response_bytes, ..end };
        let broken = |why| {
            let verdict = unanswered(why);
            (verdict.outcome, verdict.error_code)
        };
        let (outcome, error_code) = match how.as_str() {
            "whole" => return end,
            "timeout" => broken(Unanswered::Timeout),
            // Given up by the caller, not by the vendor, which may still be at work: no error of its own.
            "gone" => (Outcome::Unknown, end.error_code),
            _ => broken(Unanswered::Unreachable),
        };
        End { outcome, error_code, ..end }
    }
}
