//! A pool: one daily limit over every connection, of any tenant, that names it. It lends permits; a connection spends them.
//!
//! A loan is charged to the day when it is lent, and stored before it leaves, so the pool never lends more than the day holds. What
//! a connection has not spent when its loan ends it gives back; what a crash forgets counts as spent. Loans are small, so that is
//! little, and they end before the day does. Every message may be lost or repeated: a connection's turns are numbered, a repeated turn
//! is answered as it was, and what is given back refers to the turn before.

pub(crate) mod loan;
mod retry;

use crate::calendar::{Day, Reset};
use crate::codec;
use crate::{Calendar, Daily, Now, Turn};
use serde::{Deserialize, Serialize};

/// A loan is to be spent within so long of the request, milliseconds.
pub const SPEND_MS: i64 = 2_000;
/// One loan is at most this part of a day's limit: so much a crash can lose, for each connection that crashes.
const PART: u64 = 400;
/// Near the end one loan is at most this part of what is left.
const LAST_PART: u64 = 8;
/// The most connections that a pool remembers. Beyond it the one that has asked least lately is forgotten: what it had left counts as spent.
const MOST_BORROWERS: usize = 4_096;
/// A connection that has asked for nothing for so long is taken for one that no longer names the pool, milliseconds: until then the number
/// that it declared holds. A connection that calls on workdays only comes back within it.
const SILENT_MS: i64 = 7 * 86_400_000;
/// How long a request of an earlier turn is taken for a late one, milliseconds: nobody awaits its
/// answer. After that it may be that of a connection made anew, whose turns begin again; if it is
/// not, no more than a loan is lost.
const LATE_MS: i64 = 10_000;
/// A call lent so long ago has been counted by its vendor, or never will be, milliseconds: the longest time-out and ceiling.
const LONGEST_MS: i64 = 3_700_000;

/// A connection's request to its pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoanRequest {
    /// Who asks: tenant, connection and limit.
    pub who: String,
    /// The epoch that asks.
    pub epoch: u32,
    /// The number of the turn: turns count up by one.
    pub turn: u64,
    /// How many permits are wanted; 0 only to give some back.
    pub want: u32,
    /// How many permits of the turn before were not spent.
    pub unused: u32,
    /// How many calls of today were made before the limit was the pool's. They are reported once.
    pub owes: u64,
    /// How many calls this connection declares the day to hold.
    pub amount: u64,
    /// When the day ends by this connection's policy. The first connection's holds while the pool has counts.
    pub reset: Reset,
    /// The vendor's own count of today; 0 if its answers do not tell it.
    pub vendor: u64,
    /// How long the vendor may be at work on a call, milliseconds.
    pub life_ms: i64,
}

