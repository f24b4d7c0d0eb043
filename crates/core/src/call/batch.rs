//! Reports the settlements of a call that has ended to the tenant's object, until it has stored
//! them. Those of one isolate that end at nearly the same time go in one request.

use super::isolate::Isolate;
use super::repeat::Repeats;
use super::settlement::PendingSettlement;
use crate::batcher::{BatchAction, ConnectionName, GATHER_MS};
use crate::protocol::Settle;

/// Pauses after a batch that is not acknowledged, milliseconds: an epoch of the object that ends is
/// followed by the next. A settlement that never arrives is replaced by the end of its lease.
const PAUSES_MS: [u64; 5] = [50, 100, 200, 400, 800];

/// The next step of a batch, which the machine of its call carries out.
#[derive(Debug)]
pub enum BatchStep {
    /// Wait for so many milliseconds.
    Wait(u64),
    /// Tell the tenant's object all of this at once.
    Tell {
        /// The tenant's name.
        tenant: String,
        /// The settlements, all of one connection.
        settlements: Vec<Settle>,
    },
    /// Nothing is left to do: all is acknowledged, or another call reports it.
    Done,
    /// Nothing is left to do: the object has acknowledged nothing, and the leases of the permits
    /// end by themselves.
    GivenUp {
        /// The tenant's name, and the connection's.
        whose: ConnectionName,
        /// How many settlements were not acknowledged.
        settlements: usize,
    },
}

/// Settlements on their way to the tenant's object.
#[derive(Debug)]
pub struct Batch {
    whose: ConnectionName,
    settlements: Vec<PendingSettlement>,
    repeats: Repeats,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It waits for settlements of other calls.
    Gathering,
    /// The settlements are sent, and the acknowledgement has not come.
    Told,
    /// It waits before it reports to the object again.
    Pausing,
    /// It has ended.
    Over,
}

impl Batch {
    /// Begins to tell the settlements of the call with this number. A call during which no other has
    /// begun waits for none, and neither does one for whose end a limit may wait.
    pub fn begin(settlements: Vec<PendingSettlement>, call: u64, now: i64, isolate: &mut Isolate) -> (Self, BatchStep) {
        let whose = settlements.first().map(PendingSettlement::whose).unwrap_or_default();
        let stage = Stage::Over;
        let mut batch = Self { whose, settlements: Vec::new(), repeats: Repeats::after(&PAUSES_MS), stage };
        if settlements.is_empty() {
            return (batch, BatchStep::Done);
        }
        let hurried = isolate.is_latest(call) || !settlements.iter().all(PendingSettlement::is_deferrable);
        let step = match isolate.waiting.join(&batch.whose, settlements, hurried, now) {
            BatchAction::Rest => BatchStep::Done,
            BatchAction::Wait => {
                batch.stage = Stage::Gathering;
                BatchStep::Wait(u64::try_from(GATHER_MS).unwrap_or_default())
            }
            BatchAction::Tell(settlements) => {
                batch.settlements = settlements;
                batch.tell(now)
            }
        };
        (batch, step)
    }

    /// Notes that the wait that was asked for is over.
    pub fn waited(&mut self, now: i64, isolate: &mut Isolate) -> Option<BatchStep> {
        match self.stage {
            Stage::Gathering => {
                self.settlements = isolate.waiting.take(&self.whose);
                Some(self.tell(now))
            }
            Stage::Pausing => Some(self.tell(now)),
            Stage::Told | Stage::Over => None,
        }
    }

    /// Notes that the object has stored what was reported.
    pub fn acknowledged(&mut self) -> Option<BatchStep> {
        if self.stage != Stage::Told {
            return None;
        }
        self.stage = Stage::Over;
        Some(BatchStep::Done)
    }

    /// Notes that no acknowledgement came.
    pub fn not_acknowledged(&mut self) -> Option<BatchStep> {
        if self.stage != Stage::Told {
            return None;
        }
        Some(match self.repeats.next_pause_ms() {
            Some(pause) => {
                self.stage = Stage::Pausing;
                BatchStep::Wait(pause)
            }
            None => {
                self.stage = Stage::Over;
                BatchStep::GivenUp { whose: self.whose.clone(), settlements: self.settlements.len() }
            }
        })
    }

    fn tell(&mut self, now: i64) -> BatchStep {
        // Another call has reported them meanwhile.
        if self.settlements.is_empty() {
            self.stage = Stage::Over;
            return BatchStep::Done;
        }
        self.stage = Stage::Told;
        let settlements = self.settlements.iter_mut().map(|settlement| settlement.tell(now)).collect();
        BatchStep::Tell { tenant: self.whose.0.clone(), settlements }
    }
}
