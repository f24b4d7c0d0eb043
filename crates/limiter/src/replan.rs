//! A policy edit: the same life goes on under other limits.
//!
//! One law holds for every edit: no limit lets more go afterwards than if it had been in force all along. So each limit of the new plan
//! begins with a count that is no less than what it would have counted. Two things bound that from above, and the lesser is taken:
//!
//! - what a limit of the same name and kind had counted, where that counted the same calls or more: the sum where counters of apps become
//!   one, the whole in each where one becomes many; and
//! - what the connection has sent, whichever limits there were ([`History`](crate::history)).
//!
//! Where neither is known, the limit begins full, and stays so for its window or day whatever a later edit says. What is in flight counts under every limit that may count it.

use crate::apps::{AppRule, Apps};
use crate::config::{Kind, Limit, Mode, Plan};
use crate::counters::Counters;
use crate::counters::counter::{Counter, CounterKey, CounterState};
use crate::counters::vendor_total::VendorTotal;
use crate::days::Days;
use crate::index::{AppId, CalendarId, ClassId, LaneId, LimitId, Table};
use crate::leases::ages;
use crate::limiter::{Limiter, Now};
use crate::limits::daily_quota::{Calendar, Daily, UNKNOWN, is_unknown, together};
use crate::limits::rolling_window;
use crate::queue::lanes::{Class, Moved};
use crate::queue::{Queue, Ticket, Waiting};
use std::collections::{BTreeMap, BTreeSet};

/// Days are no longer than this, milliseconds: 24 hours, and the hour by which clocks are set back.
pub(crate) const LONGEST_DAY_MS: i64 = 25 * 3_600_000;

/// What becomes of a waiting call under another plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stays {
    /// Bit i: limit i of the new plan counts it.
    pub mask: u32,
    /// The longest it will wait, milliseconds; none: as long as the queue allows.
    pub wait_ms: Option<u64>,
}

/// What was in force before.
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

    /// The counters of a limit: the one of all apps, or those of each.
    fn counters_of(&self, limit: LimitId) -> impl Iterator<Item = (Option<AppId>, &Counter)> {
        self.counters.of_limit(limit).filter_map(|(app, counter)| Some((app, self.counters.get(counter)?)))
    }

    /// The counter of an app's budget.
    fn budget(&self, app: AppId) -> Option<&Counter> {
        self.counters.get(self.counters.budget(app)?)
    }
}