/// The pool's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoanGrant {
    /// How many permits are lent; 0 where none are left, or none were wanted.
    pub n: u32,
    /// They are to be spent within so long of the request, milliseconds.
    pub spend_ms: i64,
    /// How many are charged to the day, this loan included.
    pub used: u64,
    /// When there will be more, Unix milliseconds; 0 while some are left, or if the request came late and is to be repeated.
    pub dry_until: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Borrower {
    who: String,
    amount: u64,
    epoch: u32,
    turn: u64,
    lent: u32,
    /// When the loan was lent, and until when it can be spent, Unix milliseconds.
    at: i64,
    until: i64,
    /// On which day it was charged.
    opens: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Row {
    reset: Reset,
    day: Day,
    used: u64,
    before: u64,
    recent: Vec<(i64, u64)>,
    borrowers: Vec<Borrower>,
}

const VERSION: u8 = 1;

/// A quota that connections of many tenants share.
pub struct Pool {
    days: Calendar,
    count: Daily,
    /// What was lent of late, by when the vendor is done with it: at a reset it may still be in flight. Some dozens of entries.
    recent: Vec<(i64, u64)>,
    borrowers: Vec<Borrower>,
}

impl Pool {
    /// Returns a pool that has lent nothing.
    pub fn new(reset: &Reset, now: Now<'_>) -> Self {
        let days = Calendar::new(reset, now.zones, now.wall);
        Self { days, count: Daily::default(), recent: Vec::new(), borrowers: Vec::new() }
    }

    /// Returns the pool as it was stored.
    ///
    /// # Errors
    /// If the row is not one that this version writes.
    pub fn load(row: &[u8]) -> Result<Self, String> {
        let body = row.strip_prefix(&[VERSION]).ok_or("the pool's row is of another version than this build reads")?;
        let row: Row = codec::read(body).ok_or("the pool's row does not parse")?;
        let count = Daily { used: row.used, before: row.before };
        Ok(Self { days: Calendar::resume(row.reset, row.day), count, recent: row.recent, borrowers: row.borrowers })
    }

    /// Returns the row to be stored before an answer leaves.
    pub fn row(&self) -> Vec<u8> {
        let row = Row {
            reset: self.days.reset().clone(),
            day: self.days.today().clone(),
            used: self.count.used,
            before: self.count.before,
            recent: self.recent.clone(),
            borrowers: self.borrowers.clone(),
        };
        codec::write(vec![VERSION], &row)
    }

    /// Takes a connection's request, and what it gives back.
    pub fn borrow(&mut self, now: Now<'_>, ask: &LoanRequest) -> LoanGrant {
        self.turn(now);
        let place = self.borrowers.iter().position(|borrower| borrower.who == ask.who);
        let mut borrower = match place {
            Some(place) => self.borrowers.swap_remove(place),
            None => Borrower {
                who: ask.who.clone(),
                amount: ask.amount,
                epoch: ask.epoch,
                turn: 0,
                lent: 0,
                at: now.wall,
                until: now.wall,
                opens: 0,
            },
        };
        let lent = self.answer(now, ask, &mut borrower);
        if self.borrowers.len() >= MOST_BORROWERS {
            let oldest = (0..).zip(&self.borrowers).min_by_key(|(_, borrower)| borrower.at).map(|(at, _)| at);
            oldest.map(|at: usize| self.borrowers.swap_remove(at));
        }
        self.borrowers.push(borrower);
        lent
    }

    fn answer(&mut self, now: Now<'_>, ask: &LoanRequest, borrower: &mut Borrower) -> LoanGrant {
        let same_life = borrower.epoch == ask.epoch;
        if same_life && borrower.turn > ask.turn && now.wall < borrower.at.saturating_add(LATE_MS) {
            return LoanGrant { n: 0, spend_ms: 0, used: self.count.used, dry_until: 0 };
        }
        if same_life && borrower.turn == ask.turn {
            return self.lent(now, borrower.lent, borrower.until);
        }
        let today = self.days.today().opens.0;
        if same_life && borrower.turn.checked_add(1) == Some(ask.turn) && borrower.opens == today {
            let unused = ask.unused.min(borrower.lent);
            self.count.used = self.count.used.saturating_sub(u64::from(unused));
        }
        if ask.owes > 0 {
            self.count.count(ask.owes, self.before_is_open(now));
            self.remember(now.wall, u32::try_from(ask.owes).unwrap_or(u32::MAX), ask.life_ms.min(LONGEST_MS));
        }
        let most = self.borrowers.iter().map(|other| other.amount).min().unwrap_or(u64::MAX).min(ask.amount);
        // While the reset may not have been everywhere, the count may be the day before's.
        if ask.reset == *self.days.reset() && !self.before_is_open(now) {
            self.count.used = self.count.used.max(ask.vendor);
        }
        let left = most.saturating_sub(self.count.most(self.before_is_open(now)));
        let part = (most / PART).min(left / LAST_PART).max(1);
        let n = u32::try_from(u64::from(ask.want).min(part).min(left)).unwrap_or(0);
        self.count.count(u64::from(n), self.before_is_open(now));
        let ends = now.wall.saturating_add(SPEND_MS).min(self.days.opens_next());
        *borrower = Borrower {
            amount: ask.amount,
            epoch: ask.epoch,
            turn: ask.turn,
            lent: n,
            at: now.wall,
            until: ends,
            opens: today,
            ..borrower.clone()
        };
        self.remember(now.wall, n, ask.life_ms.min(LONGEST_MS));
        self.lent(now, n, ends)
    }

    fn lent(&self, now: Now<'_>, n: u32, until: i64) -> LoanGrant {
        let both = self.before_is_open(now);
        let fullest_before = both && self.count.before > self.count.used;
        let over = if fullest_before { self.days.before_over() } else { self.days.over() };
        // A clock that was set back since would make it last as much longer.
        let spend_ms = until.saturating_sub(now.wall).clamp(0, SPEND_MS);
        LoanGrant { n, spend_ms, used: self.count.used, dry_until: if n == 0 { over } else { 0 } }
    }

    /// Remembers what is lent: it is charged to the next day too, if its calls may still be in flight when that opens.
    fn remember(&mut self, wall: i64, n: u32, life_ms: i64) {
        let over = wall.saturating_add(SPEND_MS).saturating_add(life_ms);
        let grain = (life_ms / 16).max(1_000);
        let over = over.div_euclid(grain).saturating_add(1).saturating_mul(grain);
        self.recent.retain(|(until, _)| *until > wall);
        match self.recent.iter_mut().find(|(until, _)| *until == over) {
            Some((_, count)) => *count = count.saturating_add(u64::from(n)),
            None if n > 0 => self.recent.push((over, u64::from(n))),
            None => {}
        }
    }

    fn turn(&mut self, now: Now<'_>) {
        let opens = self.days.opens_next();
        let turn = self.days.turn(now.zones, now.wall);
        if turn == Turn::Same {
            return;
        }
        let in_flight =
            self.recent.iter().filter(|(until, _)| *until > opens).map(|(_, n)| *n).fold(0, u64::saturating_add);
        self.count.turn(turn, if turn == Turn::Next { in_flight } else { 0 });
        let silent_since = opens.saturating_sub(SILENT_MS);
        self.borrowers.retain(|borrower| borrower.at > silent_since);
    }

    fn before_is_open(&self, now: Now<'_>) -> bool {
        now.wall < self.days.before_over()
    }
}

#[cfg(test)]
mod tests;
