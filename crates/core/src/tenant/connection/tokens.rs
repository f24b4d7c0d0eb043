//! The access token of a connection: calls and jobs that wait for it, the reports of those who
//! fetch it, and its row.

use super::ConnectionState;
use super::admission::{AdmitResult, AskingCall};
use super::jobs::{Meanwhile, TokenForJobs};
use crate::protocol::{Bearer, Fetch, Reply, TokenMark, TokenReport};
use crate::tenant::replies::Ticket;
use crate::tenant::store::{Host, StoreError};
use crate::tenant::token_cache::{TokenCache, TokenDecision, Waiter, store_tokens};
use crate::upstream::grant::life_ms;
use std::collections::BTreeMap;

/// While an access token is fetched, jobs ask for it again after this time, in milliseconds. Its
/// fetcher's report wakes them before; this is for a fetcher that has died.
const JOBS_ASK_AGAIN_MS: i64 = 5_000;

impl ConnectionState {
    /// The next call that has waited for the token until another call took its place, and its
    /// reply.
    pub(in crate::tenant) fn next_displaced(&mut self, now: i64) -> Option<(Ticket, Reply)> {
        let Waiter { ticket, .. } = self.tokens.as_mut()?.next_displaced()?;
        Some((ticket, self.no_place_for_token(now)))
    }

    /// Takes the report of a fetcher. What is to be held is stored before anyone learns of it: a
    /// refresh token that has been exchanged works no more, and the next one must outlive this
    /// object. Then those that waited ask anew; this gives their replies.
    pub(in crate::tenant) fn token_reported(
        &mut self,
        report: TokenReport,
        host: &mut Host<'_>,
    ) -> Result<Vec<(Ticket, Reply)>, StoreError> {
        let life_ms = |issued: &_| life_ms(issued, &self.rules.policy().profile);
        let Some(tokens) = &mut self.tokens else { return Ok(Vec::new()) };
        match report.result {
            Ok(issued) => {
                let life_ms = life_ms(&issued);
                if tokens.issued(host.now, report.whose, report.began, life_ms, issued) {
                    self.store_tokens(host)?;
                }
            }
            Err(failure) => tokens.failed(host.now, report.whose, report.began, failure),
        }
        Ok(self.ask_anew(host))
    }

    /// Lets the next in line fetch the token, if its fetcher is dead.
    pub(super) fn wake_for_token(&mut self, host: &Host<'_>) -> Vec<(Ticket, Reply)> {
        let due = self.tokens.as_ref().and_then(TokenCache::next_wakeup).is_some_and(|at| at <= host.now);
        if due { self.ask_anew(host) } else { Vec::new() }
    }

    /// Ends the wait of a call whose caller has gone; returns whether it waited for the token.
    pub(in crate::tenant) fn cancel_for_token(&mut self, ticket: Ticket) -> bool {
        self.tokens.as_mut().and_then(|tokens| tokens.cancel(ticket)).is_some()
    }

    /// Lets all that wait for the token ask anew, in order.
    fn ask_anew(&mut self, host: &Host<'_>) -> Vec<(Ticket, Reply)> {
        let waiting = self.tokens.as_mut().map(TokenCache::take_waiting).unwrap_or_default();
        // Of a call that has asked again, nobody listens to the earlier ask any longer.
        let mut latest = BTreeMap::new();
        for one in &waiting {
            latest.insert(one.admit.call.clone(), one.ticket);
        }
        let mut replies = Vec::new();
        for Waiter { ticket, admit, since, weight } in waiting {
            if latest.get(&admit.call) != Some(&ticket) {
                replies.push((ticket, Reply::Retry));
                continue;
            }
            let waited_ms = u64::try_from(host.now.saturating_sub(since)).unwrap_or(0);
            if let AdmitResult::Now(reply) = self.admit(AskingCall { admit, ticket, waited_ms, weight }, host) {
                replies.push((ticket, reply));
            }
        }
        replies
    }

    /// Returns what jobs need for an access token. `rejected` is a token that the vendor has
    /// refused, if it has. What has to be fetched is fetched by a task.
    pub(in crate::tenant) fn token_for_jobs(&mut self, now: i64, rejected: Option<TokenMark>) -> TokenForJobs {
        let Some(tokens) = &mut self.tokens else { return TokenForJobs::Ready };
        let (fetch, again) = match tokens.ask(now, rejected) {
            TokenDecision::Nothing => return TokenForJobs::Ready,
            TokenDecision::Stands => return TokenForJobs::Stands,
            TokenDecision::Fetch => (self.fetch(now), now.saturating_add(JOBS_ASK_AGAIN_MS)),
            TokenDecision::Wait => (Reply::Done, now.saturating_add(JOBS_ASK_AGAIN_MS)),
            TokenDecision::Fail(_, seconds) => {
                let seconds = i64::try_from(seconds).unwrap_or(3_600);
                (Reply::Done, now.saturating_add(seconds.saturating_mul(1_000)))
            }
        };
        let ready = self.tokens.as_ref().is_some_and(|tokens| tokens.current(now).is_some());
        self.job_permits.wait_for_token((!ready).then_some(again));
        match fetch {
            Reply::Fetch(fetch) => {
                TokenForJobs::Fetch(fetch, if ready { Meanwhile::JobsGo } else { Meanwhile::JobsWait })
            }
            _ if ready => TokenForJobs::Ready,
            _ => TokenForJobs::Wait,
        }
    }

    /// The access token for the run of a job: none where the route has a credential.
    ///
    /// # Errors
    /// Fails if the connection needs a token and has none that works.
    pub(in crate::tenant) fn token_for_run(&self, now: i64) -> Result<Option<Bearer>, NoToken> {
        let Some(tokens) = &self.tokens else { return Ok(None) };
        let held = tokens.current(now).ok_or(NoToken)?;
        Ok(Some(Bearer { token: held.token.clone(), mark: held.mark }))
    }

    /// Returns the reply that asks a caller to fetch the token, or the reason why there is none.
    pub(super) fn fetch(&mut self, now: i64) -> Reply {
        let Some(tokens) = &mut self.tokens else { return Reply::Retry };
        let (whose, began) = (tokens.whose(), tokens.began());
        match tokens.exchange(self.rules.policy(), now) {
            Ok(exchange) => Reply::Fetch(Box::new(Fetch { exchange, whose, began })),
            Err(failure) => {
                tokens.failed(now, whose, began, failure);
                match tokens.ask(now, None) {
                    TokenDecision::Fail(failure, seconds) => self.no_token(&failure, seconds),
                    _ => Reply::Retry,
                }
            }
        }
    }

    /// Stores the tokens that are held, or that none is.
    pub(super) fn store_tokens(&self, host: &mut Host<'_>) -> Result<(), StoreError> {
        store_tokens(self.tokens.as_ref(), (&self.tenant, &self.name), host)
    }
}

/// The want of an access token that works.
#[derive(Debug)]
pub(in crate::tenant) struct NoToken;
