//! Permits over the ends of lives: each call counts once, whichever life hears of it.
//!
//! A life stores, with each row, how many permits each lane had in flight and not counted. If the next life hears how one of them
//! ended, or of one that was granted after the row, it counts that. Those it has not heard of when the vendor must be done were
//! sent, as far as anyone can know, and count then, without an error code. What is missing in the end is what was both granted and
//! settled after the last row of a life that was cut off: about a second's calls.

use super::Usage;
use super::pack::{Pack, Unpack};
use crate::throttle::PermitId;

/// Permits of one lane that are in flight and not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The life that granted them.
    pub epoch: u32,
    /// The lane's number in that life.
    pub lane: u32,
    /// They are all below this number.
    pub below: u64,
    /// How many.
    pub left: u64,
    /// Whose.
    pub app: String,
    /// When that life last wrote, Unix milliseconds.
    pub since: i64,
}

impl Usage {
    /// This life ends, with these open; they settle in the next.
    pub fn inherit(&mut self, open: Vec<Open>) {
        self.inherited.extend(open);
    }

    /// What earlier lives had open, as far as nobody has reported it.
    pub fn inherited(&self) -> &[Open] {
        &self.inherited
    }

    /// An earlier life's permit was reported on, for the first time as far as the throttle knows. Whether it is still to be counted.
    /// `stays`: it remains in flight, so that more may be heard of it.
    pub fn hears_of(&mut self, permit: PermitId, stays: bool) -> bool {
        if self.counted.contains(&permit) {
            return false;
        }
        if stays {
            self.counted.push(permit);
        }
        let of = |open: &&mut Open| open.epoch == permit.epoch && open.lane == permit.lane && permit.seq < open.below;
        if let Some(open) = self.inherited.iter_mut().find(of) {
            open.left = open.left.saturating_sub(1);
        }
        true
    }

    /// Earlier lives' permits of which nothing will be heard any more: of lives that the throttle no longer remembers.
    pub fn never_heard(&mut self, remembered: impl Fn(u32) -> bool) -> Vec<Open> {
        self.counted.retain(|permit| remembered(permit.epoch));
        let mut over = Vec::new();
        self.inherited.retain(|open| {
            let stays = remembered(open.epoch);
            if !stays {
                over.push(open.clone());
            }
            stays
        });
        over
    }
}

pub(super) fn write(open: &Open, to: &mut Pack) {
    to.num(open.epoch.into());
    to.num(open.lane.into());
    to.num(open.below);
    to.num(open.left);
    to.text(&open.app);
    to.int(open.since);
}

pub(super) fn read(from: &mut Unpack<'_>) -> Option<Open> {
    Some(Open {
        epoch: from.small()?,
        lane: from.small()?,
        below: from.num()?,
        left: from.num()?,
        app: from.text()?,
        since: from.int()?,
    })
}
