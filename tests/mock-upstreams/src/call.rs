//! The life of one call at a vendor.

use crate::common;
use crate::control;
use crate::fault::Fault;
use crate::gate::{Refusal, Say};
use crate::journal::{Call, Verdict};
use crate::server::{Inner, State};
use crate::spec::CountAt;
use crate::upstreams::{Request, Standings};
use crate::wire::{Answer, Body, Connection, Cut, Framing, Head, Payload, Sent, Stream};
use base64::Engine;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

/// Answers every request of a connection, one after the other.
pub(crate) async fn serve<S>(state: &State, connection: &mut Connection<S>) -> Sent
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let Ok(Some(head)) = connection.head().await else { return Sent::Last };
        let sent = if head.target.starts_with(control::PREFIX) {
            control::serve(state, connection, &head).await
        } else {
            one(state, connection, &head).await
        };
        if sent != Sent::Whole || head.last() {
            return if sent == Sent::Whole { Sent::Last } else { sent };
        }
    }
}

/// A call in service. It keeps its journal entry open and its slot taken until it is dropped.
struct Visit<'a> {
    state: &'a State,
    number: u64,
    /// The decision of the limits, once they have been checked.
    say: Option<Result<Say, Refusal>>,
    fault: Option<Fault>,
    arrived: Instant,
    count_after: Duration,
    latency: Duration,
    kind: Kind,
    works_on: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It is counted by the limits.
    Counted,
    /// It goes to the token endpoint.
    Token,
    /// Its credential is not valid.
    Unauthorized,
}

async fn one<S>(state: &State, connection: &mut Connection<S>, head: &Head) -> Sent
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut visit = Visit::begin(state, head);
    if head.expects_continue() && connection.write(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err() {
        return Sent::Last;
    }
    let Ok(payload) = connection.payload(head).await else { return Sent::Last };
    if !visit.wait(connection, visit.count_after).await {
        return Sent::Last;
    }
    visit.count(&head.target);
    let delay = if let Some(Ok(Say::Delay(us))) = visit.say { Duration::from_micros(us) } else { Duration::ZERO };
    if !visit.wait(connection, visit.latency + delay).await {
        return Sent::Last;
    }
    let answer = visit.answer(head, &payload);
    let head_only = head.method == "HEAD";
    answer.send(connection, head_only).await.unwrap_or(Sent::Last)
}

impl<'a> Visit<'a> {
    /// Begins a call whose head has arrived: it is journalled, takes its slot, and its latency and
    /// fault are drawn.
    fn begin(state: &'a State, head: &Head) -> Self {
        let now_us = state.clock.now_us();
        let arrived = Instant::now();
        let mut inner = state.lock();
        let civil_ms = state.clock.civil_ms(inner.spec.day_shift_ms);
        let app = head.header(&inner.spec.app_header).map(|v| v.chars().take(64).collect());
        let call = Call {
            number: 0,
            arrived_us: now_us,
            counted_us: None,
            ended_us: None,
            civil_ms,
            method: head.method.chars().take(32).collect(),
            target: head.target.chars().take(8192).collect(),
            app,
            verdict: Verdict::Open,
            status: 0,
        };
        let number = inner.journal.open(call);
        let kind = if inner.dialect.token_path == Some(head.path()) {
            Kind::Token
        } else if inner.authorized(head, now_us) {
            Kind::Counted
        } else {
            Kind::Unauthorized
        };
        let spec_latency = inner.spec.latency;
        let latency = inner.chance.latency(spec_latency);
        let count_after = match inner.spec.count_at {
            CountAt::Arrival => Duration::ZERO,
            CountAt::Random => latency.mul_f64(inner.chance.unit()),
            CountAt::Completion => latency,
        };
        let works_on = inner.spec.works_on;
        let mut visit = Self { state, number, say: None, fault: None, arrived, count_after, latency, kind, works_on };
        if kind == Kind::Counted {
            if let Err(refusal) = inner.gate.enter(number, now_us, &head.target) {
                visit.say = Some(Err(refusal));
            } else if inner.spec.count_at == CountAt::Arrival {
                visit.count_in(&mut inner, &head.target, now_us);
            }
        }
        if kind == Kind::Token {
            let Inner { faults, chance, .. } = &mut *inner;
            visit.fault = faults.draw_for_token(&head.target, chance);
        }
        visit
    }

