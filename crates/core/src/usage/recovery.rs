//! Permits over the ends of lives: each call counts once, whichever life hears of it.
//!
//! A life stores, with each row, how many permits each lane had in flight and not counted. If the next life hears how one of them
//! ended, or of one that was granted after the row, it counts that. Those it has not heard of when the vendor must be done were
//! sent, as far as anyone can know, and count then, without an error code. A report that the former life heard and had not stored
//! comes again: whoever reports is told to rely on it only once it is stored. So what is missing in the end is what was granted
//! after the last row by a life that was cut off together with those who would have reported it.

use super::Usage;
use super::stored;
use serde::{Deserialize, Serialize};
use sluice_limiter::PermitId;

/// Permits of one lane, granted in one minute, that are in flight and not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The life that granted them.
    pub epoch: u32,
    /// The lane's number in that life.
    pub lane: u32,
    /// They are all below this number, and not below that of the minute before.
    pub below: u64,
    /// How many.
    pub left: u64,
    /// Whose.
    pub app: String,
    /// When the last of them was granted, Unix milliseconds.
    #[serde(with = "stored::unsigned")]
    pub since: i64,
}

/// What is in flight as a life writes its row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flight {
    /// Sent, as far as is known, and not counted: by lane, in the order of their grants.
    pub open: Vec<Open>,
    /// Granted to jobs that are not on their way yet.
    pub unsent: Vec<PermitId>,
    /// Reported as of unknown outcome, and counted with that.
    pub counted: Vec<PermitId>,
}

impl Usage {
    /// This life ends, with these in flight; they settle in the next.
    pub fn inherit(&mut self, flight: Flight) {
        self.inherited.open.extend(flight.open);
        self.inherited.unsent.extend(flight.unsent);
        self.inherited.counted.extend(flight.counted);
    }

    /// What earlier lives had open, as far as nobody has reported it.
    pub fn inherited(&self) -> &[Open] {
        &self.inherited.open
    }

    /// An earlier life's permit was reported on, for the first time as far as the throttle knows. Whether it is still to be counted.
    /// `stays`: it remains in flight, so that more may be heard of it.
    pub fn hears_of(&mut self, permit: PermitId, stays: bool) -> bool {
        if holds(&self.inherited.counted, permit) {
            return false;
        }
        if stays {
            self.inherited.counted.push(permit);
        }
        let of = |open: &&mut Open| open.epoch == permit.epoch && open.lane == permit.lane && permit.seq < open.below;
        if holds(&self.inherited.unsent, permit) {
            self.inherited.unsent.retain(|known| !same(known, permit));
        } else if let Some(open) = self.inherited.open.iter_mut().find(of) {
            open.left = open.left.saturating_sub(1);
        }
        true
    }

    /// Earlier lives' permits of which nothing will be heard any more: of lives that the throttle no longer remembers.
    pub fn never_heard(&mut self, remembered: impl Fn(u32) -> bool) -> Vec<Open> {
        let Flight { open, unsent, counted } = &mut self.inherited;
        for list in [unsent, counted] {
            list.retain(|permit| remembered(permit.epoch));
        }
        let mut over = Vec::new();
        open.retain(|open| {
            let stays = remembered(open.epoch);
            if !stays {
                over.push(open.clone());
            }
            stays
        });
        over
    }
}

fn holds(list: &[PermitId], permit: PermitId) -> bool {
    list.iter().any(|known| same(known, permit))
}

/// A life gives each number of a lane out once; where it keeps the lease is of no matter to the next.
fn same(known: &PermitId, permit: PermitId) -> bool {
    (known.epoch, known.lane, known.seq) == (permit.epoch, permit.lane, permit.seq)
}
