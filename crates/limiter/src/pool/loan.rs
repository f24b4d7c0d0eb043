//! A daily limit that is a pool's: its calls go on permits that the pool has lent. They are in hand before the limits are checked, so
//! that checking and taking stay one step.
//!
//! A call that lacks nothing but a loan waits for it, whatever else it may wait. What is left of a loan when its time is over goes
//! back with the next turn. A loan is in memory only: an epoch that ends unnoticed spends no more of it. What is known of the pool is
//! stored.

use crate::config::{Kind, Limit, Mode};
use crate::counters::counter::Counter;
use crate::index::{CounterId, LimitId};
use crate::limiter::{Limiter, Now};
use crate::pool::retry::{Asked, Dry};
use crate::pool::{LoanGrant, LoanRequest};
use serde::{Deserialize, Serialize};

/// A call waits so long for a loan at least, milliseconds; after that its pool cannot be reached.
pub(crate) const LOAN_WAIT_MS: i64 = 2_000;
/// The calls of a connection that is only watched are reported to its pool at most so often, milliseconds.
const REPORT_MS: i64 = 1_000;

/// The end of a loan that may not be spent at all, limiter milliseconds.
const OVER: i64 = i64::MIN / 4;

/// What a counter holds of its pool. Times are limiter milliseconds.
#[derive(Debug, Clone, Default)]
pub struct Loan {
    /// How many permits are in hand.
    hand: u32,
    /// Until when they may be spent.
    until: i64,
    turn: u64,
    /// How many were spent since the last turn.
    spent: u32,
    asked: Option<Asked>,
    /// What this connection declares the day to hold: the pool's answers go by it.
    amount: u64,
    /// Whether `amount` was another number when the running turn began: what its answer brings goes back unspent.
    stale: bool,
    /// The pool was found empty by the last ask that wanted permits.
    dry: Option<Dry>,
    /// Since when it has been found empty, now and again, with no permit spent in between. A permit that was lent and comes back unspent
    /// does not end that: it lacked another limit's, and the two would be lent in turns for ever.
    empty_since: Option<i64>,
    /// How many calls of today no loan was spent for, since they were made before the limit was the pool's. They are reported to it once.
    pub owes: u64,
    /// How many of these the running turn reports.
    owing: u64,
    /// How much the pool had lent in all, less what is in hand; for the status.
    seen: u64,
    /// What `share` leaves to others of what the vendor counts.
    pub others: u64,
    /// Whether limits are only watched: nothing is borrowed, and calls are reported to the pool after they were made.
    watched: bool,
    /// When calls were last reported.
    reported_at: i64,
    /// Whether the pool has yet to learn what this connection declares the day to hold: the smallest number holds for all of its connections,
    /// also that of one that makes no call.
    pub declares: bool,
}

/// What is stored of a counter's loan: what its pool has answered, and what it has yet to learn.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct StoredLoan {
    /// The limit's place in the plan.
    pub limit: LimitId,
    /// How much the pool had lent in all, less what was in hand.
    seen: u64,
    dry: Option<Dry>,
    empty_since: Option<i64>,
    declares: bool,
}

impl Loan {
    /// A loan with nothing in hand yet, of which the pool has yet to learn. Its turns count on from the time, so that those of a loan that an
    /// edit ended are not taken for later ones.
    pub fn new(limit: &Limit, mode: Mode, time: i64) -> Self {
        let amount = if let Kind::Daily { amount, .. } = &limit.kind { *amount } else { 0 };
        Self {
            amount,
            others: limit.of.saturating_sub(amount),
            watched: mode == Mode::Observe,
            reported_at: i64::MIN / 4,
            turn: u64::try_from(time).unwrap_or(0),
            declares: true,
            ..Self::default()
        }
    }

    /// Whether calls go on what it has in hand.
    pub const fn is_kept(&self) -> bool {
        !self.watched
    }

    /// The loan under another policy. If that declares another number, all that the pool has answered was by the one before, also its answer
    /// in the running turn: what it lent goes back unspent, and it is sent the new number at once and asked anew. A call that went on the old
    /// loan would be one that the new number, in force all along, had not let go.
    pub fn for_another(&self, next: &Self) -> Self {
        let same = Self { others: next.others, watched: next.watched, ..self.clone() };
        if self.amount == next.amount {
            return same;
        }
        let stale = self.asked.is_some();
        Self { amount: next.amount, stale, until: OVER, dry: None, empty_since: None, declares: true, ..same }
    }

