//! The counters of the new plan, each of which begins with what its limit would have counted.

use crate::config::Unit;
use crate::counters::counter::{Counter, CounterKey, CounterState};
use crate::counters::vendor_total::VendorTotal;
use crate::index::{AppId, CalendarId, LimitId};
use crate::limiter::{Limiter, Now};
use crate::limits::daily_quota::{Calendar, Daily, is_unknown};
use crate::replan::counted::{count_on, reset_of};
use crate::replan::{Moves, Old, same_limit};

impl Limiter {
    /// Makes the counters of the new plan, and begins each with what its limit would have counted.
    pub(super) fn begin_counts(&mut self, old: &Old, moved: &Moves, now: Now<'_>) {
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

    /// Begins an app's count of the connection's own day.
    fn begin_budget(&mut self, before: &Counter, app: AppId, old: &Old, now: Now<'_>) {
        let CounterState::Daily { count, .. } = &before.state else { return };
        let same = old.days.own().map(Calendar::reset) == self.days.own().map(Calendar::reset);
        let count = if same {
            *count
        } else {
            let known = old.days.own().and_then(|days| count_on(days, *count, self.days.own()?));
            self.lesser_day(known, self.sent_on(CalendarId::OWN, Unit::Calls, now))
        };
        let at = self.counter(CounterKey::Budget, Some(app));
        if let Some(CounterState::Daily { count: own, .. }) = self.counters.state_mut(at) {
            *own = count;
        }
    }

    /// Begins the counter of a limit that counts all apps' calls together.
    fn begin_shared(&mut self, at: LimitId, same: Option<LimitId>, old: &Old, now: Now<'_>) {
        let Some(limit) = self.plan.limit(at).cloned() else { return };
        let was = same.and_then(|place| old.limit(place));
        let before =
            same.and_then(|place| old.counters_of(place).find(|(app, _)| app.is_none())).map(|(_, counter)| counter);
        let as_before = was.is_some_and(|was| !was.per_app && reset_of(was) == reset_of(&limit));
        let known = same.and_then(|place| self.sum(at, place, old));
        let sent = self.sent(at, now);
        // The vendor's own count may have raised what is known beyond what was sent from here.
        let mut state = match known {
            Some(known) if as_before => known,
            known => self.lesser(at, known, sent),
        };
        let mut owes = 0;
        if let CounterState::Daily { calendar, count, amount, unit: Unit::Calls } = &mut state {
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
            entry.vendor_count = before.vendor_count.filter(|_| as_before);
            entry.vendor_total =
                before.vendor_total.filter(|_| as_before).map(|vendor| VendorTotal::of(vendor.total, &limit));
        }
        let same_pool = as_before && was.is_some_and(|was| was.pool == limit.pool);
        match (&mut entry.loan, before.and_then(|before| before.loan.as_ref())) {
            // The same pool knows what it has lent.
            (Some(loan), Some(before)) if same_pool => **loan = before.for_another(loan),
            // What was sent before is reported to a pool once.
            (Some(loan), _) => loan.owes = owes,
            (None, _) => {}
        }
    }

    /// Begins the counters of a limit by app.
    fn begin_by_app(&mut self, at: LimitId, same: Option<LimitId>, old: &Old, moved: &Moves, now: Now<'_>) {
        let Some(limit) = self.plan.limit(at).cloned() else { return };
        let was = same.and_then(|place| old.limit(place));
        let sent = self.sent(at, now);
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
            let (vendor, refused) = (counter.vendor_count, counter.refused);
            let counter = self.counter(CounterKey::Limit(at), Some(app));
            if let Some(entry) = self.counters.get_mut(counter) {
                (entry.state, entry.vendor_count, entry.refused) = (state, vendor, refused);
            }
            self.counters.raise_fullest(at, counter);
        }
    }

    /// Sets what every app begins with that no counter has counted yet, which is no more than it
    /// has sent. Apps that have sent something today get their counters now, so that the status
    /// shows them.
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
}

/// Whether a limit in this state has counted nothing.
fn is_empty(state: &CounterState) -> bool {
    match state {
        CounterState::Window { window, .. } => window.total() == 0,
        CounterState::Daily { count, .. } => *count == Daily::default(),
        CounterState::Bucket(_) => false,
        CounterState::Slots { .. } => true,
    }
}
