//! A connection: a tenant's account at a vendor, with its limits and credential.

use super::credential::{Credential, CredentialContext};
use super::document::{Faults, Fields, Node};
use super::limits::{self, LimitDocument, LimitRule};
use super::routes::Routes;
use super::{Context, url};
use crate::document::{Decimal, Tree};
use crate::upstream::Profile;
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use sluice_limiter::{AdaptiveRule, Limit, Mode, QueueRule};
use std::ops::RangeInclusive;

/// The most calls that may wait at once on a connection. Each is a future in the tenant's object.
const MAX_QUEUE: u64 = 10_000;

/// The longest wait in the queue and the longest pause, milliseconds: an hour.
const MAX_WAIT_MS: u64 = 3_600_000;

/// The range of `max_pause_seconds`, milliseconds: from a second to a day. A vendor's Retry-After
/// is never followed for longer.
const VENDOR_PAUSES_MS: RangeInclusive<u64> = 1_000..=86_400_000;

/// The longest `timeout_seconds`, milliseconds: an hour. Salesforce, the slowest of the vendors,
/// answers within ten minutes.
const MAX_TIMEOUT_MS: u64 = 3_600_000;

/// The most attempts at one call.
const MAX_ATTEMPTS: u64 = 10;

/// The longest name of a vendor, bytes.
const MAX_VENDOR_BYTES: usize = 63;

const PPM: u64 = 1_000_000;

/// A connection in the form in which it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The vendor's name: that of a built-in profile, or the tenant's own name for an inline one.
    pub vendor: String,
    /// The vendor's profile.
    pub profile: Profile,
    /// Whether the profile is written inline, by the tenant.
    pub inline: bool,
    /// Scheme, host and base path of the vendor, without a trailing slash.
    pub base_url: String,
    /// The limits in force, after `share`, each with the routes that it counts.
    pub limits: Vec<(Limit, Routes)>,
    /// The limits before `share`.
    pub written: Vec<LimitRule>,
    /// The wait queue.
    pub queue: QueueRule,
    /// How the rate adapts when the vendor throttles.
    pub adaptive: AdaptiveRule,
    /// The most vendor calls for one call, the first included.
    pub retry_attempts: u32,
    /// The time limit of a call from send to last byte, milliseconds.
    pub timeout_ms: u64,
    /// Whether limits are enforced or only observed.
    pub mode: Mode,
    /// The credential that replaces the caller's key.
    pub credential: Credential,
    /// The part of every limit that belongs to this connection, parts per million.
    pub share_ppm: u32,
}

/// A connection in the form in which it is written.
#[derive(Serialize)]
pub(super) struct ConnectionDocument<'a> {
    vendor: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Box<RawValue>>,
    base_url: &'a str,
    share: Decimal,
    limits: Vec<LimitDocument<'a>>,
    queue: QueueDocument,
    adaptive: AdaptiveDocument,
    retry: RetryDocument,
    timeout_seconds: Decimal,
    mode: &'static str,
    credential: serde_json::Value,
}

#[derive(Serialize)]
struct QueueDocument {
    size: u32,
    max_wait_seconds: Decimal,
}

#[derive(Serialize)]
struct AdaptiveDocument {
    min: Decimal,
    max: Decimal,
    backoff: Decimal,
    recovery: Decimal,
    successes: u32,
    pause_seconds: Decimal,
    max_pause_seconds: Decimal,
}

#[derive(Serialize)]
struct RetryDocument {
    attempts: u32,
}

impl Connection {
    /// Returns the part of the document that this connection can be read from. The credential's
    /// secrets pass through `shown` with their fields' names.
    pub(super) fn document(&self, shown: &mut dyn FnMut(&str, &str) -> String) -> ConnectionDocument<'_> {
        let adaptive = AdaptiveDocument {
            min: Decimal(self.adaptive.min_ppm.into(), 6),
            max: Decimal(self.adaptive.max_ppm.into(), 6),
            backoff: Decimal(self.adaptive.backoff_ppm.into(), 6),
            recovery: Decimal(self.adaptive.recovery_ppm.into(), 6),
            successes: self.adaptive.successes,
            pause_seconds: Decimal(self.adaptive.pause_ms, 3),
            max_pause_seconds: Decimal(self.adaptive.max_pause_ms, 3),
        };
        ConnectionDocument {
            vendor: &self.vendor,
            profile: self.profile.text.clone().and_then(|text| RawValue::from_string(text).ok()),
            base_url: &self.base_url,
            share: Decimal(self.share_ppm.into(), 6),
            limits: self.written.iter().map(LimitRule::document).collect(),
            queue: QueueDocument { size: self.queue.size, max_wait_seconds: Decimal(self.queue.max_wait_ms, 3) },
            adaptive,
            retry: RetryDocument { attempts: self.retry_attempts },
            timeout_seconds: Decimal(self.timeout_ms, 3),
            mode: self.mode.as_str(),
            credential: self.credential.document(shown),
        }
    }
}

