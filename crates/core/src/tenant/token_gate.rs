//! A call's way to its connection's throttle: past the access token, where one is needed.

use super::connection_state::{AdmitResult, ConnectionState};
use super::state::refused;
use super::store::{Host, StoreError};
use super::token_cache::{TokenCache, TokenDecision, Waiter};
use crate::protocol::{Admit, Fetch, Reply, TokenMark, TokenReport};
use crate::refusal::{Reason, Refusal};
use crate::upstream::grant::{Failure, life_ms};
use std::collections::BTreeMap;

/// What jobs need for an access token.
pub(super) enum ForJobs {
    /// Nothing.
    Ready,
    /// To wait.
    Wait,
    /// This fetched; and whether they may go meanwhile.
    Fetch(Box<Fetch>, bool),
    /// Another is not to be had: the vendor's refusal stands.
    Stands,
}

impl ConnectionState {
    /// Puts a call of an app of that weight to the limiter, once there is a token for it. Nothing is counted before.
    pub(super) fn ask(
        &mut self,
        admit: Box<Admit>,
        tenant: u64,
        waited: u64,
        weight: u32,
        host: &Host<'_>,
    ) -> AdmitResult {
        let most = self.policy.queue.max_wait_ms;
        let Some(access) = &mut self.access else { return self.admit(admit, tenant, waited, host) };
        let left = admit.wait_ms.map_or(most, |wait| wait.min(most)).saturating_sub(waited);
        match access.ask_within(host.now, admit.rejected_token, left) {
            TokenDecision::Nothing => self.admit(admit, tenant, waited, host),
            TokenDecision::Fetch => AdmitResult::Now(self.fetch(host.now)),
            TokenDecision::Wait => {
                let since = host.now.saturating_sub(i64::try_from(waited).unwrap_or(0));
                match access.wait(Waiter { tenant, admit, since, weight }) {
                    true => AdmitResult::Waiting,
                    false => AdmitResult::Now(self.no_place(host.now)),
                }
            }
            TokenDecision::Fail(failure, seconds) => AdmitResult::Now(self.no_token(&failure, seconds)),
            TokenDecision::Stands => AdmitResult::Now(Reply::TokenStands),
        }
    }

    /// The next call that has waited for the token until another took its place, and what it is told.
    pub(super) fn next_displaced(&mut self, now: i64) -> Option<(u64, Reply)> {
        let Waiter { tenant, .. } = self.access.as_mut()?.next_displaced()?;
        Some((tenant, self.no_place(now)))
    }

    fn no_place(&mut self, now: i64) -> Reply {
        let detail = format!("too many calls wait for the access token of connection {}", self.name);
        let refusal = Refusal { retry_after_seconds: Some(1), ..Refusal::new(Reason::QueueFull, detail) };
        self.usage.refuse(refusal.reason, now);
        self.turned_away(refusal)
    }

    /// Takes the report of a fetcher. What is to be held is stored before anyone hears of it: a refresh token that has
    /// been exchanged works no more, and the next one must outlive this object. Then those that waited go on.
    pub(super) fn fetched(
        &mut self,
        report: TokenReport,
        host: &mut Host<'_>,
    ) -> Result<Vec<(u64, Reply)>, StoreError> {
        let Some(access) = &mut self.access else { return Ok(Vec::new()) };
        match report.result {
            Ok(issued) => {
                let life_ms = life_ms(&issued, &self.policy.profile);
                if access.issued(host.now, report.whose, report.began, life_ms, issued) {
                    self.store_access(host)?;
                }
            }
            Err(failure) => access.failed(host.now, report.whose, report.began, failure),
        }
        Ok(self.go_on(host))
    }

    /// If the fetcher is dead, the next in line fetches.
    pub(super) fn wake_for_token(&mut self, host: &Host<'_>) -> Vec<(u64, Reply)> {
        let due = self.access.as_ref().and_then(TokenCache::next_wakeup).is_some_and(|at| at <= host.now);
        if due { self.go_on(host) } else { Vec::new() }
    }

