//! A daily limit that is a pool's: its calls go on permits that the pool has lent. They are in hand before the limits are checked, so
//! that checking and taking stay one step.
//!
//! A call that lacks nothing but a loan waits for it, whatever else it may wait. What is left of a loan when its time is over goes
//! back with the next turn. A loan lives in memory alone: a life that ends unnoticed spends no more of it.

use super::meter::{Gauge, Meter, Stands};
use super::queue::Waiting;
use super::rule::{Kind, Limit, Mode};
use super::state::{Now, Parts, Throttle};
use crate::pool::{Borrow, Lent};

/// A call waits so long for a loan at least, milliseconds: then its pool cannot be asked.
const LOAN_WAIT_MS: i64 = 2_000;
/// An ask that failed is repeated after, milliseconds.
const AGAIN_MS: i64 = 250;
/// A pool that was empty is asked again after, milliseconds: what others had not spent may have come back.
const DRY_MS: i64 = 1_000;

/// What a meter holds of its pool. Limiter milliseconds.
#[derive(Debug, Clone, Default)]
pub struct Loan {
    /// Permits in hand.
    hand: u32,
    /// Until when they may be spent.
    until: i64,
    turn: u64,
    /// Since the last turn.
    spent: u32,
    asked: Option<Asked>,
    /// Until then the pool need not be asked; when it will have more, Unix milliseconds.
    dry: Option<(i64, i64)>,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    /// When first: the loan's time counts from there.
    at: i64,
    want: u32,
    unused: u32,
    /// Not heard; to be asked again then.
    again: Option<i64>,
}

/// A limit that is a pool's, while limits are kept.
pub(super) fn pooled(limit: &Limit, mode: Mode) -> bool {
    limit.pool.is_some() && mode == Mode::Enforce
}

impl Loan {
    /// Whether there is a permit that may still be spent.
    pub const fn in_hand(&self, time: i64) -> bool {
        self.hand > 0 && time <= self.until
    }

    /// A permit in hand is spent.
    pub const fn spend(&mut self) {
        self.hand = self.hand.saturating_sub(1);
        self.spent = self.spent.saturating_add(1);
    }

    /// When its pool, which is known to be empty, has more, Unix milliseconds.
    pub fn dry_at(&self, time: i64) -> Option<i64> {
        self.dry.filter(|(until, _)| time < *until).map(|(_, more)| more)
    }
}

impl Throttle {
    fn loan(&self, meter: u32) -> Option<&Loan> {
        self.meters.get(meter as usize)?.loan.as_ref()
    }

    fn loan_mut(&mut self, meter: u32) -> Option<&mut Loan> {
        self.meters.get_mut(meter as usize)?.loan.as_mut()
    }

    /// A waiting call that lacks a loan alone may wait for it.
    pub(super) fn wait_for_loan(waiting: Waiting, time: i64) -> Waiting {
        Waiting { deadline: waiting.deadline.max(time.saturating_add(LOAN_WAIT_MS)), ..waiting }
    }

    /// What is next to be asked of a pool: its name, the limit's place in the plan, and the words. The answer goes to
    /// [`Throttle::lent`]. To be called after every event until there is none.
    pub fn next_borrow(&mut self, now: Now<'_>) -> Option<(String, u32, Borrow)> {
        if self.meters.iter().all(|meter| meter.loan.is_none()) {
            return None;
        }
        let time = self.begin(now);
        for meter in 0..u32::try_from(self.meters.len()).unwrap_or(0) {
            let Some(Stands::Limit(limit)) = self.meters.get(meter as usize).map(|meter| meter.stands) else {
                continue;
            };
            let Some((turn, asked)) = self.turn_due(meter, time) else { continue };
            let (epoch, life_ms) = (self.epoch, self.life_ms());
            let vendor = self.meters.get(meter as usize).and_then(|meter| meter.vendor).unwrap_or(0);
            let Some(rule) = self.plan.limits.get(limit as usize) else { continue };
            let (Kind::Daily { amount, reset, .. }, Some(pool)) = (&rule.kind, &rule.pool) else { continue };
            let words = Borrow {
                who: rule.name.clone(),
                epoch,
                turn,
                want: asked.want,
                unused: asked.unused,
                amount: *amount,
                reset: reset.clone(),
                vendor,
                life_ms,
            };
            return Some((pool.clone(), limit, words));
        }
        None
    }

