//! A policy edit: the same epoch goes on under other limits.
//!
//! One law holds for every edit: no limit lets more go afterwards than if it had been in force all along. So each limit of the new plan
//! begins with a count that is no less than what it would have counted. Two things bound that from above, and the lesser is taken:
//!
//! - what a limit of the same name and kind had counted, where that counted the same calls or more: the sum where counters of apps become
//!   one, the whole in each where one becomes many; and
//! - what the connection has sent, whichever limits there were ([`History`](crate::history)).
//!
//! Where neither is known, the limit begins full, and stays so for its window or day whatever a later edit says. What is in flight counts
//! under every limit that may count it.

mod begin;
mod counted;
mod moves;

use crate::apps::Apps;
use crate::config::{Kind, Limit, Mode, Plan};
use crate::counters::Counters;
use crate::counters::counter::Counter;
use crate::days::Days;
use crate::index::{AppId, LimitId, Table};
use crate::leases::ageing::ages;
use crate::limiter::{Limiter, Now};
use crate::queue::{Queue, Ticket};

/// Days are no longer than this, milliseconds: 24 hours, and the hour by which clocks are set back.
pub(crate) const LONGEST_DAY_MS: i64 = 25 * 3_600_000;

/// What becomes of a waiting call under another plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stays {
    /// Bit i is set if limit i of the new plan counts the call.
    pub mask: u32,
    /// The longest it will wait, milliseconds; if none, as long as the queue allows.
    pub wait_ms: Option<u64>,
}

/// The plan that was in force before, and its counts.
struct Old {
    limits: Table<LimitId, Limit>,
    mode: Mode,
    apps: Apps,
    days: Days,
    counters: Counters,
}

/// By the number of an app in the old table, its number in the new one; none if it is not there.
type Moves = Table<AppId, Option<AppId>>;

impl Old {
    fn limit(&self, limit: LimitId) -> Option<&Limit> {
        self.limits.get(limit)
    }

    /// Returns the counters of a limit: the one of all apps, or that of each app.
    fn counters_of(&self, limit: LimitId) -> impl Iterator<Item = (Option<AppId>, &Counter)> {
        self.counters.of_limit(limit).filter_map(|(app, counter)| Some((app, self.counters.get(counter)?)))
    }

    /// Returns the counter of an app's budget.
    fn budget(&self, app: AppId) -> Option<&Counter> {
        self.counters.get(self.counters.budget(app)?)
    }
}

impl Limiter {
    /// Puts another plan in force. `stays` is called with the ticket and the app of each waiting call, and returns what becomes of it; none if
    /// it may wait no longer. Returns the tickets of those. The others keep their tickets and their order. How many jobs want to go is to be
    /// set again ([`Limiter::want`]).
    pub fn replan(
        &mut self,
        plan: Plan,
        now: Now<'_>,
        mut stays: impl FnMut(Ticket, &str) -> Option<Stays>,
    ) -> Vec<Ticket> {
        let time = self.begin(now);
        let mut days = Days::new(&plan, now);
        let old = Old {
            limits: std::mem::take(&mut self.plan.limits).into_iter().collect(),
            mode: self.plan.mode,
            apps: std::mem::take(&mut self.apps),
            days: std::mem::take(&mut self.days),
            counters: std::mem::replace(&mut self.counters, Counters::new(&plan.limits)),
        };
        days.keep(&old.days);
        self.days = days;
        self.rate.follow(&plan.adaptive, time);
        self.counters.keep_refused(&old.counters);
        self.plan = plan;
        self.leases.watch_ages(ages(&self.plan.limits));
        let waiting = std::mem::replace(&mut self.queue, Queue::new(0, std::iter::empty()));
        let moved = self.take_apps(&old);
        self.begin_counts(&old, &moved, now);
        self.queue = waiting;
        self.move_lanes(&old, &moved);
        let gone = self.move_queue(&old, &moved, &mut stays);
        self.jobs.clear_places();
        if self.plan.mode == Mode::Observe {
            self.rate.end_turns();
        }
        self.close(time);
        self.require_snapshot();
        if self.plan.mode == Mode::Observe {
            self.let_all_go(time);
        }
        self.grant_ready(time);
        self.recheck_all(time);
        gone
    }
}

/// Returns the place of a limit in the old plan, if it was there and counted the same calls or
/// more.
fn same_limit(old: &Old, limit: &Limit) -> Option<LimitId> {
    let unit = |limit: &Limit| match limit.kind {
        Kind::Daily { unit, .. } => Some(unit),
        _ => None,
    };
    let same = |was: &Limit| {
        let kind = std::mem::discriminant(&was.kind) == std::mem::discriminant(&limit.kind);
        let routes = was.routes == limit.routes || was.routes == 0;
        was.name == limit.name && kind && unit(was) == unit(limit) && routes
    };
    old.limits.iter().find(|(_, was)| same(was)).map(|(place, _)| place)
}
