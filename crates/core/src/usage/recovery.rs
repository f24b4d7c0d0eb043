//! Counts permits across restarts: each call counts once, whichever epoch receives its report.
//!
//! An epoch stores with each snapshot how many permits each lane had in flight and not counted. If
//! the next epoch receives the report of one of these, or of one that was granted after the
//! snapshot, it counts that call. Those without a report by the time when the vendor must be done
//! were sent, as far as anyone can know, and are counted then, without an error code. A report that
//! the former epoch received and had not stored comes again, since a reporter is told to rely on it
//! only once it is stored. So the only calls that are missed were granted after the last snapshot
//! by an epoch that was cut off together with those who would have reported them.

use super::Usage;
use super::stored;
use serde::{Deserialize, Serialize};
use sluice_limiter::PermitId;

/// Permits of one lane, granted within one minute, that are in flight and not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The epoch that granted them.
    pub epoch: u32,
    /// The lane's number in that epoch.
    pub lane: u32,
    /// All their numbers are below this one, and not below that of the minute before.
    pub below: u64,
    /// How many there are.
    pub left: u64,
    /// The app that they were granted to.
    pub app: String,
    /// When the last of them was granted, Unix ms.
    #[serde(with = "stored::unsigned")]
    pub since: i64,
}

/// What is in flight when an epoch writes its snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flight {
    /// The permits that were sent, as far as is known, and are not counted: by lane, in the order
    /// of their grants.
    pub open: Vec<Open>,
    /// The permits that were granted to jobs which are not on their way yet.
    pub unsent: Vec<PermitId>,
    /// The permits that were reported with unknown outcome, and counted as such.
    pub counted: Vec<PermitId>,
}

impl Usage {
    /// Takes over what an epoch had in flight when it ended; the next epoch settles it.
    pub fn inherit(&mut self, flight: Flight) {
        self.inherited.open.extend(flight.open);
        self.inherited.unsent.extend(flight.unsent);
        self.inherited.counted.extend(flight.counted);
    }

    /// Returns what earlier epochs had in flight and nobody has reported yet.
    pub fn inherited(&self) -> &[Open] {
        &self.inherited.open
    }

    /// Notes the report of an earlier epoch's permit, the first as far as the limiter knows.
    /// Returns whether it is still to be counted. `stays`: it remains in flight, so that more may
    /// be reported of it.
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

    /// Removes and returns the permits of epochs that the limiter no longer remembers, of which
    /// nothing will be reported any more.
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

/// Whether two permits are the same. An epoch gives each number of a lane out once; the slot of the
/// lease does not matter to the next.
fn same(known: &PermitId, permit: PermitId) -> bool {
    (known.epoch, known.lane, known.seq) == (permit.epoch, permit.lane, permit.seq)
}