    /// When this connection next wants to be woken, Unix ms.
    pub(super) fn next_wakeup(&mut self) -> Option<i64> {
        let for_token = self.access.as_ref().and_then(TokenCache::next_wakeup);
        self.limiter
            .next_wakeup()
            .into_iter()
            .chain(for_token)
            .chain(self.jobs_again)
            .chain(self.usage.wants_saving_at())
            .chain(self.alert_schedule.timer_at)
            .min()
    }

    /// The caller of that ticket has gone; whether it waited for the token.
    pub(super) fn stops_waiting_for_token(&mut self, tenant: u64) -> bool {
        self.access.as_mut().and_then(|access| access.cancel(tenant)).is_some()
    }

    /// All that wait for the token ask anew, in order.
    fn go_on(&mut self, host: &Host<'_>) -> Vec<(u64, Reply)> {
        let waiting = self.access.as_mut().map(TokenCache::take_waiting).unwrap_or_default();
        // Of a call that has asked again, the earlier ask is no longer listened to.
        let mut latest = BTreeMap::new();
        for one in &waiting {
            latest.insert(one.admit.call.clone(), one.tenant);
        }
        let mut said = Vec::new();
        for Waiter { tenant, admit, since, weight } in waiting {
            if latest.get(&admit.call) != Some(&tenant) {
                said.push((tenant, Reply::Retry));
                continue;
            }
            let waited = u64::try_from(host.now.saturating_sub(since)).unwrap_or(0);
            if let AdmitResult::Now(reply) = self.ask(admit, tenant, waited, weight, host) {
                said.push((tenant, reply));
            }
        }
        said
    }

    /// Whether jobs may ask to go: there is an access token, or none is needed. `rejected_token`: the mark of one that the vendor
    /// has refused. What has to be fetched is fetched on a task.
    pub(super) fn token_for_jobs(&mut self, now: i64, rejected_token: Option<TokenMark>) -> ForJobs {
        const SOON_MS: i64 = 5_000;
        let Some(access) = &mut self.access else { return ForJobs::Ready };
        let (fetch, again) = match access.ask(now, rejected_token) {
            TokenDecision::Nothing => return ForJobs::Ready,
            TokenDecision::Stands => return ForJobs::Stands,
            TokenDecision::Fetch => (self.fetch(now), now.saturating_add(SOON_MS)),
            // Those that wait are woken by the fetcher's report; this is for a fetcher that has died.
            TokenDecision::Wait => (Reply::Done, now.saturating_add(SOON_MS)),
            TokenDecision::Fail(_, seconds) => {
                let seconds = i64::try_from(seconds).unwrap_or(3_600);
                (Reply::Done, now.saturating_add(seconds.saturating_mul(1_000)))
            }
        };
        let ready = self.access.as_ref().is_some_and(|access| access.current(now).is_some());
        self.jobs_again = (!ready).then_some(again);
        match fetch {
            Reply::Fetch(fetch) => ForJobs::Fetch(fetch, ready),
            _ if ready => ForJobs::Ready,
            _ => ForJobs::Wait,
        }
    }

    fn fetch(&mut self, now: i64) -> Reply {
        let Some(access) = &mut self.access else { return Reply::Retry };
        let (whose, began) = (access.whose, access.began());
        match access.exchange(&self.policy, now) {
            Ok(exchange) => Reply::Fetch(Box::new(Fetch { exchange, whose, began })),
            Err(failure) => {
                access.failed(now, whose, began, failure);
                match access.ask(now, None) {
                    TokenDecision::Fail(failure, seconds) => self.no_token(&failure, seconds),
                    _ => Reply::Retry,
                }
            }
        }
    }

    /// Always a problem document: it is not the limiter that refuses.
    fn no_token(&self, failure: &Failure, seconds: u64) -> Reply {
        let may_pass = self.access.as_ref().is_some_and(TokenCache::may_pass);
        let detail = if may_pass { failure.detail_once(&self.name) } else { failure.detail(&self.name) };
        let refusal = Refusal::new(Reason::VendorUnreachable, detail);
        refused(Refusal { retry_after_seconds: Some(seconds), ..refusal })
    }
}
