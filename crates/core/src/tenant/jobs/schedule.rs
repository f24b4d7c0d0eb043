//! The jobs' part in the limiter's queue: how many want to go, and which of them gets a permit.

use super::{Jobs, Pending};
use crate::jobs::index::Stage;
use crate::protocol::Fetch;
use crate::tenant::connection::{ConnectionState, Meanwhile, TokenForJobs};
use crate::tenant::state::TenantState;
use crate::tenant::store::Host;
use crate::tenant::task::{Fetching, MOST_ASKED, MOST_UNSENT, SLOW_MS};
use sluice_limiter::Grant;

impl TenantState {
    /// Gives the limiter's permits to the jobs of a connection, and tells the limiter how many want
    /// to go on the lanes where that has changed.
    pub(in crate::tenant) fn sync_jobs(&mut self, name: &str, host: &mut Host<'_>) {
        let jobs = &mut self.jobs;
        let Some(connection) = self.connections.get_mut(name) else {
            // There is nobody to notify.
            while let Some((lane, _)) = jobs.index.lanes.next_changed(name) {
                jobs.index.lanes.said(lane, None, None);
            }
            return;
        };
        connection.begin_jobs();
        if jobs.index.lanes.has_waiting(name) {
            let held_back = !jobs.has_token(connection, host.now);
            jobs.index.lanes.hold_back(name, held_back);
        }
        jobs.index.lanes.repeat_one(name);
        loop {
            while let Some((lane, grant)) = connection.next_job_grant() {
                jobs.give(connection, lane, &grant, host);
            }
            let may_ask = jobs.may_ask(host.now);
            if may_ask == 0 {
                let known = jobs.held_up.iter().any(|known| known == name);
                if !known && jobs.index.lanes.has_changed(name) {
                    jobs.held_up.push_back(name.to_owned());
                }
                return;
            }
            let Some((at, held_back)) = jobs.index.lanes.next_changed(name) else { return };
            let (wanted, urgency, rises) = if held_back { (0, 0, None) } else { jobs.index.wants(at, host.now) };
            let wanted = wanted.min(may_ask);
            let Some(lane) = jobs.index.lanes.get(at) else { continue };
            let told = match wanted {
                0 if !lane.is_told() => None,
                _ => connection.want((&lane.app, lane.mask), wanted, urgency, host).filter(|_| wanted > 0),
            };
            jobs.index.lanes.said(at, told, rises.filter(|_| wanted > 0));
        }
    }
}

impl Jobs {
    /// How many jobs of a lane may ask for a permit: none while too many tasks have not left, or
    /// leave too slowly.
    pub(super) fn may_ask(&self, now: i64) -> u32 {
        let unsent = self.pending.len();
        let oldest = self.pending.iter().find_map(|pending| match pending {
            Pending::Run { at, .. } => Some(*at),
            Pending::Fetch(_) => None,
        });
        if unsent > MOST_UNSENT || oldest.is_some_and(|at| now.saturating_sub(at) > SLOW_MS) {
            return 0;
        }
        u32::try_from(MOST_ASKED.saturating_sub(unsent)).unwrap_or(0)
    }

    /// Whether the jobs of a connection may ask to go, as far as an access token is concerned.
    fn has_token(&mut self, connection: &mut ConnectionState, now: i64) -> bool {
        match connection.token_for_jobs(now, None) {
            TokenForJobs::Ready => true,
            TokenForJobs::Wait | TokenForJobs::Stands => false,
            TokenForJobs::Fetch(fetch, meanwhile) => {
                self.fetch(connection, *fetch);
                meanwhile == Meanwhile::JobsGo
            }
        }
    }

    /// Adds the task that fetches an access token.
    pub(super) fn fetch(&mut self, connection: &ConnectionState, fetch: Fetch) {
        let (tenant, connection) = (connection.tenant().to_owned(), connection.name().to_owned());
        self.pending.push_back(Pending::Fetch(Box::new(Fetching { tenant, connection, fetch })));
    }

    /// Gives a permit to the first job of a lane, or back if there is none.
    fn give(&mut self, connection: &mut ConnectionState, told: u32, grant: &Grant, host: &Host<'_>) {
        let lane = self.index.lanes.of_told(connection.name(), told);
        let Some(entry) = lane.and_then(|lane| self.index.first(lane)) else {
            return connection.hand_back(grant.permit, host);
        };
        self.index.set(entry.id, Stage::Granted, entry.at);
        connection.granted_to_job(grant.permit);
        let (id, connection, permit) = (entry.id, connection.name().to_owned(), grant.permit);
        self.pending.push_back(Pending::Run { id, connection, permit, at: host.now });
    }
}
