//! A daily limit that is a pool's: its calls go on permits that the pool has lent. They are in hand before the limits are checked, so
//! that checking and taking stay one step.
//!
//! A call that lacks nothing but a loan waits for it, whatever else it may wait. What is left of a loan when its time is over goes
//! back with the next turn. A loan is in memory only: an epoch that ends unnoticed spends no more of it. What is known of the pool is
//! stored.

mod requests;

use crate::config::{Kind, Limit, Mode};
use crate::index::LimitId;
use crate::pool::retry::{Asked, Dry};
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
    /// Returns a loan with nothing in hand yet, of which the pool has yet to learn. Its turns count
    /// on from the time, so that those of a loan that an edit ended are not taken for later ones.
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

    /// Returns the loan under another policy. If that declares another number, all that the pool
    /// has answered was by the one before, also its answer in the running turn: what it lent goes
    /// back unspent, and it is sent the new number at once and asked anew. A call that went on the
    /// old loan would be one that the new number, in force all along, had not let go.
    pub fn for_another(&self, next: &Self) -> Self {
        let same = Self { others: next.others, watched: next.watched, ..self.clone() };
        if self.amount == next.amount {
            return same;
        }
        let stale = self.asked.is_some();
        Self { amount: next.amount, stale, until: OVER, dry: None, empty_since: None, declares: true, ..same }
    }

    /// Returns what is to be stored; none if there is nothing to know.
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

    /// Returns what all connections of the pool have used, as far as is known.
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

    /// Returns until when its pool, which is known to be empty, is not to be asked, limiter
    /// milliseconds; and when it has more, Unix milliseconds.
    pub fn dry_at(&self, time: i64) -> Option<(i64, i64)> {
        self.dry.filter(|dry| time < dry.until).map(|dry| (dry.until, dry.more))
    }
}
