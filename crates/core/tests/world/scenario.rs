//! The settings of one run. All are drawn from a seed before the run begins, so that parts can be
//! left out.

use super::spec::Spec;

pub const SECOND: i64 = 1_000_000;

#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    /// The seed of what happens in the run.
    pub luck: u64,
    /// The start, microseconds since 1970.
    pub start: i64,
    pub seconds: i64,
    pub tenants: Vec<Tenant>,
    pub faults: Faults,
    /// What the tenant's state is told otherwise than the oracle: with it the oracle has something to find.
    pub lie: Option<fn(&mut Spec)>,
}

impl Scenario {
    /// A policy as the tenant's state is told it.
    pub fn written(&self, spec: &Spec) -> Spec {
        let mut spec = spec.clone();
        if let Some(lie) = self.lie {
            lie(&mut spec);
        }
        spec
    }
}

#[derive(Clone, Debug)]
pub struct Tenant {
    pub name: &'static str,
    pub first: Spec,
    /// Policies that are put later, microseconds from the start; `None` removes the tenant.
    pub edits: Vec<(i64, Option<Spec>)>,
    pub traffic: Vec<Traffic>,
}

/// The calls of one app on one connection.
#[derive(Clone, Debug)]
pub struct Traffic {
    pub conn: String,
    pub app: String,
    pub per_second: f64,
    /// Microseconds from the start: until then the traffic is multiplied by `before`, and from then
    /// on by `after`.
    pub turn: i64,
    pub before: f64,
    pub after: f64,
    /// How many calls come together.
    pub volley: usize,
    /// Positions in the list of targets.
    pub targets: Vec<usize>,
    /// How many calls are jobs, in thousandths.
    pub jobs: u32,
}

/// What goes wrong, and what is merely hard. The numbers are thousandths of the calls or messages,
/// unless the name says otherwise; 0 means never.
#[derive(Clone, Debug)]
pub struct Faults {
    pub mean_latency: f64,
    /// Whether the vendor counts a call as it arrives, rather than at any instant from then to its
    /// answer.
    pub at_arrival: bool,
    /// Whether all calls have the same urgency.
    pub calm: bool,
    /// Callers who say how long they wait.
    pub say_wait: u32,
    /// Answers that take 2 to 6 s.
    pub slow: u32,
    /// Calls that the vendor works on past the timeout.
    pub hung: u32,
    pub streams: u32,
    pub throttles: u32,
    /// Throttles that say the day is spent.
    pub day_throttles: u32,
    /// Answers that report the vendor's own counts.
    pub counts: u32,
    /// Calls a minute that others make on the same account, as the vendor's counts show.
    pub others: u32,
    /// Messages of a Worker that are lost.
    pub lost_words: u32,
    /// Replies that are lost.
    pub lost_replies: u32,
    pub repeated: u32,
    pub late: u32,
    /// Permits that take 0.5 to 6 s to reach the Worker.
    pub held_up: u32,
    /// Calls whose end is reported together with another's.
    pub gathered: u32,
    /// Callers who leave.
    pub leave: u32,
    /// The mean seconds between two kills.
    pub kill_every: f64,
    pub reset_every: f64,
    pub supersede_every: f64,
    pub worker_every: f64,
    pub step_every: f64,
    /// Reads and writes that storage refuses, in hundred thousandths.
    pub storage: u32,
    /// Whether clocks are set back by as much as a quarter of an hour. Days are not checked then.
    pub wild_clock: bool,
    /// Messages between a tenant and a pool that are lost, in thousandths.
    pub pool_lost: u32,
}

/// A kind of fault, and how to leave it out.
pub type LeaveOut = (&'static str, fn(&mut Faults));

/// Each kind of fault with what leaves it out, for shrinking.
pub const LEAVE_OUT: &[LeaveOut] = &[
    ("slow", |f| f.slow = 0),
    ("hung", |f| f.hung = 0),
    ("streams", |f| f.streams = 0),
    ("throttles", |f| f.throttles = 0),
    ("day_throttles", |f| f.day_throttles = 0),
    ("counts", |f| f.counts = 0),
    ("others", |f| f.others = 0),
    ("lost_words", |f| f.lost_words = 0),
    ("lost_replies", |f| f.lost_replies = 0),
    ("repeated", |f| f.repeated = 0),
    ("late", |f| f.late = 0),
    ("held_up", |f| f.held_up = 0),
    ("gathered", |f| f.gathered = 0),
    ("leave", |f| f.leave = 0),
    ("kill", |f| f.kill_every = 0.0),
    ("reset", |f| f.reset_every = 0.0),
    ("supersede", |f| f.supersede_every = 0.0),
    ("worker", |f| f.worker_every = 0.0),
    ("step", |f| f.step_every = 0.0),
    ("storage", |f| f.storage = 0),
    ("pool_lost", |f| f.pool_lost = 0),
    ("say_wait", |f| f.say_wait = 0),
    ("urgencies", |f| f.calm = true),
    ("any instant", |f| f.at_arrival = true),
    ("wild clock", |f| f.wild_clock = false),
];
