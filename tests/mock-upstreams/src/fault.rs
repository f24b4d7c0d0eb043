//! The faults of a vendor, by probability or by script.

use crate::chance::Chance;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// It answers with a status and a short body.
    Status {
        /// Any status, also one that HTTP does not have.
        status: u16,
        /// `Retry-After` in seconds.
        #[serde(default)]
        retry_after_s: Option<u64>,
        /// `Retry-After` as a date this many seconds ahead.
        #[serde(default)]
        retry_at_s: Option<u64>,
    },
    /// It gives the vendor's own answer to too many calls, though none of its limits is reached.
    Throttle {
        /// `Retry-After` in seconds, where the vendor sends one.
        #[serde(default)]
        retry_after_s: Option<u64>,
    },
    /// The connection is reset before the answer.
    ResetBefore,
    /// The connection is reset after the answer's head.
    ResetAfterHead,
    /// The connection is reset after this many bytes of the body, or half of it if it is shorter.
    ResetMidBody {
        /// How many bytes are sent first.
        bytes: u64,
    },
    /// The answer never comes; the connection stays open.
    Hang,
    /// The head of the answer comes, and no body.
    HangAfterHead,
    /// The body comes in 20 pieces with pauses.
    SlowBody {
        /// Milliseconds between two pieces.
        pause_ms: u64,
    },
    /// The body is this many bytes long.
    Oversized {
        /// How many bytes the body has.
        bytes: u64,
    },
    /// It answers with a 200 whose JSON is cut off.
    MalformedJson,
    /// It sends exactly these bytes in place of an answer, and closes the connection.
    Raw {
        /// The bytes, as text.
        text: String,
    },
}

/// A rule that says when a fault occurs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultRule {
    /// The fault.
    #[serde(flatten)]
    pub fault: Fault,
    /// The probability of the fault, 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// Only calls whose target starts with this can have the fault.
    #[serde(default)]
    pub path: Option<String>,
    /// How many of these calls pass before the first can have the fault.
    #[serde(default)]
    pub skip: u64,
    /// The most calls that get the fault.
    #[serde(default)]
    pub times: Option<u64>,
}

const fn always() -> f64 {
    1.0
}

impl FaultRule {
    /// Makes every call get the fault.
    pub const fn always(fault: Fault) -> Self {
        Self { fault, probability: 1.0, path: None, skip: 0, times: None }
    }

    /// Makes the first `times` calls get the fault.
    pub const fn first(times: u64, fault: Fault) -> Self {
        Self { fault, probability: 1.0, path: None, skip: 0, times: Some(times) }
    }

    /// Makes a share of the calls get the fault.
    pub const fn some(probability: f64, fault: Fault) -> Self {
        Self { fault, probability, path: None, skip: 0, times: None }
    }

    /// Limits the rule to targets that start with `path`.
    #[must_use]
    pub fn on(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }
}

/// The active rules, with how often each has matched.
#[derive(Debug)]
pub struct Faults {
    rules: Vec<(FaultRule, u64, u64)>,
}

impl Faults {
    /// Starts with these rules, none of which has matched yet.
    pub fn new(rules: &[FaultRule]) -> Self {
        Self { rules: rules.iter().map(|rule| (rule.clone(), 0, 0)).collect() }
    }

    /// Draws the fault of the next call.
    pub fn draw(&mut self, target: &str, chance: &mut Chance) -> Option<Fault> {
        self.draw_of(target, chance, |_| true)
    }

    /// Draws the fault of the next token request, for which only rules with its exact path count.
    pub fn draw_for_token(&mut self, target: &str, chance: &mut Chance) -> Option<Fault> {
        self.draw_of(target, chance, |rule| rule.path.is_some())
    }

    fn draw_of(&mut self, target: &str, chance: &mut Chance, which: impl Fn(&FaultRule) -> bool) -> Option<Fault> {
        for (rule, met, done) in self.rules.iter_mut().filter(|(rule, ..)| which(rule)) {
            if rule.path.as_deref().is_some_and(|path| !target.starts_with(path)) {
                continue;
            }
            *met += 1;
            if *met <= rule.skip || rule.times.is_some_and(|times| *done >= times) || chance.unit() >= rule.probability
            {
                continue;
            }
            *done += 1;
            return Some(rule.fault.clone());
        }
        None
    }
}

