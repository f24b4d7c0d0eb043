//! Admission: the tenant's object is asked for a permit until one can be used, or the call is
//! refused. A stale permit, and one whose route or token is not known, is handed back unused.

use super::isolate::Isolate;
use super::permit::Permit;
use super::{Caller, ms_between};
use crate::protocol::{Admit, Bearer, Fetch, Granted, No, Reply, Route, RouteVersion, Sent, TokenMark};
use crate::refusal::{Reason, Refusal};
use crate::upstream::methods;
use crate::usage::fold;
use sluice_limiter::PermitId;
use std::rc::Rc;

/// How often the object is asked for one permit, and how closely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How often the object is asked for one permit in all: an object that a deploy has just
    /// replaced answers the next ask, and a permit that came late is handed back for another.
    pub tries: u32,
    /// The least time from one ask to the next, milliseconds.
    pub spacing_ms: u64,
}

impl Pace {
    /// The pace of every call.
    pub const USUAL: Self = Self { tries: 4, spacing_ms: 0 };
}

/// The object's reply to an ask.
#[derive(Debug)]
pub struct ObjectReply {
    /// What it replied.
    pub reply: Reply,
    /// How long the reply took, milliseconds.
    pub elapsed_ms: u64,
    /// Whether the caller was still there when the reply came.
    pub caller: Caller,
}

/// The next step of an admission, which the machine of its call carries out.
#[derive(Debug)]
pub enum Step {
    /// Ask the object, and tell it if the caller goes meanwhile.
    Ask(Box<Admit>),
    /// Fetch an access token and report it to the object: others may wait for it too.
    FetchToken(Box<Fetch>),
    /// Tell the object that this permit was not used.
    HandBack(PermitId),
    /// Wait for so many milliseconds, or until the caller goes.
    Wait(u64),
    /// Nothing: it has ended.
    End(Admitted),
}

/// The end of an admission.
#[derive(Debug)]
pub enum Admitted {
    /// The call may be sent, once, now.
    Permit(Box<Permit>),
    /// There is no better access token than the refused one: the vendor's answer stands.
    TokenStands,
    /// The object refuses the call.
    Refused(Box<No>),
    /// The object could not be asked.
    Unavailable,
    /// The caller has gone. A permit that came too late is handed back.
    Gone,
}

/// One admission. What is asked is the caller's own message, lent with each event.
#[derive(Debug)]
pub struct Admission {
    /// Which vendor call of the caller's one the permit is for, from 1.
    nth: u32,
    /// Until when the caller waits, Unix ms, where it says so.
    deadline: Option<i64>,
    pace: Pace,
    asked: u32,
    asked_at: i64,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asking,
    Fetching,
    HandingBack(Caller),
    Waiting,
    Over,
}

impl Admission {
    /// Asks for the permit that `admit` describes.
    pub fn begin(admit: &mut Admit, nth: u32, deadline: Option<i64>, pace: Pace, now: i64) -> (Self, Step) {
        let mut admission = Self { nth, deadline, pace, asked: 0, asked_at: now, stage: Stage::Asking };
        let step = admission.ask(admit, now);
        (admission, step)
    }

    /// Whether it waits for a reply.
    pub fn is_asking(&self) -> bool {
        self.stage == Stage::Asking
    }

    /// Takes the object's reply. Returns none if nothing was asked.
    pub fn replied(&mut self, admit: &mut Admit, asked: ObjectReply, now: i64, isolate: &mut Isolate) -> Option<Step> {
        if self.stage != Stage::Asking {
            return None;
        }
        Some(match asked.reply {
            Reply::Permit(go) => self.granted(admit, go, (asked.elapsed_ms, asked.caller), now, isolate),
            // Also for a caller that has gone: others may wait for the token.
            Reply::Fetch(fetch) => {
                self.stage = Stage::Fetching;
                Step::FetchToken(fetch)
            }
            Reply::TokenStands => self.end(Admitted::TokenStands),
            _ if asked.caller == Caller::Gone => self.end(Admitted::Gone),
            Reply::Refused(no) => self.end(Admitted::Refused(Box::new(no))),
            // The object lost its memory, or is of another release.
            _ => self.ask_again(admit, now),
        })
    }

    /// Notes that no reply came, though the object may have received the ask. Returns none if
    /// nothing was asked.
    pub fn not_replied(&mut self, admit: &mut Admit, now: i64) -> Option<Step> {
        (self.stage == Stage::Asking).then(|| self.ask_again(admit, now))
    }

    /// Notes that the fetch that was asked for has ended and that its end was reported. Returns
    /// none if no fetch was asked for.
    pub fn fetched(&mut self, admit: &mut Admit, now: i64) -> Option<Step> {
        (self.stage == Stage::Fetching).then(|| self.ask_again(admit, now))
    }

    /// Notes that the object knows of the unused permit. Returns none if there was no such permit.
    pub fn handed_back(&mut self, admit: &mut Admit, now: i64) -> Option<Step> {
        let Stage::HandingBack(caller) = self.stage else { return None };
        if caller == Caller::Gone {
            return Some(self.end(Admitted::Gone));
        }
        // Whatever is remembered of the route or the token did not do.
        admit.known_route = None;
        admit.known_token = None;
        Some(self.ask_again(admit, now))
    }

