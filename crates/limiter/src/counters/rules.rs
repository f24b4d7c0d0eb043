//! What counters are made from: the plan, the apps and the days.

use crate::apps::Apps;
use crate::config::{Kind, Limit, Plan, Unit};
use crate::counters::counter::{CounterKey, CounterState};
use crate::days::Days;
use crate::index::{AppId, CalendarId, LimitId};
use crate::limits::daily_quota::Daily;
use crate::limits::rolling_window::{MOST_ENTRIES, Window};
use crate::limits::token_bucket::Bucket;
use crate::pool::loan::Loan;

/// Milliseconds of a `rolling_day`.
pub(crate) const DAY_MS: u64 = 86_400_000;
/// Entries that all windows by app keep at most together; each keeps [`LEAST_ENTRIES`] in any case. At 16 bytes each, 1 MB.
const OWN_ENTRIES: usize = 65_536;
/// See [`OWN_ENTRIES`]: with 1,000 apps and 31 limits by app a call may count a quarter of its window too long.
const LEAST_ENTRIES: usize = 4;

/// What a counter is made from, at one moment.
pub struct Rules<'a> {
    pub plan: &'a Plan,
    pub apps: &'a Apps,
    pub days: &'a Days,
    /// Limiter milliseconds.
    pub time: i64,
}

impl<'a> Rules<'a> {
    /// Returns the limits of the plan, in its order.
    pub fn limits(&self) -> impl Iterator<Item = (LimitId, &'a Limit)> + use<'a> {
        LimitId::all(self.plan.limits.len()).zip(&self.plan.limits)
    }

    /// Returns the state of a counter of an app's own day which has counted nothing, with the app's
    /// budget where it has one.
    pub fn budget(&self, app: Option<AppId>) -> CounterState {
        let budget = app.and_then(|app| self.apps.get(app)).and_then(|app| app.daily_calls);
        let amount = budget.unwrap_or(u64::MAX);
        CounterState::Daily { calendar: CalendarId::OWN, count: Daily::default(), amount, unit: Unit::Calls }
    }

    /// Returns the state of a counter of that limit which has counted nothing.
    pub fn fresh(&self, limit: LimitId) -> CounterState {
        let by_app = self.plan.limit(limit).is_some_and(|limit| limit.per_app);
        let most = if by_app { self.own_entries() } else { MOST_ENTRIES };
        let none = Kind::Concurrency { calls: u64::MAX, after_ms: 0 };
        match self.plan.limit(limit).map_or(&none, |limit| &limit.kind) {
            Kind::TokenBucket { rate_micro, burst } => CounterState::Bucket(Bucket::new(*rate_micro, *burst)),
            Kind::RollingWindow { calls, window_ms, guard_ms } => {
                let window = Window::new(*calls, *window_ms, *guard_ms, most);
                CounterState::Window { window, calls: *calls, scaled: true }
            }
            Kind::RollingDay { calls } => {
                CounterState::Window { window: Window::new(*calls, DAY_MS, 0, most), calls: *calls, scaled: false }
            }
            Kind::Daily { amount, reset, unit } => {
                let calendar = self.days.find(reset).unwrap_or(CalendarId::OWN);
                CounterState::Daily { calendar, count: Daily::default(), amount: *amount, unit: *unit }
            }
            Kind::Concurrency { calls, after_ms } => {
                CounterState::Slots { calls: *calls, after_ms: i64::try_from(*after_ms).unwrap_or(i64::MAX / 4) }
            }
        }
    }

    /// Returns how many entries a window by app keeps.
    fn own_entries(&self) -> usize {
        let is_window = |limit: &&Limit| matches!(limit.kind, Kind::RollingWindow { .. } | Kind::RollingDay { .. });
        let windows = self.plan.limits.iter().filter(|limit| limit.per_app).filter(is_window).count();
        let all = windows.saturating_mul(self.apps.len()).max(1);
        OWN_ENTRIES.checked_div(all).unwrap_or(0).clamp(LEAST_ENTRIES, MOST_ENTRIES)
    }

    /// Returns the loan of a counter whose limit is a pool's.
    pub fn loan(&self, key: CounterKey) -> Option<Box<Loan>> {
        let CounterKey::Limit(limit) = key else { return None };
        let limit = self.plan.limit(limit).filter(|limit| limit.pool.is_some())?;
        Some(Box::new(Loan::new(limit, self.plan.mode, self.time)))
    }
}
