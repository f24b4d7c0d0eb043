//! The permits that a connection's jobs ask for, hold and give back.

use super::ConnectionState;
use crate::protocol::{Fetch, Route};
use crate::tenant::store::Host;
use sluice_limiter::{Grant, PermitId};

/// What jobs need for an access token.
pub(in crate::tenant) enum TokenForJobs {
    /// Jobs need nothing.
    Ready,
    /// Jobs wait for the token.
    Wait,
    /// A task is to fetch the token.
    Fetch(Box<Fetch>, Meanwhile),
    /// There is no other token, so the vendor's refusal stands.
    Stands,
}

/// What jobs do while their access token is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tenant) enum Meanwhile {
    /// Jobs go with the token that still works.
    JobsGo,
    /// Jobs wait.
    JobsWait,
}

/// The permits of jobs, and when jobs ask for more.
#[derive(Default)]
pub(in crate::tenant) struct JobPermits {
    /// The permits of this epoch that were granted to jobs and are not on their way yet, the first
    /// first.
    unsent: Vec<PermitId>,
    /// When jobs ask again that lack an access token now, in Unix milliseconds.
    asks_again_at: Option<i64>,
}

impl JobPermits {
    /// When jobs ask again that lack an access token now, in Unix milliseconds.
    pub(super) const fn asks_again_at(&self) -> Option<i64> {
        self.asks_again_at
    }

    /// Sets when jobs ask again that lack an access token now; none if they lack none.
    pub(super) const fn wait_for_token(&mut self, asks_again_at: Option<i64>) {
        self.asks_again_at = asks_again_at;
    }

    /// Forgets that jobs have lacked an access token.
    pub(super) const fn forget_token_wait(&mut self) {
        self.asks_again_at = None;
    }

    /// The permits that are not on their way yet, by lane and number.
    pub(super) fn unsent(&self) -> Vec<PermitId> {
        let mut unsent = self.unsent.clone();
        unsent.sort_unstable_by_key(|permit| (permit.lane, permit.seq));
        unsent
    }

    /// Removes a permit that is on its way, or was handed back. Permits leave in the order in which
    /// they came.
    pub(super) fn remove(&mut self, permit: PermitId) {
        if let Some(at) = self.unsent.iter().position(|unsent| *unsent == permit) {
            self.unsent.remove(at);
        }
    }

    /// Forgets all permits: the limiter's epoch ends.
    pub(super) fn clear(&mut self) {
        self.unsent.clear();
    }
}

impl ConnectionState {
    /// Begins to look at the connection's jobs: what they have lacked before is looked at anew.
    pub(in crate::tenant) const fn begin_jobs(&mut self) {
        self.job_permits.forget_token_wait();
    }

    /// The next permit that the limiter grants to a job, and the lane that it grants it on.
    pub(in crate::tenant) fn next_job_grant(&mut self) -> Option<(u32, Grant)> {
        self.limiter.next_job()
    }

    /// Tells the limiter how many jobs of an app, counted by these limits, want to go. Gives the
    /// limiter's lane for them.
    pub(in crate::tenant) fn want(
        &mut self,
        (app, mask): (&str, u32),
        jobs: u32,
        urgency: u8,
        host: &Host<'_>,
    ) -> Option<u32> {
        self.limiter.want(host.time(), app, mask, jobs, urgency)
    }

    /// Notes that a job has got a permit, which is not on its way yet.
    pub(in crate::tenant) fn granted_to_job(&mut self, permit: PermitId) {
        self.job_permits.unsent.push(permit);
    }

    /// Notes that a job's permit is on its way.
    pub(in crate::tenant) fn job_leaves(&mut self, permit: PermitId) {
        self.job_permits.remove(permit);
    }

    /// What the run of a job is sent with: the route, and the `RateLimit` field.
    pub(in crate::tenant) fn route_for_run(&mut self, permit: PermitId) -> (Box<Route>, String) {
        (Box::new(self.rules.route().clone()), self.remaining(permit))
    }
}
