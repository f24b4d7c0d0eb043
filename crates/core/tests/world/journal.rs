//! The journal of a run: every vendor call, every fault, and a digest of all that happened.

use super::scenario::SECOND;
use std::collections::VecDeque;

/// How many events a trace ends with.
const TRACED: usize = 40;

/// A fault: something that must not be.
#[derive(Clone, Debug)]
pub struct Fault {
    pub kind: &'static str,
    pub at: i64,
    pub text: String,
}

#[derive(Clone, Copy, Debug)]
pub enum Whose {
    Call(usize),
    Job(usize),
}

impl std::fmt::Display for Whose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Call(call) => write!(f, "call {call}"),
            Self::Job(job) => write!(f, "job {job}"),
        }
    }
}

/// A call at the vendor. Times are microseconds.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The call or job to which it belongs.
    pub whose: Whose,
    pub tenant: usize,
    pub conn: String,
    pub app: String,
    pub target: usize,
    /// The position of its grant among all grants.
    pub order: u64,
    pub granted: i64,
    pub arrived: i64,
    pub counted: i64,
    /// When the vendor was done with it.
    pub done: i64,
    pub bytes: u64,
    /// The policy in force at its grant.
    pub version: usize,
    /// The instance that granted it.
    pub life: u64,
    /// The instances to which its bytes were reported, and when.
    pub told: Vec<(u64, i64)>,
    /// When the report of its bytes was durable and its sender knew.
    pub known: i64,
}

#[derive(Default, Debug)]
pub struct Counts {
    pub refused: u64,
    pub unused: u64,
    pub crashes: u64,
    pub edits: u64,
    pub rows: u64,
    pub asleep: u64,
    pub waited: u64,
    pub throttled: u64,
    pub cancelled: u64,
    pub jobs: u64,
    pub loans: u64,
    pub refusals_by_storage: u64,
    pub compared: u64,
    pub probes: u64,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.refused += other.refused;
        self.unused += other.unused;
        self.crashes += other.crashes;
        self.edits += other.edits;
        self.rows += other.rows;
        self.asleep += other.asleep;
        self.waited += other.waited;
        self.throttled += other.throttled;
        self.cancelled += other.cancelled;
        self.jobs += other.jobs;
        self.loans += other.loans;
        self.refusals_by_storage += other.refusals_by_storage;
        self.compared += other.compared;
        self.probes += other.probes;
    }
}

pub struct Journal {
    pub sent: Vec<Sent>,
    pub faults: Vec<Fault>,
    pub counts: Counts,
    pub digest: u64,
    traced: Option<i64>,
    pub trace: VecDeque<String>,
}

impl Journal {
    /// Makes a journal. The last events before the moment `traced` are kept as text.
    pub fn new(traced: Option<i64>) -> Self {
        let (sent, faults, trace) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { sent, faults, counts: Counts::default(), digest: 0xcbf2_9ce4_8422_2325, traced, trace }
    }

    /// Notes the first fault of each kind.
    pub fn fault(&mut self, fault: Fault) {
        if self.faults.iter().all(|known| known.kind != fault.kind) {
            self.faults.push(fault);
        }
    }

    /// Whether there was a fault after which nothing more can be checked.
    pub fn is_over(&self) -> bool {
        self.faults.iter().any(|fault| matches!(fault.kind, "spins" | "does not open" | "restless"))
    }

    pub fn trace(&mut self, now: i64, start: i64, text: impl FnOnce() -> String) {
        if self.traced.is_some_and(|until| now <= until) {
            if self.trace.len() == TRACED {
                self.trace.pop_front();
            }
            let since = (now - start) as f64 / SECOND as f64;
            self.trace.push_back(format!("{since:12.6} {}", text()));
        }
    }

    /// Adds eight bytes to the digest (FNV-1a).
    pub fn mix(&mut self, word: u64) {
        for byte in word.to_le_bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