impl Fault {
    /// Returns the fault's name in the journal.
    pub fn name(&self) -> String {
        match self {
            Self::Status { status, .. } => status.to_string(),
            Self::Throttle { .. } => "throttle".to_owned(),
            Self::ResetBefore => "reset-before".to_owned(),
            Self::ResetAfterHead => "reset-after-head".to_owned(),
            Self::ResetMidBody { .. } => "reset-mid-body".to_owned(),
            Self::Hang => "hang".to_owned(),
            Self::HangAfterHead => "hang-after-head".to_owned(),
            Self::SlowBody { .. } => "slow-body".to_owned(),
            Self::Oversized { .. } => "oversized".to_owned(),
            Self::MalformedJson => "malformed-json".to_owned(),
            Self::Raw { .. } => "raw".to_owned(),
        }
    }
}

impl FromStr for FaultRule {
    type Err = String;

    /// Parses `NAME[=NUMBER][@PROBABILITY]`, as on the command line: `503=30@0.01`,
    /// `reset-mid-body@0.05`, `hang`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (what, probability) = match text.split_once('@') {
            Some((what, p)) => {
                let p: f64 = p.parse().map_err(|_| format!("«{p}» in «{text}» is no probability: write 0.01"))?;
                (what, p.clamp(0.0, 1.0))
            }
            None => (text, 1.0),
        };
        let (name, number) = match what.split_once('=') {
            Some((name, n)) => {
                (name, Some(n.parse::<u64>().map_err(|_| format!("«{n}» in «{text}» is no whole number"))?))
            }
            None => (what, None),
        };
        let fault = match name {
            "throttle" => Fault::Throttle { retry_after_s: number },
            "reset-before" => Fault::ResetBefore,
            "reset-after-head" => Fault::ResetAfterHead,
            "reset-mid-body" => Fault::ResetMidBody { bytes: number.unwrap_or(10) },
            "hang" => Fault::Hang,
            "hang-after-head" => Fault::HangAfterHead,
            "slow-body" => Fault::SlowBody { pause_ms: number.unwrap_or(100) },
            "oversized" => Fault::Oversized { bytes: number.unwrap_or(64 << 20) },
            "malformed-json" => Fault::MalformedJson,
            status => match status.parse() {
                Ok(status) => Fault::Status { status, retry_after_s: number, retry_at_s: None },
                Err(_) => {
                    return Err(format!(
                        "«{name}» is no fault: write a status, throttle, reset-before, reset-after-head, reset-mid-body, \
                         hang, hang-after-head, slow-body, oversized or malformed-json"
                    ));
                }
            },
        };
        Ok(Self::some(probability, fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_form_is_read() {
        let rule: FaultRule = "503=30@0.25".parse().unwrap();
        assert_eq!(
            rule,
            FaultRule::some(0.25, Fault::Status { status: 503, retry_after_s: Some(30), retry_at_s: None })
        );
        assert_eq!("hang".parse(), Ok(FaultRule::always(Fault::Hang)));
        assert!("hang@often".parse::<FaultRule>().unwrap_err().contains("often"));
        assert!("explode".parse::<FaultRule>().unwrap_err().contains("explode"));
    }

    #[test]
    fn a_script_runs_in_order_and_ends() {
        let second = FaultRule { skip: 1, ..FaultRule::first(1, Fault::Hang) };
        let mut faults = Faults::new(&[second, FaultRule::first(1, Fault::ResetBefore).on("/a")]);
        let mut chance = Chance::new(1);
        let drawn: Vec<_> = ["/b", "/b", "/a", "/a"].iter().map(|t| faults.draw(t, &mut chance)).collect();
        assert_eq!(drawn, [None, Some(Fault::Hang), Some(Fault::ResetBefore), None]);
    }
}
