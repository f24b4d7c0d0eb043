//! The policy's rules for what Sluice sends to the tenant: results of jobs, and alerts.

use super::credential::MASK;
use super::document::{Faults, Node};
use super::{CALLBACK_SECRET, url};
use crate::document::{Decimal, Tree};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Serialize;

/// The most hosts that may receive callbacks.
const MAX_HOSTS: usize = 100;

/// The most thresholds of a day's use.
const MAX_THRESHOLDS: usize = 10;

const PPM: u64 = 1_000_000;

/// Where results of jobs may be sent, and how they are signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Callbacks {
    /// The signing secret: `whsec_` and base64, as in the Standard Webhooks specification.
    pub secret: String,
    /// The hosts that may receive them, each with a port where only that one is allowed.
    pub hosts: Vec<String>,
}

impl std::fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callbacks").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// `callbacks` in the form in which they are written.
#[derive(Serialize)]
pub(super) struct CallbacksDocument<'a> {
    secret: String,
    hosts: &'a [String],
}

impl Callbacks {
    /// Whether results may be sent to a URL: it is valid, and its host is listed.
    pub fn admit(&self, url: &str, allow_loopback: bool) -> bool {
        let Ok(address) = url::check_with_query(url, allow_loopback) else { return false };
        self.hosts.iter().any(|host| {
            let (name, port) = host.split_once(':').map_or((host.as_str(), None), |(name, port)| (name, Some(port)));
            let port_of = |scheme| if scheme == "https" { 443 } else { 80 };
            let own_port = address.port.unwrap_or(port_of(address.scheme)).to_string();
            name.eq_ignore_ascii_case(address.host) && port.is_none_or(|port| port == own_port)
        })
    }

    /// Returns the part of the document that these callbacks can be read from, with `secret` in
    /// place of the secret.
    pub(super) fn document(&self, secret: String) -> CallbacksDocument<'_> {
        CallbacksDocument { secret, hosts: &self.hosts }
    }

    pub(super) fn read(
        at: &Node<'_>,
        previous: Option<&Self>,
        allow_loopback: bool,
        warnings: &Faults,
    ) -> Option<Self> {
        let fields = at.object(&["secret", "hosts"])?;
        let secret = fields.required("secret").and_then(|at| read_secret(&at, previous, warnings));
        let hosts = fields.get("hosts").map_or(Some(Vec::new()), |at| read_hosts(&at, allow_loopback));
        Some(Self { secret: secret?, hosts: hosts? })
    }
}

fn read_secret(at: &Node<'_>, previous: Option<&Callbacks>, warnings: &Faults) -> Option<String> {
    let text = at.text(128)?;
    if text == MASK {
        let stored = previous.map(|previous| previous.secret.clone());
        return stored.or_else(|| at.fault("there is no stored secret for *** to keep; send the secret itself"));
    }
    let base64 = text.strip_prefix("whsec_");
    let bytes = base64.and_then(|text| STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok());
    match bytes.as_ref().map(Vec::len) {
        Some(24..=64) => Some(text.to_owned()),
        Some(1..24) => {
            warnings.note(
                CALLBACK_SECRET,
                "is shorter than the 24 bytes that Standard Webhooks asks for; use a longer one",
            );
            Some(text.to_owned())
        }
        _ => at
            .fault("must be whsec_ and the base64 of 24 to 64 random bytes, as in the Standard Webhooks specification"),
    }
}

fn read_hosts(at: &Node<'_>, allow_loopback: bool) -> Option<Vec<String>> {
    let mut hosts = Vec::new();
    for item in at.list(MAX_HOSTS)? {
        let Some(text) = item.text(260) else { continue };
        let loopback = allow_loopback && url::check_with_query(&format!("http://{text}"), true).is_ok();
        let whole = !text.contains(['/', '?']);
        match url::check_with_query(&format!("https://{text}"), allow_loopback) {
            _ if loopback && whole => hosts.push(text.to_owned()),
            Ok(_) if whole => hosts.push(text.to_owned()),
            Ok(_) => item.fault::<()>("must be a host, with a port if needed, and nothing else").unwrap_or_default(),
            Err(detail) => item.fault::<()>(detail).unwrap_or_default(),
        }
    }
    Some(hosts)
}