    /// Notes that the wait that was asked for is over. Returns none if no wait was asked for.
    pub fn waited(&mut self, admit: &mut Admit, caller: Caller, now: i64) -> Option<Step> {
        if self.stage != Stage::Waiting {
            return None;
        }
        Some(match caller {
            Caller::Gone => self.end(Admitted::Gone),
            Caller::Present => self.ask(admit, now),
        })
    }

    fn end(&mut self, end: Admitted) -> Step {
        self.stage = Stage::Over;
        Step::End(end)
    }

    fn ask_again(&mut self, admit: &mut Admit, now: i64) -> Step {
        admit.repeated = true;
        if self.asked >= self.pace.tries {
            return self.end(Admitted::Unavailable);
        }
        let early_ms = self.pace.spacing_ms.saturating_sub(ms_between(self.asked_at, now));
        if early_ms > 0 {
            self.stage = Stage::Waiting;
            return Step::Wait(early_ms);
        }
        self.ask(admit, now)
    }

    fn ask(&mut self, admit: &mut Admit, now: i64) -> Step {
        if self.asked > 0 {
            admit.wait_ms = self.deadline.map(|deadline| ms_between(now, deadline));
        }
        self.asked = self.asked.saturating_add(1);
        self.asked_at = now;
        self.stage = Stage::Asking;
        Step::Ask(Box::new(admit.clone()))
    }

    fn granted(
        &mut self,
        admit: &Admit,
        go: Granted,
        (elapsed_ms, caller): (u64, Caller),
        now: i64,
        isolate: &mut Isolate,
    ) -> Step {
        let age = i64::try_from(elapsed_ms).unwrap_or(i64::MAX).saturating_sub(go.since_ask_ms);
        let stale = u64::try_from(age).unwrap_or(0) > go.slack_ms;
        let id = go.permit;
        match self.permit(admit, go, now, isolate) {
            Some(permit) if !stale && caller == Caller::Present => self.end(Admitted::Permit(Box::new(permit))),
            // The limiter no longer accounts for it, or it is of no use.
            _ => {
                self.stage = Stage::HandingBack(caller);
                Step::HandBack(id)
            }
        }
    }

    /// Returns the permit, if its route and what it needs of a credential are known.
    fn permit(&self, admit: &Admit, go: Granted, now: i64, isolate: &mut Isolate) -> Option<Permit> {
        let (tenant, connection) = (admit.claims.tenant.as_str(), admit.connection.as_str());
        let route = route((tenant, connection), go.route, go.route_version, isolate);
        let bearer = bearer((tenant, connection), go.bearer, go.token_mark, isolate);
        let route = route.filter(|route| route.credential.is_some() || bearer.is_some())?;
        Some(Permit {
            tenant: tenant.to_owned(),
            connection: connection.to_owned(),
            id: go.permit,
            route,
            bearer,
            rate_limit: go.rate_limit,
            would: go.would,
            at: now,
            sent: Sent {
                app: admit.claims.app.clone().unwrap_or_default(),
                method: methods::sent(&admit.method).to_owned(),
                path: fold(&admit.path),
                nth: self.nth,
                ago_ms: 0,
            },
        })
    }
}

/// Returns the route that a permit is for: sent along, or remembered under its version.
fn route(
    (tenant, connection): (&str, &str),
    sent: Option<Box<Route>>,
    version: RouteVersion,
    isolate: &mut Isolate,
) -> Option<Rc<Route>> {
    match sent {
        Some(route) => {
            let route = Rc::from(route);
            isolate.remember_route(tenant, connection, Rc::clone(&route));
            Some(route)
        }
        None => isolate.route(tenant, connection).filter(|route| route.version == version),
    }
}

/// Returns the access token that a permit is for: sent along, or remembered under its mark.
fn bearer(
    (tenant, connection): (&str, &str),
    sent: Option<Bearer>,
    mark: Option<TokenMark>,
    isolate: &mut Isolate,
) -> Option<Rc<Bearer>> {
    match sent {
        Some(bearer) => {
            let bearer = Rc::new(bearer);
            isolate.remember_token(tenant, connection, Rc::clone(&bearer));
            Some(bearer)
        }
        None => isolate.token(tenant, connection).filter(|bearer| Some(bearer.mark) == mark),
    }
}

/// Returns the refusal of a call whose tenant's object cannot be asked: nothing is forwarded that
/// could not be counted.
pub fn unavailable() -> Refusal {
    let detail = "the tenant's object cannot be asked, so nothing was forwarded: try again in a moment";
    Refusal { retry_after_seconds: Some(1), ..Refusal::new(Reason::Unavailable, detail) }
}

/// Returns the refusal after a reply that no ask of its kind has: Worker and object are of
/// different releases.
pub fn unexpected_reply() -> Refusal {
    Refusal::new(Reason::Unavailable, "the tenant's object gave an answer of another release: try again in a moment")
}