    /// Checks the limits, unless that has been done.
    fn count(&mut self, target: &str) {
        if self.say.is_none() && self.kind == Kind::Counted {
            let now_us = self.state.clock.now_us();
            self.count_in(&mut self.state.lock(), target, now_us);
        }
    }

    fn count_in(&mut self, inner: &mut Inner, target: &str, now_us: u64) {
        let civil_ms = self.state.clock.civil_ms(inner.spec.day_shift_ms);
        let say = inner.gate.count(now_us, civil_ms, target);
        if matches!(say, Say::Pass | Say::Delay(_)) {
            self.fault = inner.faults.draw(target, &mut inner.chance);
        }
        if let Some(entry) = inner.journal.entry(self.number) {
            entry.counted_us = Some(now_us);
        }
        self.say = Some(Ok(say));
    }

    /// Waits until `after` the arrival. Returns false if the caller has gone and the vendor does
    /// not work on.
    async fn wait<S>(&self, connection: &mut Connection<S>, after: Duration) -> bool
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let until = self.arrived + after;
        if Instant::now() >= until {
            return true;
        }
        let gone = tokio::select! {
            () = sleep_until(until) => false,
            () = connection.closed() => true,
        };
        if gone && self.works_on {
            sleep_until(until).await;
        }
        !gone || self.works_on
    }

    /// Makes the answer and completes the journal entry.
    fn answer(&self, head: &Head, payload: &Payload) -> Answer {
        let mut inner = self.state.lock();
        let now_us = self.state.clock.now_us();
        let civil_ms = self.state.clock.civil_ms(inner.spec.day_shift_ms);
        let dialect = inner.dialect;
        let request = Request { head, payload, number: self.number };
        let (verdict, mut answer) = match (self.kind, &self.say) {
            (Kind::Token, _) => {
                inner.note_exchange(payload);
                let answer = match &self.fault {
                    Some(fault) => befall(fault, Answer::empty(200), &inner, civil_ms),
                    None => inner.token(&request, now_us),
                };
                (Verdict::Free, answer)
            }
            (Kind::Unauthorized, _) => (Verdict::Unauthorized, (dialect.unauthorized)()),
            (_, Some(Err(refusal) | Ok(Say::Refuse(refusal)))) => {
                (Verdict::Refused(refusal.limit.name.clone()), (dialect.refusal)(refusal))
            }
            _ => {
                let standings = Standings { limits: inner.gate.standings(now_us, civil_ms), civil_ms };
                let answer = (dialect.answer)(&request).unwrap_or_else(|| common::answer(&request));
                let answer = (dialect.decorate)(answer, &request, &standings);
                match &self.fault {
                    Some(fault) => (Verdict::Fault(fault.name()), befall(fault, answer, &inner, civil_ms)),
                    None => (Verdict::Passed, answer),
                }
            }
        };
        answer.headers.push(("Date".to_owned(), httpdate::fmt_http_date(date(civil_ms))));
        if let Some(entry) = inner.journal.entry(self.number) {
            entry.verdict = verdict;
            entry.status = answer.status;
        }
        answer
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let now_us = self.state.clock.now_us();
        let mut inner = self.state.lock();
        inner.gate.leave(self.number);
        if let Some(entry) = inner.journal.entry(self.number) {
            entry.ended_us = Some(now_us);
        }
    }
}