    /// What is to be stored; none if there is nothing to know.
    pub(crate) fn stored(&self, limit: LimitId) -> Option<StoredLoan> {
        let Self { seen, dry, empty_since, declares, .. } = *self;
        let nothing = seen == 0 && dry.is_none() && empty_since.is_none() && !declares;
        (!nothing).then_some(StoredLoan { limit, seen, dry, empty_since, declares })
    }

    /// Takes up what an earlier epoch has stored; none if that had nothing to store.
    pub(crate) fn resume(&mut self, old: Option<&StoredLoan>) {
        self.declares = old.is_some_and(|old| old.declares);
        let Some(old) = old else { return };
        (self.seen, self.dry, self.empty_since) = (old.seen, old.dry, old.empty_since);
    }

    /// Permits in hand.
    pub const fn hand(&self) -> u32 {
        self.hand
    }

    /// What all connections of the pool have used, as far as is known.
    pub const fn pool_used(&self) -> u64 {
        self.seen
    }

    /// Begins a new day, of which nothing is known. Of the calls that are not reported yet, those in flight are of it. The number is declared
    /// each day even if no call asks for a loan, since the pool forgets a number that has not been declared for long.
    pub fn open_day(&mut self, in_flight: u64) {
        (self.seen, self.dry, self.empty_since, self.declares) = (0, None, None, true);
        self.owes = self.owes.min(in_flight);
        // An answer that comes now must not take away what the new day owes.
        self.owing = self.owing.min(self.owes);
    }

    /// Whether there is a permit that may still be spent.
    pub const fn in_hand(&self, time: i64) -> bool {
        self.hand > 0 && time <= self.until
    }

    /// Spends a permit in hand on a call; or, if limits are only watched, has the call reported.
    pub const fn spend(&mut self) {
        if self.watched {
            self.owes = self.owes.saturating_add(1);
            return;
        }
        self.hand = self.hand.saturating_sub(1);
        self.spent = self.spent.saturating_add(1);
        self.empty_since = None;
        self.seen = self.seen.saturating_add(1);
    }

    /// Takes back a call that was counted and not made after all.
    pub const fn give_back(&mut self) {
        if self.watched {
            self.owes = self.owes.saturating_sub(1);
        }
    }

    /// Until when its pool, which is known to be empty, is not to be asked, limiter milliseconds; and when it has more, Unix milliseconds.
    pub fn dry_at(&self, time: i64) -> Option<(i64, i64)> {
        self.dry.filter(|dry| time < dry.until).map(|dry| (dry.until, dry.more))
    }
}

impl Limiter {
    fn loan(&self, counter: CounterId) -> Option<&Loan> {
        self.counters.get(counter)?.loan.as_deref()
    }

    fn loan_mut(&mut self, counter: CounterId) -> Option<&mut Loan> {
        self.counters.get_mut(counter)?.loan.as_deref_mut()
    }

    /// The loans of limits that are a pool's. A pool is for all apps.
    pub(crate) fn pooled(&self) -> impl Iterator<Item = (LimitId, &Loan)> {
        self.counters.all_shared().filter_map(|(limit, counter)| Some((limit, self.loan(counter)?)))
    }

    /// The next request to a pool: the pool's name, the limit's place in the plan, and the request. The answer goes to [`Limiter::lent`]. To be
    /// called after every event until there is none.
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

    /// How many waiting calls lack nothing but a loan under a counter, as far as is known.
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

    /// When a loan is over, a request is to be repeated, something is to be reported, or an empty pool may be asked anew for waiting calls;
    /// limiter milliseconds.
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

    /// When the next epoch should declare this connection's number to a pool, if this one ends before the pool has learnt it; Unix
    /// milliseconds. None once it has.
    pub fn next_declaration(&self) -> Option<i64> {
        let (time, callers_wait) = (self.epoch.time(), self.queue.callers() > 0);
        let due = |loan: &Loan| loan.asked.map_or(time, |asked| asked.again_or_lost(callers_wait));
        let next = self.pooled().filter(|(_, loan)| loan.declares).map(|(_, loan)| due(loan)).min()?;
        Some(self.epoch.wall_time(next.max(time)))
    }
}
