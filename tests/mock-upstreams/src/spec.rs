//! What a mock vendor is told to be. JSON over the control API, or built in a test.

use crate::fault::FaultRule;
use crate::limit::Limit;
use serde::{Deserialize, Serialize};

/// One mock vendor. Every field has a default, so `{"vendor":"marketo"}` is whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Whose answers it gives: a name of [`vendors::names`](crate::vendors::names).
    pub vendor: String,
    /// The limits it keeps; without, the vendor's own.
    #[serde(default)]
    pub limits: Option<Vec<Limit>>,
    /// When, between the arrival of a call and its answer, it is counted by all limits but concurrency.
    #[serde(default)]
    pub count_at: CountAt,
    /// How long it takes to answer.
    #[serde(default)]
    pub latency: Latency,
    /// What goes wrong. The first rule that fires decides.
    #[serde(default)]
    pub faults: Vec<FaultRule>,
    /// Where its chance starts.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Milliseconds added to the calendar, so that a day's reset can be brought about.
    #[serde(default)]
    pub day_shift_ms: i64,
    /// Goes on working, and holds the call's slot, when the connection closes before its answer.
    #[serde(default)]
    pub works_on: bool,
    /// The only credential it takes: a bearer token as it stands, and the secret that buys one at the token endpoint.
    /// Without, it takes anything.
    #[serde(default)]
    pub credential: Option<String>,
    /// The first refresh token. Each works once: an exchange gives the next, and always a new access token.
    #[serde(default)]
    pub refresh_token: Option<String>,
    /// How long a token bought at the token endpoint works, seconds.
    #[serde(default = "default_token_s")]
    pub token_s: u64,
    /// Calls that the journal keeps; older ones are forgotten, and counted as forgotten.
    #[serde(default = "default_journal")]
    pub journal: usize,
    /// The request header that tells the apps apart in the journal.
    #[serde(default = "default_app_header")]
    pub app_header: String,
}

/// When a call is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountAt {
    /// When its head has arrived.
    #[default]
    Arrival,
    /// At a random instant between arrival and answer.
    Random,
    /// When the answer is ready.
    Completion,
}

/// How long an answer takes, from the arrival of the request's head to the first byte of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Latency {
    /// No time.
    #[default]
    None,
    /// Always the same.
    Fixed {
        /// Milliseconds.
        ms: u64,
    },
    /// Uniform between the two.
    Uniform {
        /// Milliseconds.
        min_ms: u64,
        /// Milliseconds.
        max_ms: u64,
    },
    /// Log-normal: mostly quick, at times very slow.
    LogNormal {
        /// The mean, milliseconds.
        mean_ms: u64,
        /// The standard deviation of its logarithm; 0.5 is a usual network.
        sigma: f64,
    },
}

const fn default_seed() -> u64 {
    1
}

const fn default_token_s() -> u64 {
    3600
}

/// 100,000 calls are about 30 MB.
const fn default_journal() -> usize {
    100_000
}

fn default_app_header() -> String {
    "x-app".to_owned()
}

impl Spec {
    /// A vendor with its own limits, no latency and no faults.
    pub fn new(vendor: &str) -> Self {
        Self {
            vendor: vendor.to_owned(),
            limits: None,
            count_at: CountAt::default(),
            latency: Latency::default(),
            faults: Vec::new(),
            seed: default_seed(),
            day_shift_ms: 0,
            works_on: false,
            credential: None,
            refresh_token: None,
            token_s: default_token_s(),
            journal: default_journal(),
            app_header: default_app_header(),
        }
    }

    /// With these limits in place of the vendor's own.
    #[must_use]
    pub fn limits(mut self, limits: Vec<Limit>) -> Self {
        self.limits = Some(limits);
        self
    }

    /// With this latency.
    #[must_use]
    pub const fn latency(mut self, latency: Latency) -> Self {
        self.latency = latency;
        self
    }

    /// Jitter from `min_ms` to `max_ms`.
    #[must_use]
    pub const fn jitter(self, min_ms: u64, max_ms: u64) -> Self {
        self.latency(Latency::Uniform { min_ms, max_ms })
    }

    /// With one more fault.
    #[must_use]
    pub fn fault(mut self, rule: FaultRule) -> Self {
        self.faults.push(rule);
        self
    }

    /// Counting at `at`.
    #[must_use]
    pub const fn count_at(mut self, at: CountAt) -> Self {
        self.count_at = at;
        self
    }

    /// Taking this credential alone.
    #[must_use]
    pub fn credential(mut self, credential: &str) -> Self {
        self.credential = Some(credential.to_owned());
        self
    }

    /// Taking this refresh token first, and then the one that each exchange gives.
    #[must_use]
    pub fn refresh_token(mut self, token: &str) -> Self {
        self.refresh_token = Some(token.to_owned());
        self
    }

    /// Its tokens working so long, seconds.
    #[must_use]
    pub const fn token_s(mut self, seconds: u64) -> Self {
        self.token_s = seconds;
        self
    }

    /// Its chance starting here.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}