const FIELDS: [&str; 11] = [
    "vendor",
    "profile",
    "base_url",
    "share",
    "limits",
    "queue",
    "adaptive",
    "retry",
    "timeout_seconds",
    "mode",
    "credential",
];

/// Reads a connection. Each part is read even if an earlier one failed, so that every fault is
/// noted.
pub(super) fn read(
    at: &Node<'_>,
    context: &Context<'_>,
    previous: Option<&Connection>,
    warnings: &Faults,
) -> Option<Connection> {
    let fields = at.object(&FIELDS)?;
    let vendor = read_vendor(&fields);
    let profile = vendor.as_ref().map(|vendor| &vendor.profile);
    let base_url = read_base_url(&fields, profile, context.allow_loopback);
    let share = match fields.get("share") {
        Some(at) => at.number(6, 1..=PPM).and_then(|ppm| u32::try_from(ppm).ok()),
        None => profile.map(|profile| profile.share_ppm),
    };
    let limits = match fields.get("limits") {
        Some(at) => limits::read(&at, context.zones),
        None => None,
    };
    let queue = fields.get("queue").map_or(Some(QUEUE), |at| read_queue(&at));
    let adaptive = fields.get("adaptive").map_or(Some(AdaptiveRule::USUAL), |at| read_adaptive(&at));
    let retry_attempts = fields.get("retry").map_or(Some(3), |at| read_retry(&at));
    let timeout_ms = match fields.get("timeout_seconds") {
        Some(at) => at.number(3, 1..=MAX_TIMEOUT_MS),
        None => profile.map(|profile| u64::from(profile.timeout_seconds) * 1_000),
    };
    let modes = [("enforce", Mode::Enforce), ("observe", Mode::Observe)];
    let mode = fields.get("mode").map_or(Some(Mode::Enforce), |at| at.word(&modes));
    let credential = fields.get("credential").map_or(Some(Credential::Passthrough), |at| {
        let around = CredentialContext {
            previous: previous.map(|previous| &previous.credential),
            same_hosts: same_hosts(&at, base_url.as_deref(), previous),
            token_endpoint: profile.is_none_or(|profile| profile.token_endpoint.is_some()),
            allow_loopback: context.allow_loopback,
        };
        Credential::read(&at, &around)
    });
    let limits = match fields.get("limits") {
        Some(_) => limits,
        None => vendor.as_ref().and_then(|vendor| own_limits(at, vendor, credential.as_ref(), context)),
    };
    let (written, share_ppm, vendor) = (limits?, share?, vendor?);
    let in_force = at_share(at, &written, share_ppm, warnings);
    Some(Connection {
        vendor: vendor.name,
        profile: vendor.profile,
        inline: vendor.inline,
        base_url: base_url?,
        limits: in_force,
        written,
        queue: queue?,
        adaptive: adaptive?,
        retry_attempts: retry_attempts?,
        timeout_ms: timeout_ms?,
        mode: mode?,
        credential: credential?,
        share_ppm,
    })
}

struct Vendor {
    name: String,
    profile: Profile,
    inline: bool,
}

fn read_vendor(fields: &Fields<'_>) -> Option<Vendor> {
    let name = fields.required("vendor").and_then(|at| {
        let text = at.text(MAX_VENDOR_BYTES)?;
        if crate::keys::is_name(text) {
            Some((text.to_owned(), at))
        } else {
            at.fault("a vendor's name is 1 to 63 characters of a-z, 0-9 and -, and does not begin with -")
        }
    });
    if let Some(at) = fields.get("profile") {
        let profile = Profile::inline(at.value()).map_err(|faults| {
            faults.iter().for_each(|(pointer, detail)| at.fault_below(pointer, detail));
        });
        return Some(Vendor { name: name?.0, profile: profile.ok()?, inline: true });
    }
    let (name, at) = name?;
    match Profile::built_in(&name) {
        Some(profile) => Some(Vendor { name, profile, inline: false }),
        None => at.fault(format!(
            "is not a built-in vendor; those are {}. Describe another one in profile",
            Profile::names().collect::<Vec<_>>().join(", ")
        )),
    }
}

fn read_base_url(fields: &Fields<'_>, profile: Option<&Profile>, allow_loopback: bool) -> Option<String> {
    let written = fields.get("base_url");
    let (at, text) = match (&written, profile.map(|profile| profile.base_url.as_deref())) {
        (Some(at), _) => (at, at.text(url::MAX_ADDRESS_BYTES)?),
        (None, None) => return None,
        (None, Some(Some(known))) => (&fields.at, known),
        (None, Some(None)) => {
            return fields.at.missing("base_url", "is required: this vendor has no address that is the same for all");
        }
    };
    match url::check(text, allow_loopback) {
        Ok(_) => Some(text.strip_suffix('/').unwrap_or(text).to_owned()),
        Err(detail) => at.fault(detail),
    }
}

