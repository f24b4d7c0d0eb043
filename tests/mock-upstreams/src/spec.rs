//! The settings of a mock vendor: JSON over the control API, or built in a test.

use crate::fault::FaultRule;
use crate::limit::Limit;
use serde::{Deserialize, Serialize};

/// The settings of one mock vendor. Every field but `vendor` has a default, so
/// `{"vendor":"marketo"}` is complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The vendor whose answers it gives: a name of [`upstreams::names`](crate::upstreams::names).
    pub vendor: String,
    /// The limits that it enforces; the vendor's own if none are given.
    #[serde(default)]
    pub limits: Option<Vec<Limit>>,
    /// When, between the arrival of a call and its answer, all limits but concurrency count it.
    #[serde(default)]
    pub count_at: CountAt,
    /// How long it takes to answer.
    #[serde(default)]
    pub latency: Latency,
    /// The rules of its faults. The first that fires decides.
    #[serde(default)]
    pub faults: Vec<FaultRule>,
    /// The seed of its random numbers.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Milliseconds added to the calendar, so that a test can cause a day's reset.
    #[serde(default)]
    pub day_shift_ms: i64,
    /// Whether it works on, and keeps the call's slot, when the connection closes before its
    /// answer.
    #[serde(default)]
    pub works_on: bool,
    /// The only credential that it accepts: as a bearer token, and as the secret for which the
    /// token endpoint gives one. Without this it accepts anything.
    #[serde(default)]
    pub credential: Option<String>,
    /// The first refresh token. Each works once: an exchange gives the next, and always a new
    /// access token.
    #[serde(default)]
    pub refresh_token: Option<String>,
    /// How long a token of the token endpoint works, seconds.
    #[serde(default = "default_token_s")]
    pub token_s: u64,
    /// How many calls the journal keeps. Older ones are forgotten, and counted as forgotten.
    #[serde(default = "default_journal")]
    pub journal: usize,
    /// The request header that names the app in the journal.
    #[serde(default = "default_app_header")]
    pub app_header: String,
}

/// When a call is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountAt {
    /// The limits count it when its head has arrived.
    #[default]
    Arrival,
    /// The limits count it at a random instant between arrival and answer.
    Random,
    /// The limits count it when the answer is ready.
    Completion,
}

/// How long an answer takes, from the arrival of the request's head to the answer's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Latency {
    /// It takes no time.
    #[default]
    None,
    /// It always takes the same time.
    Fixed {
        /// Milliseconds.
        ms: u64,
    },
    /// It is uniform between the two.
    Uniform {
        /// The shortest, milliseconds.
        min_ms: u64,
        /// The longest, milliseconds.
        max_ms: u64,
    },
    /// It is log-normal: mostly quick, at times very slow.
    LogNormal {
        /// The mean, milliseconds.
        mean_ms: u64,
        /// The standard deviation of the logarithm; 0.5 is a usual network.
        sigma: f64,
    },
}

const fn default_seed() -> u64 {
    1
}

const fn default_token_s() -> u64 {
    3600
}

/// Returns the size of the journal. 100,000 calls take about 30 MB.
const fn default_journal() -> usize {
    100_000
}

fn default_app_header() -> String {
    "x-app".to_owned()
}

impl Spec {
    /// Makes a vendor with its own limits, no latency and no faults.
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

    /// Replaces the vendor's own limits.
    #[must_use]
    pub fn limits(mut self, limits: Vec<Limit>) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Sets the latency.
    #[must_use]
    pub const fn latency(mut self, latency: Latency) -> Self {
        self.latency = latency;
        self
    }

    /// Sets a uniform latency from `min_ms` to `max_ms`.
    #[must_use]
    pub const fn jitter(self, min_ms: u64, max_ms: u64) -> Self {
        self.latency(Latency::Uniform { min_ms, max_ms })
    }

    /// Adds a fault.
    #[must_use]
    pub fn fault(mut self, rule: FaultRule) -> Self {
        self.faults.push(rule);
        self
    }

    /// Sets when calls are counted.
    #[must_use]
    pub const fn count_at(mut self, at: CountAt) -> Self {
        self.count_at = at;
        self
    }

    /// Sets the only credential that is accepted.
    #[must_use]
    pub fn credential(mut self, credential: &str) -> Self {
        self.credential = Some(credential.to_owned());
        self
    }

    /// Sets the first refresh token; each exchange then gives the next.
    #[must_use]
    pub fn refresh_token(mut self, token: &str) -> Self {
        self.refresh_token = Some(token.to_owned());
        self
    }

    /// Sets how long tokens work, seconds.
    #[must_use]
    pub const fn token_s(mut self, seconds: u64) -> Self {
        self.token_s = seconds;
        self
    }

    /// Sets the seed of the random numbers.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}
