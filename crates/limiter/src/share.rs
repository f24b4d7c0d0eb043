//! Fair shares: start-time fair queueing (Goyal, Vin and Cheng, 1996) over apps, with urgency as a bounded liberty.
//!
//! Each call costs its app 1/weight of virtual time. The app furthest behind goes next, so an app that has been quiet is served at
//! once and a noisy one delays itself. Urgency may overtake that order only for an app that asks for little: no more than
//! [`LIBERTY`] calls, those it is ahead of its share and those it has waiting together.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "a start is never before the virtual time, and a queue is shorter than 2^32"
)]

/// By so many calls urgency may bring an app ahead of its share.
pub const LIBERTY: u64 = 10;
/// Virtual time of one call at weight 1. Divisible by every weight up to 1,000 to within a millionth.
const COST: u64 = 1 << 30;

/// One app's standing in virtual time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    tag: u64,
    cost: u64,
}

impl Share {
    /// Returns a newcomer of that weight.
    pub fn new(weight: u32) -> Self {
        Self { tag: 0, cost: COST / u64::from(weight.max(1)) }
    }

    /// Returns the same standing under another weight: the app is ahead of the others by as many calls
    /// of its own as before. Were the lead kept in virtual time, a call that was granted at a low
    /// weight would hold an app back by several calls after its weight was raised.
    pub fn weighed(self, weight: u32, virtual_time: u64) -> Self {
        let to = Self::new(weight);
        let lead = u128::from(self.tag.saturating_sub(virtual_time));
        let scaled = lead.saturating_mul(to.cost.into()) / u128::from(self.cost.max(1));
        let ahead = virtual_time.saturating_add(u64::try_from(scaled).unwrap_or(u64::MAX));
        Self { tag: if lead > 0 { ahead } else { self.tag }, ..to }
    }

    /// Returns what one call costs it, virtual time.
    pub const fn cost(&self) -> u64 {
        self.cost
    }

    /// Notes that its last call ended at this virtual time or later.
    pub fn ends_at_least(&mut self, tag: u64) {
        self.tag = self.tag.max(tag);
    }

    /// Forfeits what it has saved up while it had no call waiting.
    pub fn catch_up(&mut self, virtual_time: u64) {
        self.tag = self.start(virtual_time);
    }

    /// Returns the virtual time at which its next call starts.
    pub fn start(&self, virtual_time: u64) -> u64 {
        self.tag.max(virtual_time)
    }

    /// Whether its urgency still counts for a call that starts at `start` by the order of its class, with so many calls waiting.
    pub fn at_liberty(&self, start: u64, virtual_time: u64, waiting: u32) -> bool {
        // Whole calls ahead and those that wait, without a division: this is asked at every event.
        let Some(ahead) = LIBERTY.checked_sub(u64::from(waiting)) else { return false };
        self.start(virtual_time).max(start).saturating_sub(virtual_time) < self.cost.max(1).saturating_mul(ahead + 1)
    }

    /// Charges it for a call that goes.
    pub fn charge(&mut self, virtual_time: u64) {
        self.tag = self.start(virtual_time).saturating_add(self.cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idling_saves_nothing_up() {
        let mut share = Share::new(1);
        share.charge(1_000 * COST);
        assert_eq!(share.start(0), 1_001 * COST);
    }

    #[test]
    fn a_lead_is_as_many_calls_under_another_weight() {
        let mut share = Share::new(1);
        share.charge(7 * COST);
        for (weight, ahead) in [(1, COST), (2, COST / 2), (1_000, COST / 1_000)] {
            assert_eq!(share.weighed(weight, 7 * COST).start(0), 7 * COST + ahead);
        }
        assert_eq!(share.weighed(5, 9 * COST), Share { tag: 8 * COST, cost: COST / 5 }, "it is behind, and stays so");
    }

    #[test]
    fn an_app_with_many_waiting_has_no_liberty() {
        let share = Share::new(1);
        assert!(share.at_liberty(0, 0, 10) && !share.at_liberty(0, 0, 11));
    }

    #[test]
    fn an_app_far_ahead_has_no_liberty() {
        let mut share = Share::new(4);
        (0..10).for_each(|_| share.charge(0));
        assert!(share.at_liberty(0, 0, 0) && !share.at_liberty(0, 0, 1));
    }
}