/// Turns a good answer into the one that a fault makes of it.
fn befall(fault: &Fault, mut answer: Answer, inner: &Inner, civil_ms: i64) -> Answer {
    match fault {
        Fault::Status { status, retry_after_s, retry_at_s } => {
            let body = format!("{{\"mock\":\"this vendor was told to answer {status}\"}}");
            answer = Answer::bytes(*status, "application/json", body.into_bytes());
            if let Some(seconds) = retry_after_s {
                answer = answer.with("Retry-After", &seconds.to_string());
            }
            if let Some(seconds) = retry_at_s {
                let at = date(civil_ms) + Duration::from_secs(*seconds);
                answer = answer.with("Retry-After", &httpdate::fmt_http_date(at));
            }
        }
        Fault::Throttle { retry_after_s } => {
            let first = inner.spec.limits.clone().unwrap_or_else(inner.dialect.limits).into_iter().next();
            let limit = first.unwrap_or_else(|| crate::Limit::new("rate", crate::Kind::window(1, 1)));
            answer = (inner.dialect.refusal)(&Refusal { limit, retry_us: None });
            if let Some(seconds) = retry_after_s {
                answer.headers.retain(|(name, _)| name != "Retry-After");
                answer = answer.with("Retry-After", &seconds.to_string());
            }
        }
        Fault::ResetBefore => answer.cut = Some(Cut::Before),
        Fault::ResetAfterHead => answer.cut = Some(Cut::AfterHead),
        Fault::ResetMidBody { bytes } => answer.cut = Some(Cut::After(*bytes)),
        Fault::Hang => answer.cut = Some(Cut::Hang),
        Fault::HangAfterHead => answer.cut = Some(Cut::HangAfterHead),
        Fault::SlowBody { pause_ms } => {
            let bytes = if let Body::Bytes(bytes) = &answer.body { bytes.len() as u64 } else { 2000 };
            answer.body = Body::Stream(Stream {
                bytes,
                piece: usize::try_from(bytes.div_ceil(20)).unwrap_or(1).max(1),
                pause: Duration::from_millis(*pause_ms),
                framing: Framing::Length,
            });
        }
        Fault::Oversized { bytes } => {
            answer.body = Body::Stream(Stream {
                bytes: *bytes,
                piece: 64 << 10,
                pause: Duration::ZERO,
                framing: Framing::Chunked,
            });
        }
        Fault::MalformedJson => {
            answer = Answer::bytes(200, "application/json", b"{\"success\":true,\"result\":[{".to_vec())
        }
        Fault::Raw { text } => answer.raw = Some(text.clone().into_bytes()),
    }
    answer
}

fn date(civil_ms: i64) -> std::time::SystemTime {
    std::time::UNIX_EPOCH + Duration::from_millis(u64::try_from(civil_ms).unwrap_or(0))
}

impl Inner {
    fn authorized(&mut self, head: &Head, now_us: u64) -> bool {
        let Some(credential) = self.spec.credential.as_deref() else { return true };
        self.tokens.retain(|(_, lapses_us)| *lapses_us > now_us);
        let Some(shown) = (self.dialect.credential)(head) else { return false };
        shown == credential || self.tokens.iter().any(|(token, _)| *token == shown)
    }

    fn note_exchange(&mut self, payload: &Payload) {
        self.exchanges.push_back(String::from_utf8_lossy(&payload.kept).into_owned());
        while self.exchanges.len() > 100 {
            self.exchanges.pop_front();
        }
    }

    /// Answers at the token endpoint. It gives the same token while that works, as most vendors do,
    /// and a new one for each refresh token.
    fn token(&mut self, request: &Request, now_us: u64) -> Answer {
        self.tokens.retain(|(_, lapses_us)| *lapses_us > now_us);
        let grant = request.form("grant_type").unwrap_or_default();
        let refreshes = grant == "refresh_token" && self.spec.refresh_token.is_some();
        let good = if grant.ends_with("jwt-bearer") {
            // The test, not the vendor, checks the signature.
            request.form("assertion").is_some_and(|assertion| assertion.split('.').count() == 3)
        } else {
            let secret = request.form("client_secret").or_else(|| basic_password(request.head));
            self.spec.credential.is_none() || secret == self.spec.credential
        };
        let first = self.refresh.as_ref().or(self.spec.refresh_token.as_ref());
        if !good || (refreshes && request.form("refresh_token").as_ref() != first) {
            return (self.dialect.token_refused)();
        }
        let held = self.tokens.back().filter(|_| !refreshes).cloned();
        let (token, lapses_us) = held.unwrap_or_else(|| {
            let token = format!("mock-{:016x}{:016x}", self.chance.bits(), self.chance.bits());
            (token, now_us + self.spec.token_s * 1_000_000)
        });
        if refreshes {
            self.refresh = Some(format!("refresh-{token}"));
        }
        self.tokens.retain(|(known, _)| *known != token);
        self.tokens.push_back((token.clone(), lapses_us));
        (self.dialect.token)(&token, (lapses_us - now_us) / 1_000_000)
    }
}

/// Returns the password of Basic authentication.
fn basic_password(head: &Head) -> Option<String> {
    let (scheme, pair) = head.header("authorization")?.split_once(' ')?;
    let pair = base64::engine::general_purpose::STANDARD.decode(pair.trim()).ok()?;
    let password = String::from_utf8(pair).ok()?.split_once(':')?.1.to_owned();
    scheme.eq_ignore_ascii_case("basic").then_some(password)
}