impl Limiter {
    /// Puts another plan in force. `stays` tells what becomes of each call that waits: none if it may wait no longer, and then its ticket is
    /// given back. The others keep their tickets and their order. What jobs want is to be said again.
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
        self.look_at_all(time);
        gone
    }

    /// The table of apps: the plan's, then those that have left and still have counts, or calls in flight. Gives their new numbers.
    fn take_apps(&mut self, old: &Old) -> Moves {
        self.pauses.clear_apps();
        self.add_planned_apps();
        let lanes = self.leases.lanes().iter().filter(|(_, lane)| lane.leases > 0 || lane.waiting > 0);
        let mut used: BTreeSet<AppId> = lanes.map(|(_, lane)| lane.app).collect();
        for counter in old.counters.iter() {
            let counts = match &counter.state {
                CounterState::Window { window, .. } => window.total() > 0,
                CounterState::Daily { count, .. } => count.used > 0 || count.before > 0,
                CounterState::Bucket(bucket) => !bucket.is_full(self.rate.refilled(self.epoch.time())),
                CounterState::Slots { .. } => false,
            };
            used.extend(counter.app.filter(|_| counts));
        }
        let mut moved = Moves::default();
        for (at, app) in old.apps.iter() {
            let known = self.apps.find(&app.name);
            moved.push(known.or_else(|| used.contains(&at).then(|| self.add_app(AppRule::former(app.name.clone())))));
        }
        moved
    }

    /// Every counter begins with what its limit would have counted.
    fn begin_counts(&mut self, old: &Old, moved: &Moves, now: Now<'_>) {
        for app in old.apps.ids() {
            if let (Some(counter), Some(Some(at))) = (old.budget(app), moved.get(app)) {
                self.begin_budget(counter, *at, old, now);
            }
        }
        for at in LimitId::all(self.plan.limits.len()) {
            let Some(limit) = self.plan.limit(at).cloned() else { continue };
            let same = same_limit(old, &limit);
            if limit.per_app {
                self.begin_by_app(at, same, old, moved, now);
            } else {
                self.begin_shared(at, same, old, now);
            }
        }
    }

    /// An app's count of the connection's own day.
    fn begin_budget(&mut self, before: &Counter, app: AppId, old: &Old, now: Now<'_>) {
        let CounterState::Daily { count, .. } = &before.state else { return };
        let same = old.days.own().map(Calendar::reset) == self.days.own().map(Calendar::reset);
        let count = if same {
            *count
        } else {
            let known = old.days.own().and_then(|days| count_on(days, *count, self.days.own()?));
            self.lesser_day(known, self.sent_on(CalendarId::OWN, false, now))
        };
        let at = self.counter(CounterKey::Budget, Some(app));
        if let Some(CounterState::Daily { count: own, .. }) = self.counters.state_mut(at) {
            *own = count;
        }
    }

    fn begin_shared(&mut self, at: LimitId, same: Option<LimitId>, old: &Old, now: Now<'_>) {
        let Some(limit) = self.plan.limit(at).cloned() else { return };
        let was = same.and_then(|place| old.limit(place));
        let before =
            same.and_then(|place| old.counters_of(place).find(|(app, _)| app.is_none())).map(|(_, counter)| counter);
        let as_before = was.is_some_and(|was| !was.per_app && reset_of(was) == reset_of(&limit));
        let known = same.and_then(|place| self.sum(at, place, old));
        let sent = self.sent(at, false, now);
        // The vendor's own count may have raised what is known beyond what was sent from here.
        let mut state = match known {
            Some(known) if as_before => known,
            known => self.lesser(at, known, sent),
        };
        let mut owes = 0;
        if let CounterState::Daily { calendar, count, amount, bytes: false } = &mut state {
            // All apps' counts of the connection's own day are those of any limit on it.
            let sent = if *calendar == CalendarId::OWN { self.budgets() } else { *count };
            if !as_before {
                (count.used, count.before) = (count.used.min(sent.used), count.before.min(sent.before));
            }
            owes = count.used.min(sent.used);
            owes = if is_unknown(owes) { *amount } else { owes };
        }
        let counter = self.counter(CounterKey::Limit(at), None);
        let Some(entry) = self.counters.get_mut(counter) else { return };
        entry.state = state;
        if let Some(before) = before {
            entry.refused = before.refused;
            entry.vendor = before.vendor.filter(|_| as_before);
            entry.told = before.told.filter(|_| as_before).map(|told| VendorTotal::of(told.total, &limit));
        }
        let same_pool = as_before && was.is_some_and(|was| was.pool == limit.pool);
        match (&mut entry.loan, before.and_then(|before| before.loan.as_ref())) {
            // The same pool knows what it has lent.
            (Some(loan), Some(before)) if same_pool => **loan = before.for_another(loan),
            // A pool is told once of what was sent before.
            (Some(loan), _) => loan.owes = owes,
            (None, _) => {}
        }
    }

    fn begin_by_app(&mut self, at: LimitId, same: Option<LimitId>, old: &Old, moved: &Moves, now: Now<'_>) {
        let Some(limit) = self.plan.limit(at).cloned() else { return };
        let was = same.and_then(|place| old.limit(place));
        let sent = self.sent(at, true, now);
        let Some((place, was)) = same.zip(was.filter(|was| was.per_app)) else {
            // The whole in each: what all have counted, or sent.
            let known = same.and_then(|place| self.sum(at, place, old));
            return self.begin_every_app(at, self.lesser(at, known, sent));
        };
        let as_before = reset_of(was) == reset_of(&limit);
        let begin = |limiter: &Self, before: &[&CounterState]| match limiter.counted(at, place, before, old) {
            Some(known) if as_before => known,
            known => limiter.lesser(at, known, sent.clone()),
        };
        // What apps begin with that have no counter yet.
        let template = old.counters.before(place);
        let state = begin(self, &template.into_iter().collect::<Vec<_>>());
        self.begin_every_app(at, state);
        for (app, counter) in old.counters_of(place) {
            let Some(app) = app.and_then(|app| moved.get(app).copied().flatten()) else { continue };
            let state = begin(self, &[&counter.state]);
            let (vendor, refused) = (counter.vendor, counter.refused);
            let counter = self.counter(CounterKey::Limit(at), Some(app));
            if let Some(entry) = self.counters.get_mut(counter) {
                (entry.state, entry.vendor, entry.refused) = (state, vendor, refused);
            }
            self.counters.raise_fullest(at, counter);
        }
    }

    /// What every app begins with that has counted nothing of its own: no more than it has sent. Apps that have sent something today have
    /// their counters from now on, so that the status shows them.
    fn begin_every_app(&mut self, at: LimitId, state: CounterState) {
        if is_empty(&state) {
            return;
        }
        self.counters.set_before(at, state);
        for app in self.apps.ids() {
            let sent = self.counters.budget(app).and_then(|budget| self.counters.state(budget));
            if matches!(sent, Some(CounterState::Daily { count, .. }) if *count != Daily::default()) {
                let counter = self.counter(CounterKey::Limit(at), Some(app));
                self.counters.raise_fullest(at, counter);
            }
        }
    }

    /// What all counters of an old limit have counted together, as the new limit would have; none if that is not known.
    fn sum(&self, at: LimitId, place: LimitId, old: &Old) -> Option<CounterState> {
        let gauges: Vec<&CounterState> = old.counters_of(place).map(|(_, counter)| &counter.state).collect();
        let before = old.counters.before(place);
        // Apps that have no counter have counted nothing since.
        let gauges: Vec<&CounterState> = if gauges.is_empty() { before.into_iter().collect() } else { gauges };
        self.counted(at, place, &gauges, old)
    }

    /// What gauges of an old limit have counted, as the new limit `at` would have; none if that is not known.
    fn counted(&self, at: LimitId, place: LimitId, gauges: &[&CounterState], old: &Old) -> Option<CounterState> {
        let (limit, was) = (self.plan.limit(at)?, old.limit(place)?);
        let mut state = self.rules().fresh(at, limit.per_app);
        let refill = self.rate.refilled(self.epoch.time());
        let watched = old.mode == Mode::Observe;
        for before in gauges {
            match (&mut state, before) {
                (CounterState::Window { window, calls, .. }, CounterState::Window { window: was, calls: kept, .. }) => {
                    // Where limits were only watched, no more were kept than the limit held.
                    if window.span() > was.span() || (watched && *calls > *kept) {
                        return None;
                    }
                    window.take_over(was);
                }
                (CounterState::Bucket(bucket), CounterState::Bucket(was)) => {
                    // Tokens of many buckets came back side by side, and would have come back one after the other.
                    if bucket.is_slower_than(was) || gauges.len() > 1 {
                        return None;
                    }
                    bucket.take_over(was, refill);
                    // A smaller bucket may have forgiven what this one would not have: at most what it holds more.
                    bucket
                        .settle(refill, u32::try_from(bucket.burst().saturating_sub(was.burst())).unwrap_or(u32::MAX));
                }
                (
                    CounterState::Daily { calendar, count, bytes, .. },
                    CounterState::Daily { count: was_count, bytes: was_bytes, .. },
                ) => {
                    if bytes != was_bytes {
                        return None;
                    }
                    let days = old.days.of_reset(reset_of(was)?)?;
                    let known = count_on(days, *was_count, self.days.get(*calendar)?)?;
                    count.used = together(count.used, known.used);
                    count.before = together(count.before, known.before);
                }
                (CounterState::Slots { .. }, _) => {}
                _ => return None,
            }
        }
        if let CounterState::Window { window, .. } = &mut state {
            window.expire(self.epoch.time());
        }
        Some(state)
    }

    /// What the new limit `at` would have counted of all that the connection has sent; none where that is not known.
    fn sent(&self, at: LimitId, of_app: bool, now: Now<'_>) -> Option<CounterState> {
        let mut state = self.rules().fresh(at, of_app);
        let time = self.epoch.time();
        match &mut state {
            CounterState::Window { window, .. } => {
                let from = time.saturating_sub(window.span());
                if self.history.known_from().is_some_and(|known| known > from) {
                    return None;
                }
                for one in self.history.since(from) {
                    window.push(one.last, u32::try_from(one.calls).unwrap_or(u32::MAX));
                }
                window.expire(time);
            }
            CounterState::Bucket(bucket) => {
                let clock = |at: i64| self.rate.refilled_at_most(at, self.plan.adaptive.min_ppm);
                for one in self.history.since(i64::MIN) {
                    bucket.settle(clock(one.last), u32::try_from(one.calls).unwrap_or(u32::MAX));
                    bucket.forgive(clock(one.last));
                }
                if let Some(known) = self.history.known_from() {
                    bucket.drain(clock(known));
                }
                bucket.forgive(self.rate.refilled(time));
            }
            CounterState::Daily { calendar, count, bytes, .. } => *count = self.sent_on(*calendar, *bytes, now)?,
            CounterState::Slots { .. } => {}
        }
        Some(state)
    }

    /// A gauge of the new limit `at` of whose past not all is known: full until its window or day is over, also under a later policy that
    /// raises it.
    fn full(&self, at: LimitId, of_app: bool) -> CounterState {
        let mut state = self.rules().fresh(at, of_app);
        match &mut state {
            CounterState::Window { window, .. } => {
                window.push(self.history.known_from().unwrap_or(self.epoch.time()), rolling_window::UNKNOWN);
            }
            CounterState::Bucket(bucket) => bucket.drain(self.rate.refilled(self.epoch.time())),
            CounterState::Daily { calendar, count, bytes, .. } => {
                let opened = self.days.get(*calendar).map_or(i64::MAX, Calendar::opened);
                let ended = self.history.since(self.epoch.limiter_time(opened));
                let ended = ended.map(|one| if *bytes { one.bytes } else { one.calls }).fold(0, u64::saturating_add);
                let in_flight = if *bytes { 0 } else { self.in_flight() };
                *count = Daily { used: together(UNKNOWN, ended.saturating_add(in_flight)), before: UNKNOWN };
            }
            CounterState::Slots { .. } => {}
        }
        state
    }

    /// What the connection has sent on the day that is open under a calendar, and on the one before while that is: what has ended, and what
    /// is in flight. None if that is not known.
    fn sent_on(&self, calendar: CalendarId, bytes: bool, now: Now<'_>) -> Option<Daily> {
        let days = self.days.get(calendar)?;
        let since = |wall: i64| {
            let from = self.epoch.limiter_time(wall);
            if bytes { self.history.bytes_since(from) } else { self.history.calls_since(from) }
        };
        let in_flight = if bytes { 0 } else { self.in_flight() };
        let used = since(days.opened())?.saturating_add(in_flight);
        let before = since(days.opened().saturating_sub(LONGEST_DAY_MS)).map(|n| n.saturating_add(in_flight));
        // When it is over it holds nobody back, but a later edit may bring a day that opened in it.
        let before = if now.wall < days.before_over() { before? } else { before.unwrap_or(UNKNOWN) };
        Some(Daily { used, before })
    }

    /// Of two counts of the new limit `at`, neither of which is too small, the lesser; full where there is none.
    fn lesser(&self, at: LimitId, known: Option<CounterState>, sent: Option<CounterState>) -> CounterState {
        let of_app = self.plan.limit(at).is_some_and(|limit| limit.per_app);
        let (known, sent) = match (known, sent) {
            (Some(known), Some(sent)) => (known, sent),
            (one, other) => return one.or(other).unwrap_or_else(|| self.full(at, of_app)),
        };
        let refill = self.rate.refilled(self.epoch.time());
        match (&known, &sent) {
            (CounterState::Window { window: one, .. }, CounterState::Window { window: other, .. })
                if other.total() < one.total() =>
            {
                sent
            }
            (CounterState::Bucket(one), CounterState::Bucket(other)) if other.debt(refill) < one.debt(refill) => sent,
            (CounterState::Daily { count: one, calendar, amount, bytes }, CounterState::Daily { count: other, .. }) => {
                let count = Daily { used: one.used.min(other.used), before: one.before.min(other.before) };
                CounterState::Daily { calendar: *calendar, count, amount: *amount, bytes: *bytes }
            }
            _ => known,
        }
    }

    fn lesser_day(&self, known: Option<Daily>, sent: Option<Daily>) -> Daily {
        match (known, sent) {
            (Some(one), Some(other)) => Daily { used: one.used.min(other.used), before: one.before.min(other.before) },
            (one, other) => one.or(other).unwrap_or(Daily { used: UNKNOWN, before: UNKNOWN }),
        }
    }

    /// What all apps have sent on the connection's own day.
    fn budgets(&self) -> Daily {
        let mut all = Daily::default();
        for at in self.apps.ids().filter_map(|app| self.counters.budget(app)) {
            if let Some(CounterState::Daily { count, .. }) = self.counters.state(at) {
                all.used = together(all.used, count.used);
                all.before = together(all.before, count.before);
            }
        }
        all
    }

    /// Every lane moves to the limits that count its calls now. Of a limit that the plan did not have, or that counted other calls, it is
    /// not known whether it counts what is in flight: so it does.
    fn move_lanes(&mut self, old: &Old, moved: &Moves) {
        let places: Table<LimitId, Option<LimitId>> =
            self.plan.limits.iter().take(32).map(|limit| same_limit(old, limit)).collect();
        let mask_of = |before: u32| {
            let counts = |place: &Option<LimitId>| place.is_none_or(|old| old.is_in(before));
            places.iter().filter(|(_, place)| counts(place)).fold(0, |mask, (at, _)| mask | at.bit())
        };
        let mut lanes = std::mem::take(self.leases.lanes_mut());
        lanes.iter_mut().for_each(|(_, lane)| lane.waiting = 0);
        let mut classes: Table<ClassId, Class> = Table::default();
        let mut numbers: BTreeMap<u32, ClassId> = BTreeMap::new();
        lanes.drop_idle(i64::MAX);
        let all: Vec<(LaneId, AppId, u32)> = lanes.iter().map(|(at, lane)| (at, lane.app, lane.mask)).collect();
        let mut to: BTreeMap<LaneId, Moved> = BTreeMap::new();
        for (at, app, mask) in all {
            // Apps with something in flight have kept their place.
            let Some(app) = moved.get(app).copied().flatten() else { continue };
            let mask = mask_of(mask);
            let (counters, own) = self.counters_under(app, mask);
            let class = *numbers
                .entry(mask)
                .or_insert_with(|| classes.push(Class::new(mask, self.counters.shared_under(mask))));
            to.insert(at, Moved { app, mask, class, counters, own });
        }
        lanes.rearrange(classes, |at| to.remove(&at));
        *self.leases.lanes_mut() = lanes;
        let (counters, time) = (self.counters.len(), self.epoch.time());
        self.leases.recount(counters, time);
        let mut prior = std::mem::take(&mut self.prior);
        prior.recount(counters, &self.leases);
        self.prior = prior;
    }

    /// Everybody who waits stands where the plan says.
    fn move_queue(
        &mut self,
        old: &Old,
        moved: &Moves,
        stays: &mut impl FnMut(Ticket, &str) -> Option<Stays>,
    ) -> Vec<Ticket> {
        let time = self.epoch.time();
        let mut to: BTreeMap<u64, (Waiting, ClassId)> = BTreeMap::new();
        for (ticket, call) in self.queue.everybody() {
            let name = old.apps.name(call.app);
            let Some(stays) = stays(ticket, name).filter(|_| call.jobs == 0) else { continue };
            let Some(app) = moved.get(call.app).copied().flatten() else { continue };
            let Some(lane) = self.lane(app, stays.mask) else { continue };
            let class = self.class_of(lane);
            self.waits_on(lane, true);
            let deadline = self.deadline(call.arrived, stays.wait_ms).max(time);
            to.insert(ticket.number(), (Waiting { app, lane, deadline, ..call }, class));
        }
        let before: BTreeMap<AppId, AppId> = moved.iter().filter_map(|(from, to)| Some(((*to)?, from))).collect();
        let apps = self.apps.iter().map(|(at, app)| (app.weight, before.get(&at).copied()));
        let mut jobs = BTreeSet::new();
        let gone = self.queue.rearrange(self.plan.queue.size, apps, |ticket, call| {
            let place = to.remove(&ticket.number());
            if call.jobs > 0 {
                jobs.insert(ticket);
            }
            place
        });
        // Deadlines are others: each is looked at when its own comes.
        for (ticket, call) in self.queue.everybody() {
            self.queue.check_again(ticket, call.deadline);
        }
        gone.into_iter().filter(|ticket| !jobs.contains(ticket)).collect()
    }
}

