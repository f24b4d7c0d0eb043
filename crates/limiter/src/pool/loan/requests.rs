//! The limiter's requests to pools, and their answers.

use crate::config::Kind;
use crate::counters::counter::Counter;
use crate::index::{CounterId, LimitId};
use crate::limiter::{Limiter, Now};
use crate::pool::loan::{Loan, OVER, REPORT_MS};
use crate::pool::retry::{Asked, Dry};
use crate::pool::{LoanGrant, LoanRequest};

impl Limiter {
    fn loan(&self, counter: CounterId) -> Option<&Loan> {
        self.counters.get(counter)?.loan.as_deref()
    }

    fn loan_mut(&mut self, counter: CounterId) -> Option<&mut Loan> {
        self.counters.get_mut(counter)?.loan.as_deref_mut()
    }

    /// Returns the loans of limits that are a pool's. A pool is for all apps.
    pub(crate) fn pooled(&self) -> impl Iterator<Item = (LimitId, &Loan)> {
        self.counters.all_shared().filter_map(|(limit, counter)| Some((limit, self.loan(counter)?)))
    }

    /// Returns the next request to a pool: the pool's name, the limit's place in the plan, and the
    /// request. The answer goes to [`Limiter::lent`]. To be called after every event until there is
    /// none.
    pub fn next_borrow(&mut self, now: Now<'_>) -> Option<(String, u32, LoanRequest)> {
        if self.plan.limits.iter().all(|limit| limit.pool.is_none()) {
            return None;
        }
        let time = self.begin(now);
        for limit in self.pooled().map(|(limit, _)| limit).collect::<Vec<LimitId>>() {
            let Some(counter) = self.counters.shared(limit) else { continue };
            let Some((turn, asked)) = self.turn_due(counter, time) else { continue };
            let (epoch, life_ms) = (self.epoch.number(), self.lease_ms());
            let vendor = self.counters.get(counter).and_then(Counter::vendor_of_pool).unwrap_or(0);
            let owes = self.loan(counter).map_or(0, |loan| loan.owing);
            let Some(rule) = self.plan.limit(limit) else { continue };
            let (Kind::Daily { amount, reset, .. }, Some(pool)) = (&rule.kind, &rule.pool) else { continue };
            let words = LoanRequest {
                who: rule.name.clone(),
                epoch,
                turn,
                want: asked.want,
                unused: asked.unused,
                owes,
                amount: *amount,
                reset: reset.clone(),
                vendor,
                life_ms,
            };
            return Some((pool.clone(), limit.0, words));
        }
        None
    }

    /// Begins a counter's next turn, or repeats one that was not answered, if either is due.
    fn turn_due(&mut self, counter: CounterId, time: i64) -> Option<(u64, Asked)> {
        let (wanted, callers_wait) = (self.wanted(counter, time), self.queue.callers() > 0);
        let loan = self.loan_mut(counter)?;
        if let Some(asked) = &mut loan.asked {
            asked.again(callers_wait).filter(|at| *at <= time)?;
            asked.failed = None;
            return Some((loan.turn, *asked));
        }
        if loan.watched {
            if (loan.owes == 0 && !loan.declares) || time < loan.reported_at.saturating_add(REPORT_MS) {
                return None;
            }
            let asked = Asked::new(time, 0, 0);
            (loan.turn, loan.reported_at, loan.asked) = (loan.turn.saturating_add(1), time, Some(asked));
            loan.owing = loan.owes;
            return Some((loan.turn, asked));
        }
        loan.owing = loan.owes;
        let over = time > loan.until;
        let dry = loan.dry_at(time).is_some();
        if (loan.hand > 0 && !over) || (loan.hand == 0 && loan.owes == 0 && !loan.declares && (wanted == 0 || dry)) {
            return None;
        }
        // Used up within its time, it was too small: those that come meanwhile need as many again.
        let pace = if over { 0 } else { loan.spent };
        let want = if wanted == 0 || dry { 0 } else { wanted.max(pace) };
        let asked = Asked::new(time, want, loan.hand);
        loan.turn = loan.turn.saturating_add(1);
        (loan.hand, loan.spent, loan.asked) = (0, 0, Some(asked));
        Some((loan.turn, asked))
    }