/// Returns the profile's limits, for a connection that has none of its own.
fn own_limits(
    at: &Node<'_>,
    vendor: &Vendor,
    credential: Option<&Credential>,
    context: &Context<'_>,
) -> Option<Vec<LimitRule>> {
    let mut items = vendor.profile.limits.clone();
    for limit in &mut items {
        let Tree::Object(fields) = limit else { continue };
        let Some(by_client) = fields.iter().position(|(name, _)| name == "pool_by") else { continue };
        fields.remove(by_client);
        if let Some(client) = credential.and_then(Credential::client_id) {
            // The name reveals nothing of the client, and no tenant can choose it by chance.
            let digest = Sha256::digest([vendor.name.as_bytes(), b"\0", client.as_bytes()].concat());
            let mark = digest.first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes));
            fields.push(("pool".to_owned(), Tree::String(format!("client-{mark:032x}"))));
        }
    }
    let node = Tree::Array(items);
    let below = if vendor.inline { "/profile/limits" } else { "/limits" };
    limits::read(&at.standing_in(below, &node), context.zones)
}

/// Whether the connection's secrets would go to the same hosts as before: that of `base_url`, and
/// that of the token endpoint, which is the vendor's own unless the credential names another. A
/// value that cannot be read has its own fault already.
fn same_hosts(credential: &Node<'_>, base_url: Option<&str>, previous: Option<&Connection>) -> bool {
    let (Some(base_url), Some(previous)) = (base_url, previous) else { return true };
    let written = match credential.node {
        Tree::Object(fields) => fields.iter().find(|(name, _)| name == "token_url").map(|(_, node)| node),
        _ => None,
    };
    let token_url = match written {
        Some(Tree::String(text)) => text,
        _ => base_url,
    };
    same_origin(base_url, &previous.base_url)
        && same_origin(token_url, previous.credential.token_url().unwrap_or(&previous.base_url))
}

fn same_origin(one: &str, other: &str) -> bool {
    matches!((url::check(one, true), url::check(other, true)), (Ok(one), Ok(other)) if one.same_origin(&other))
}

fn at_share(at: &Node<'_>, written: &[LimitRule], share_ppm: u32, warnings: &Faults) -> Vec<(Limit, Routes)> {
    let mut in_force = Vec::new();
    for (index, rule) in written.iter().enumerate() {
        let (limit, raised) = rule.at_share(share_ppm);
        if raised {
            warnings.note(
                &format!("{}/limits/{index}", at.pointer),
                "the share of this limit is less than 1 and was raised to 1; the shares of several connections may add up to more than the limit",
            );
        }
        in_force.push((limit, rule.routes.clone()));
    }
    in_force
}

const QUEUE: QueueRule = QueueRule { size: 100, max_wait_ms: 10_000 };

fn read_queue(at: &Node<'_>) -> Option<QueueRule> {
    let fields = at.object(&["size", "max_wait_seconds"])?;
    let size = fields.get("size").map_or(Some(QUEUE.size), |at| u32::try_from(at.integer(0..=MAX_QUEUE)?).ok());
    let wait = fields.get("max_wait_seconds").map_or(Some(QUEUE.max_wait_ms), |at| at.number(3, 0..=MAX_WAIT_MS));
    Some(QueueRule { size: size?, max_wait_ms: wait? })
}

fn read_adaptive(at: &Node<'_>) -> Option<AdaptiveRule> {
    let fields =
        at.object(&["min", "max", "backoff", "recovery", "successes", "pause_seconds", "max_pause_seconds"])?;
    let factor = |name, low: u64, high: u64, default: u32| match fields.get(name) {
        Some(at) => u32::try_from(at.number(6, low..=high)?).ok(),
        None => Some(default),
    };
    let min = factor("min", 1, PPM, AdaptiveRule::USUAL.min_ppm);
    let max = factor("max", 1, PPM, AdaptiveRule::USUAL.max_ppm);
    let backoff = factor("backoff", 1, PPM, AdaptiveRule::USUAL.backoff_ppm);
    let recovery = factor("recovery", PPM, 10 * PPM, AdaptiveRule::USUAL.recovery_ppm);
    let successes = fields
        .get("successes")
        .map_or(Some(AdaptiveRule::USUAL.successes), |at| u32::try_from(at.integer(1..=1_000_000)?).ok());
    let pause =
        fields.get("pause_seconds").map_or(Some(AdaptiveRule::USUAL.pause_ms), |at| at.number(3, 0..=MAX_WAIT_MS));
    let max_pause = fields
        .get("max_pause_seconds")
        .map_or(Some(AdaptiveRule::USUAL.max_pause_ms), |at| at.number(3, VENDOR_PAUSES_MS));
    let (min_ppm, max_ppm) = (min?, max?);
    if min_ppm > max_ppm {
        at.missing::<()>("min", "must be at most max");
    }
    Some(AdaptiveRule {
        min_ppm,
        max_ppm,
        backoff_ppm: backoff?,
        recovery_ppm: recovery?,
        successes: successes?,
        pause_ms: pause?,
        max_pause_ms: max_pause?,
    })
}

fn read_retry(at: &Node<'_>) -> Option<u32> {
    let fields = at.object(&["attempts"])?;
    fields.get("attempts").map_or(Some(3), |at| u32::try_from(at.integer(1..=MAX_ATTEMPTS)?).ok())
}