    /// Begins a meter's next turn, or repeats one that was not heard, if either is due.
    fn turn_due(&mut self, meter: u32, time: i64) -> Option<(u64, Asked)> {
        let wanted = self.wanted(meter, time);
        let loan = self.loan_mut(meter)?;
        if let Some(asked) = &mut loan.asked {
            asked.again.take_if(|at| *at <= time)?;
            return Some((loan.turn, *asked));
        }
        let over = time > loan.until;
        let dry = loan.dry.is_some_and(|(until, _)| time < until);
        if (loan.hand > 0 && !over) || (loan.hand == 0 && (wanted == 0 || dry)) {
            return None;
        }
        // Used up within its time, it was too small: those that come meanwhile need as many again.
        let pace = if over { 0 } else { loan.spent };
        let want = if wanted == 0 || dry { 0 } else { wanted.max(pace) };
        let asked = Asked { at: time, want, unused: loan.hand, again: None };
        loan.turn = loan.turn.saturating_add(1);
        (loan.hand, loan.spent, loan.asked) = (0, 0, Some(asked));
        Some((loan.turn, asked))
    }

    /// Waiting calls that lack nothing but a loan under a meter.
    fn wanted(&mut self, meter: u32, time: i64) -> u32 {
        if self.adaptive.paused(time).is_some() || self.loan(meter).is_none() {
            return 0;
        }
        let Parts { queue, meters, sight } = self.parts(time);
        let ready = |lane: u32| {
            let (mut counted, mut fits) = (false, true);
            for &other in sight.meters_of(lane) {
                counted |= other == meter;
                let mut fits_there = |entry: &mut Meter| entry.has_room(other, &sight) || entry.awaits_loan(&sight);
                fits &= other == meter || meters.get_mut(other as usize).is_some_and(&mut fits_there);
            }
            counted && fits
        };
        u32::try_from(queue.waiting(ready)).unwrap_or(u32::MAX)
    }

    /// The pool's answer to a turn; none if there was none.
    pub fn lent(&mut self, now: Now<'_>, limit: u32, turn: u64, answer: Option<Lent>) {
        let time = self.begin(now);
        let meter = self.meter(Stands::Limit(limit), None);
        let before_open = match self.gauge_of(meter) {
            Some(Gauge::Daily { calendar, .. }) => self.before_is_open(*calendar),
            _ => return,
        };
        let Some(loan) = self.loan_mut(meter).filter(|loan| loan.turn == turn) else { return };
        let Some(asked) = loan.asked.as_mut() else { return };
        let taken_for_late = |lent: &Lent| lent.n == 0 && lent.dry_until == 0 && asked.want > 0;
        let Some(lent) = answer.filter(|lent| !taken_for_late(lent)) else {
            asked.again = Some(time.saturating_add(AGAIN_MS));
            return;
        };
        let asked = *asked;
        (loan.asked, loan.hand, loan.until) = (None, lent.n, asked.at.saturating_add(lent.spend_ms));
        let empty = lent.n == 0 && asked.want > 0;
        loan.dry = empty.then(|| (time.saturating_add(DRY_MS), lent.dry_until));
        if let Some(Gauge::Daily { count, .. }) = self.gauge_mut(meter)
            && !before_open
        {
            // For the status: what the pool has lent all told. What is in hand counts when it is spent.
            count.used = count.used.max(lent.used.saturating_sub(u64::from(lent.n)));
        }
        self.block.touch();
        self.pump(time);
        if empty {
            self.look_at_all(time);
        }
    }

    /// When a loan's time is over, an ask is to be repeated, or an empty pool may be asked anew for those that wait.
    pub(super) fn loans_due(&self, time: i64) -> Option<i64> {
        let due = |loan: &Loan| match (&loan.asked, loan.hand) {
            (Some(asked), _) => asked.again,
            (None, 1..) => Some(loan.until.max(time).saturating_add(1)),
            (None, 0) => loan.dry.map(|(until, _)| until).filter(|until| *until > time && !self.queue.is_empty()),
        };
        self.meters.iter().filter_map(|meter| due(meter.loan.as_ref()?)).min()
    }
}