    /// Returns how many waiting calls lack nothing but a loan under a counter, as far as is known.
    fn wanted(&mut self, counter: CounterId, time: i64) -> u32 {
        if self.paused(time).is_some() || self.loan(counter).is_none() {
            return 0;
        }
        let (queue, mut here) = self.split();
        let mut wanted: u64 = 0;
        for class in queue.ready_classes().collect::<Vec<_>>() {
            let shared = here.view.leases.lanes().shared(class);
            let mut fits = shared.contains(&counter);
            for &other in shared.iter().filter(|other| **other != counter) {
                let Some((entry, view)) = here.get(other) else { continue };
                fits = fits && (entry.has_room(other, view) || entry.awaits_loan(view));
            }
            if fits {
                wanted = wanted.saturating_add(queue.ready_in(class, &mut here));
            }
        }
        u32::try_from(wanted).unwrap_or(u32::MAX)
    }

    /// Takes the pool's answer to a turn; none if there was none.
    pub fn lent(&mut self, now: Now<'_>, limit: u32, turn: u64, answer: Option<LoanGrant>) {
        let time = self.begin(now);
        let Some(counter) = self.counters.shared(LimitId(limit)) else { return };
        let more_in = answer.map_or(0, |lent| lent.dry_until.saturating_sub(now.wall));
        let Some(loan) = self.loan_mut(counter).filter(|loan| loan.turn == turn) else { return };
        let Some(asked) = loan.asked.as_mut() else { return };
        let taken_for_late = |lent: &LoanGrant| lent.n == 0 && lent.dry_until == 0 && asked.want > 0;
        let Some(lent) = answer.filter(|lent| !taken_for_late(lent)) else {
            asked.failed = Some(time);
            return;
        };
        let asked = *asked;
        let stale = std::mem::take(&mut loan.stale);
        let until = if stale { OVER } else { asked.at.saturating_add(lent.spend_ms) };
        (loan.asked, loan.hand, loan.until) = (None, lent.n, until);
        loan.owes = loan.owes.saturating_sub(std::mem::take(&mut loan.owing));
        loan.declares = stale;
        let empty = lent.n == 0 && asked.want > 0 && !stale;
        if empty {
            let since = *loan.empty_since.get_or_insert(time);
            loan.dry = Some(Dry::new(time, since, more_in, lent.dry_until));
        } else if asked.want > 0 {
            loan.dry = None;
        }
        // While the day before is open, it may be that day's count.
        loan.seen = lent.used.saturating_sub(u64::from(lent.n));
        self.reservation.touch();
        self.grant_ready(time);
        if empty {
            self.recheck_all(time);
        }
    }

    /// Returns when a loan is over, a request is to be repeated, something is to be reported, or an
    /// empty pool may be asked anew for waiting calls; limiter milliseconds.
    pub(crate) fn loans_due(&self, time: i64) -> Option<i64> {
        let callers_wait = self.queue.callers() > 0;
        let due = |loan: &Loan| match (&loan.asked, loan.hand) {
            (Some(asked), _) => asked.again(callers_wait),
            (None, _) if loan.watched => {
                (loan.owes > 0 || loan.declares).then(|| loan.reported_at.saturating_add(REPORT_MS))
            }
            (None, 1..) => Some(loan.until.max(time).saturating_add(1)),
            (None, 0) if loan.owes > 0 || loan.declares => Some(time),
            (None, 0) => loan.dry.map(|dry| dry.again).filter(|again| *again > time && !self.queue.is_empty()),
        };
        self.pooled().filter_map(|(_, loan)| due(loan)).min()
    }

    /// Returns when the next epoch should declare this connection's number to a pool, if this one
    /// ends before the pool has learnt it; Unix milliseconds; none once it has.
    pub fn next_declaration(&self) -> Option<i64> {
        let (time, callers_wait) = (self.epoch.time(), self.queue.callers() > 0);
        let due = |loan: &Loan| loan.asked.map_or(time, |asked| asked.again_or_lost(callers_wait));
        let next = self.pooled().filter(|(_, loan)| loan.declares).map(|(_, loan)| due(loan)).min()?;
        Some(self.epoch.wall_time(next.max(time)))
    }
}
