//! Checks the promises for every call against what its machine does.

use sluice_core::call::{Action, Attempt, Caller, Event, Permit, ms_between};
use sluice_core::protocol::{Granted, Reply, Settle};
use sluice_core::upstream::profile::Executed;
use sluice_limiter::{Outcome, PermitId};
use std::collections::{HashMap, HashSet};

/// What was reported to the object of permits.
#[derive(Default)]
pub struct Told(HashMap<(String, PermitId), (u32, Outcome)>);

impl Told {
    /// Each report has a number one higher than the one before, and says the same; but for a permit
    /// that was handed back, unheard, and then granted again.
    pub fn tell(&mut self, settle: &Settle) {
        let key = (settle.connection.clone(), settle.permit);
        let (before, outcome) = self.0.get(&key).copied().unwrap_or((0, settle.outcome));
        assert_eq!(settle.attempt, before + 1, "{settle:?}");
        assert!(outcome == settle.outcome || outcome == Outcome::Unused, "it was {outcome:?} before: {settle:?}");
        self.0.insert(key, (settle.attempt, settle.outcome));
    }

    pub fn outcome(&self, connection: &str, permit: PermitId) -> Option<Outcome> {
        self.0.get(&(connection.to_owned(), permit)).map(|(_, outcome)| *outcome)
    }
}

/// What one call has done.
pub struct Witness {
    /// A second execution would do harm.
    once: bool,
    spacing_ms: u64,
    tries: u32,
    /// Permits that came, and whether each was young enough when it did.
    pub received: HashMap<PermitId, bool>,
    pub sent: HashSet<PermitId>,
    answers: u32,
    pub left: bool,
    /// It may have been executed.
    maybe_executed: bool,
    asks: HashMap<String, u32>,
    asked_at: Option<i64>,
    steps: u32,
    ended: bool,
}

/// The most actions of one call: four asks of a permit, each with a wait and three reports of its
/// hand-back; three tries and a renewal; six tellings.
const MOST_STEPS: u32 = 200;

impl Witness {
    pub fn new(once: bool, tries: u32, spacing_ms: u64) -> Self {
        Self {
            once,
            spacing_ms,
            tries,
            received: HashMap::new(),
            sent: HashSet::new(),
            answers: 0,
            left: false,
            maybe_executed: false,
            asks: HashMap::new(),
            asked_at: None,
            steps: 0,
            ended: false,
        }
    }

    /// Before the machine sees an event. `fits`: it waits for it. `settling`: the call has ended but
    /// for its settlements.
    pub fn event(&mut self, event: &Event, fits: bool, settling: bool) {
        match event {
            Event::Replied(asked) => {
                if let Reply::Permit(go) = &asked.reply
                    && !settling
                {
                    let fresh = is_fresh(go, asked.elapsed_ms) && asked.caller == Caller::Present;
                    *self.received.entry(go.permit).or_default() |= fresh;
                }
            }
            Event::Attempted(attempt) => self.attempted(attempt),
            Event::NotDeliverable if fits => self.answers -= 1,
            _ => {}
        }
    }

    fn attempted(&mut self, attempt: &Attempt) {
        self.maybe_executed |= match &attempt.verdict {
            Some(verdict) => verdict.executed != Executed::No,
            None => attempt.end.outcome == Outcome::Unknown,
        };
    }

    /// After the machine has led to an action.
    pub fn action(&mut self, action: &Action, permit: Option<&Permit>, told: &mut Told, now: i64) {
        assert!(!self.ended, "{action:?} after the end");
        self.steps += 1;
        assert!(self.steps < MOST_STEPS, "it goes on and on: {action:?}");
        match action {
            Action::Ask(admit) => {
                let asks = self.asks.entry(admit.call.clone()).or_default();
                *asks += 1;
                assert!(*asks <= self.tries, "the object is asked {asks} times for one permit");
                assert_eq!(admit.repeated, *asks > 1, "{admit:?}");
                if let Some(at) = self.asked_at.filter(|_| *asks > 1) {
                    assert!(ms_between(at, now) >= self.spacing_ms, "two asks within {} ms", now - at);
                }
                self.asked_at = Some(now);
            }
            Action::Send => {
                let permit = permit.expect("nothing is sent without a permit");
                assert_eq!(self.received.get(&permit.id), Some(&true), "{permit:?} is not fresh");
                assert_eq!(permit.at, now, "a permit is used when it comes");
                assert!(self.sent.insert(permit.id), "two calls with one permit: {permit:?}");
                assert!(!(self.once && self.maybe_executed), "it may have been executed already");
                assert_eq!(self.answers, 0, "the caller is answered already");
            }
            Action::Settle { settlement, .. } => told.tell(settlement),
            Action::SettleBatch { settlements, .. } => settlements.iter().for_each(|settle| told.tell(settle)),
            Action::PassOn { .. } | Action::Refuse { .. } => {
                self.answers += 1;
                assert_eq!(self.answers, 1, "the caller is answered twice");
                assert!(!self.left);
            }
            Action::Leave => {
                assert_eq!(self.answers, 0, "the caller is answered already");
                self.left = true;
            }
            Action::End => self.ended = true,
            _ => {}
        }
    }

    /// Checks after the end, when the calls that report for others have done so.
    pub fn check(&self, connection: &str, told: &Told) {
        assert!(self.ended, "it has not ended");
        assert!(self.left || self.answers == 1, "nobody knows what became of the caller");
        for permit in self.received.keys() {
            let outcome = told.outcome(connection, *permit);
            assert!(outcome.is_some(), "nothing was told of {permit:?}");
            if !self.sent.contains(permit) {
                assert_eq!(outcome, Some(Outcome::Unused), "{permit:?} was not sent");
            }
        }
    }
}

fn is_fresh(go: &Granted, elapsed_ms: u64) -> bool {
    let age = i64::try_from(elapsed_ms).unwrap() - go.since_ask_ms;
    u64::try_from(age).unwrap_or(0) <= go.slack_ms
}
