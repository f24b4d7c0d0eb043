//! A call's way through its connection: past the access token, where one is needed, and into the
//! limiter.

use super::ConnectionState;
use crate::http::{RemainingItem, remaining_field};
use crate::protocol::{Admit, Bearer, Granted, Reply};
use crate::refusal::Reason;
use crate::tenant::replies::Ticket;
use crate::tenant::store::Host;
use crate::tenant::token_cache::{TokenDecision, Waiter};
use crate::tenant::waiting_calls::WaitingCall;
use sluice_limiter::{Admission, Call, Grant, ObservedDecision, PermitId, SLACK_MS};

/// What became of a call that asked to go.
pub(in crate::tenant) enum AdmitResult {
    /// The reply is known at once.
    Now(Reply),
    /// The call waits, under the ticket that it asked with.
    Waiting,
}

/// A call that asks to go.
pub(in crate::tenant) struct AskingCall {
    /// The call.
    pub(in crate::tenant) admit: Box<Admit>,
    /// The ticket that it waits under, if it waits.
    pub(in crate::tenant) ticket: Ticket,
    /// How long it has waited already, in milliseconds.
    pub(in crate::tenant) waited_ms: u64,
    /// The weight of its app, by which places are shared.
    pub(in crate::tenant) weight: u32,
}

impl ConnectionState {
    /// Admits a call, once there is an access token for it. Nothing is counted before.
    pub(in crate::tenant) fn admit(&mut self, call: AskingCall, host: &Host<'_>) -> AdmitResult {
        let most = self.policy().queue.max_wait_ms;
        let Some(tokens) = &mut self.tokens else { return self.admit_to_limiter(call, host) };
        let AskingCall { admit, waited_ms, .. } = &call;
        let left = admit.wait_ms.map_or(most, |wait| wait.min(most)).saturating_sub(*waited_ms);
        match tokens.ask_within(host.now, admit.rejected_token, left) {
            TokenDecision::Nothing => self.admit_to_limiter(call, host),
            TokenDecision::Fetch => AdmitResult::Now(self.fetch(host.now)),
            TokenDecision::Wait => {
                let AskingCall { admit, ticket, waited_ms, weight } = call;
                let since = host.now.saturating_sub(i64::try_from(waited_ms).unwrap_or(0));
                match tokens.wait(Waiter { ticket, admit, since, weight }) {
                    true => AdmitResult::Waiting,
                    false => AdmitResult::Now(self.no_place_for_token(host.now)),
                }
            }
            TokenDecision::Fail(failure, seconds) => AdmitResult::Now(self.no_token(&failure, seconds)),
            TokenDecision::Stands => AdmitResult::Now(Reply::TokenStands),
        }
    }

    fn admit_to_limiter(&mut self, asking: AskingCall, host: &Host<'_>) -> AdmitResult {
        let AskingCall { admit, ticket, waited_ms, .. } = asking;
        let mask = self.rules.mask(&admit.method, &admit.path);
        let app = admit.claims.app.as_deref().unwrap_or_default();
        let call = Call {
            app,
            mask,
            id: u128::from_str_radix(&admit.call, 16).unwrap_or_default(),
            again: admit.repeated,
            waited_ms,
            wait_ms: admit.wait_ms,
            urgency: admit.urgency,
        };
        let id = call.id;
        let earlier = if call.again { self.limiter.ticket_of(id) } else { None };
        let admission = self.limiter.admit(host.time(), call);
        // The earlier ask of the same call has given its place to this one, unless it is the same place.
        if let Some(earlier) = earlier.filter(|earlier| self.limiter.ticket_of(id) != Some(*earlier)) {
            self.waiting.remove(earlier);
        }
        match admission {
            Admission::Granted(grant) => AdmitResult::Now(self.permit(&grant, &admit, host.now)),
            Admission::Refused(refused) => {
                self.usage.refuse(refused.reason.into(), host.now);
                let left = self.remaining_for(app, mask);
                AdmitResult::Now(self.refusal(refused, left))
            }
            Admission::Waiting(place) => {
                self.waiting.add(WaitingCall { place, ticket, admit });
                AdmitResult::Waiting
            }
        }
    }

    /// Ends the wait of a call whose caller has gone; returns whether it waited in the limiter's
    /// queue.
    pub(in crate::tenant) fn cancel(&mut self, ticket: Ticket, host: &Host<'_>) -> bool {
        let Some(place) = self.waiting.cancel(ticket) else { return false };
        self.limiter.cancel(host.time(), place);
        true
    }

    /// The next waiting call whose end is known, by its ticket.
    pub(in crate::tenant) fn next_ready(&mut self, now: i64) -> Option<(Ticket, Reply)> {
        loop {
            let (place, outcome) = self.limiter.next_ready()?;
            let Some(WaitingCall { ticket, admit, .. }) = self.waiting.remove(place) else { continue };
            let reply = match outcome {
                Ok(grant) => self.permit(&grant, &admit, now),
                Err(refused) => {
                    self.usage.refuse(refused.reason.into(), now);
                    self.refusal(refused, String::new())
                }
            };
            return Some((ticket, reply));
        }
    }

    /// The permit of a call that is granted.
    fn permit(&mut self, grant: &Grant, admit: &Admit, now: i64) -> Reply {
        self.usage.waited(grant.waited_ms);
        let rate_limit = self.remaining(grant.permit);
        let held = self.tokens.as_ref().and_then(|tokens| tokens.current(now));
        let route = self.rules.route();
        Reply::Permit(Granted {
            permit: grant.permit,
            waited_ms: grant.waited_ms,
            since_ask_ms: grant.since_ask_ms,
            slack_ms: u64::try_from(SLACK_MS).unwrap_or(0),
            route: (admit.known_route != Some(route.version)).then(|| Box::new(route.clone())),
            route_version: route.version,
            bearer: held
                .filter(|held| Some(held.mark) != admit.known_token)
                .map(|held| Bearer { token: held.token.clone(), mark: held.mark }),
            token_mark: held.map(|held| held.mark),
            rate_limit,
            would: grant.would.map(would),
        })
    }

    /// The `RateLimit` field for the call of a permit.
    pub(super) fn remaining(&mut self, permit: PermitId) -> String {
        let mut items = Vec::with_capacity(4);
        let mut names = Vec::with_capacity(4);
        self.limiter.left(permit, |left| {
            names.push(left.name.to_owned());
            items.push((left.remaining, left.seconds));
        });
        let items = names.iter().zip(items).map(|(name, (remaining, reset_seconds))| RemainingItem {
            name,
            remaining,
            reset_seconds,
        });
        remaining_field(items)
    }

    /// The `RateLimit` field for a call of an app that these limits count.
    fn remaining_for(&mut self, app: &str, mask: u32) -> String {
        let mut kept = Vec::with_capacity(4);
        self.limiter.left_for(app, mask, |left| kept.push((left.name.to_owned(), left.remaining, left.seconds)));
        remaining_field(kept.iter().map(|(name, remaining, reset_seconds)| RemainingItem {
            name,
            remaining: *remaining,
            reset_seconds: *reset_seconds,
        }))
    }
}

/// The value of the field `Sluice-Would`.
fn would(would: ObservedDecision) -> String {
    match would {
        ObservedDecision::Wait(ms) => format!("wait;ms={ms}"),
        ObservedDecision::Refuse(reason) => format!("refuse;reason={}", Reason::from(reason).as_str()),
    }
}