/// Where the limit was among the old ones, if it was there and counted these calls or more.
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

const fn reset_of(limit: &Limit) -> Option<&crate::calendar::Reset> {
    match &limit.kind {
        Kind::Daily { reset, .. } => Some(reset),
        _ => None,
    }
}

/// What a count on the days of one calendar is at least on those of another; none if that does not follow.
fn count_on(days: &Calendar, count: Daily, other: &Calendar) -> Option<Daily> {
    if days.reset() == other.reset() {
        return Some(count);
    }
    // The day before ours is no shorter than 23 hours.
    const SHORTEST_DAY_MS: i64 = 23 * 3_600_000;
    let known_from = days.opened().saturating_sub(SHORTEST_DAY_MS);
    let all = (!is_unknown(count.before)).then(|| together(count.used, count.before));
    let since = |opened: i64| match opened {
        opened if opened >= days.opened() => Some(count.used),
        opened if opened >= known_from => all,
        _ => None,
    };
    let used = since(other.opened())?;
    Some(Daily { used, before: since(other.opened().saturating_sub(LONGEST_DAY_MS)).unwrap_or(UNKNOWN) })
}

fn is_empty(state: &CounterState) -> bool {
    match state {
        CounterState::Window { window, .. } => window.total() == 0,
        CounterState::Daily { count, .. } => *count == Daily::default(),
        CounterState::Bucket(_) => false,
        CounterState::Slots { .. } => true,
    }
}