/// When the tenant is alerted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alerts {
    /// Where alerts are sent, if anywhere.
    pub callback: Option<String>,
    /// The ratio of calls that the vendor throttled to all calls of the last hour, parts per
    /// million.
    pub throttled_ppm: u32,
    /// The used parts of a day's quota, parts per million, ascending.
    pub daily_used_ppm: Vec<u32>,
    /// How long the oldest call waits in the queue, milliseconds.
    pub queue_wait_ms: u64,
    /// How many dead letters a connection has.
    pub dead_letters: u64,
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            callback: None,
            throttled_ppm: 50_000,
            daily_used_ppm: vec![800_000, 950_000],
            queue_wait_ms: 60_000,
            dead_letters: 1,
        }
    }
}

/// `alerts` in the form in which they are written.
#[derive(Serialize)]
pub(super) struct AlertsDocument<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    callback: Option<&'a str>,
    throttled_ratio: Decimal,
    daily_used: Vec<Decimal>,
    queue_wait_seconds: Decimal,
    dead_letters: u64,
}

impl Alerts {
    /// Returns the part of the document that these alerts can be read from.
    pub(super) fn document(&self) -> AlertsDocument<'_> {
        AlertsDocument {
            callback: self.callback.as_deref(),
            throttled_ratio: Decimal(self.throttled_ppm.into(), 6),
            daily_used: self.daily_used_ppm.iter().map(|part| Decimal((*part).into(), 6)).collect(),
            queue_wait_seconds: Decimal(self.queue_wait_ms, 3),
            dead_letters: self.dead_letters,
        }
    }

    pub(super) fn read(at: &Node<'_>, allow_loopback: bool, signed: bool, warnings: &Faults) -> Option<Self> {
        let fields = at.object(&["callback", "throttled_ratio", "daily_used", "queue_wait_seconds", "dead_letters"])?;
        let default = Self::default();
        let callback = fields.get("callback").map(|at| {
            let text = at.text(url::MAX_ADDRESS_BYTES)?;
            if !signed {
                warnings.note(&at.pointer, "without callbacks.secret alerts are sent unsigned");
            }
            match url::check_with_query(text, allow_loopback) {
                Ok(_) => Some(text.to_owned()),
                Err(detail) => at.fault(detail),
            }
        });
        let ratio = fields.get("throttled_ratio").map_or(Some(default.throttled_ppm), |at| read_part(&at));
        let used = fields.get("daily_used").map_or(Some(default.daily_used_ppm), |at| read_parts(&at));
        let wait =
            fields.get("queue_wait_seconds").map_or(Some(default.queue_wait_ms), |at| at.number(3, 1..=86_400_000));
        let dead = fields.get("dead_letters").map_or(Some(default.dead_letters), |at| at.integer(1..=1_000_000));
        Some(Self {
            callback: callback.map_or(Some(None), |url| url.map(Some))?,
            throttled_ppm: ratio?,
            daily_used_ppm: used?,
            queue_wait_ms: wait?,
            dead_letters: dead?,
        })
    }
}

fn read_part(at: &Node<'_>) -> Option<u32> {
    u32::try_from(at.number(6, 1..=PPM)?).ok()
}

fn read_parts(at: &Node<'_>) -> Option<Vec<u32>> {
    let Tree::Array(_) = at.node else {
        return at.fault("must be a list of parts of the day's quota, such as [0.8, 0.95]");
    };
    let parts: Vec<Option<u32>> = at.list(MAX_THRESHOLDS)?.iter().map(read_part).collect();
    let mut parts = parts.into_iter().collect::<Option<Vec<_>>>()?;
    parts.sort_unstable();
    parts.dedup();
    Some(parts)
}
