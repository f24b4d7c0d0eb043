//! The limits of a policy or a vendor's profile as they are written, and what `share` makes of
//! them.

#![expect(clippy::arithmetic_side_effects, reason = "products of 64 and 32 bits in 128; offsets are below a day")]

use super::document::{Fields, Node};
use super::routes::Routes;
use crate::document::{Decimal, Tree};
use serde::Serialize;
use sluice_limiter::calendar::{Reset, Zone, Zones};
use sluice_limiter::{Kind, Limit, Unit};

/// The most limits of one connection.
pub const MAX_LIMITS: usize = 32;

/// The largest number of calls in a limit. Vendors' largest are a few millions a day.
pub const MAX_CALLS: u64 = 1_000_000_000;

/// The most bytes of a day's answers: a petabyte. It and all sums stay exact in a JSON number.
pub const MAX_BYTES: u64 = 1_000_000_000_000_000;

/// The longest rolling window, milliseconds: 31 days.
pub const MAX_WINDOW_MS: u64 = 31 * 86_400_000;

/// The most zones in a list.
const MAX_ZONES: usize = 8;

/// How far apart the zones of a list may begin their days, seconds. A reset that may be at any hour
/// is no reset.
const MAX_ZONE_SPREAD: i32 = 12 * 3_600;

/// A winter's and a summer's day (2026-01-01 and 2026-07-01, Unix ms), for which a zone can be
/// checked without a clock.
const SEASONS: [i64; 2] = [1_767_225_600_000, 1_782_864_000_000];

const MILLION: u64 = 1_000_000;

/// A limit as it is written, before `share`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRule {
    /// The name, unique within the connection. It is the kind's where none is given.
    pub name: String,
    /// The kind and its numbers.
    pub kind: Kind,
    /// The calls that it counts.
    pub routes: Routes,
    /// Whether each app has its own counter.
    pub per_app: bool,
    /// The name of a quota that is shared with other connections of any tenant; only for
    /// [`Kind::Daily`].
    pub pool: Option<String>,
}

impl LimitRule {
    /// Returns the limit in force at a share (parts per million), and whether a number was raised
    /// to 1 because the share left less. The shares of several connections can then add up to more
    /// than the limit.
    pub fn at_share(&self, share_ppm: u32) -> (Limit, bool) {
        let mut raised = false;
        let mut part = |figure: u64| {
            let part = u128::from(figure) * u128::from(share_ppm) / u128::from(MILLION);
            raised |= part == 0;
            u64::try_from(part).unwrap_or(figure).max(1)
        };
        let (kind, of) = match self.kind.clone() {
            Kind::TokenBucket { rate_micro, burst } => {
                (Kind::TokenBucket { rate_micro: part(rate_micro), burst: part(burst) }, burst)
            }
            Kind::RollingWindow { calls, window_ms, guard_ms } => {
                (Kind::RollingWindow { calls: part(calls), window_ms, guard_ms }, calls)
            }
            Kind::RollingDay { calls } => (Kind::RollingDay { calls: part(calls) }, calls),
            Kind::Daily { amount, reset, unit } => (Kind::Daily { amount: part(amount), reset, unit }, amount),
            Kind::Concurrency { calls, after_ms } => (Kind::Concurrency { calls: part(calls), after_ms }, calls),
        };
        (Limit { name: self.name.clone(), kind, of, per_app: self.per_app, pool: self.pool.clone(), routes: 0 }, raised)
    }

    /// Returns the part of the document that this limit can be read from.
    pub(super) fn document(&self) -> LimitDocument<'_> {
        let mut document = LimitDocument {
            name: &self.name,
            kind: self.kind_name(),
            routes: (!self.routes.is_all()).then(|| self.routes.written()),
            per: self.per_app.then_some("app"),
            pool: self.pool.as_deref(),
            ..LimitDocument::default()
        };
        match &self.kind {
            Kind::TokenBucket { rate_micro, burst } => {
                document.rate_per_second = Some(Decimal(*rate_micro, 6));
                document.burst = Some(*burst);
            }
            Kind::RollingWindow { calls, window_ms, guard_ms } => {
                document.calls = Some(*calls);
                document.seconds = Some(Decimal(*window_ms, 3));
                document.guard_ms = Some(*guard_ms).filter(|ms| *ms > 0);
            }
            Kind::RollingDay { calls } => document.calls = Some(*calls),
            Kind::Daily { amount, reset, unit } => {
                document.calls = Some(*amount);
                document.reset = Some(format!("{:02}:{:02}", reset.minute / 60, reset.minute % 60));
                document.time_zone = Some(ZonesDocument::of(&reset.zones));
                document.unit = (*unit == Unit::ResponseBytes).then_some("response_bytes");
            }
            Kind::Concurrency { calls, after_ms } => {
                document.calls = Some(*calls);
                document.after_seconds = (*after_ms > 0).then_some(Decimal(*after_ms, 3));
            }
        }
        document
    }

    const fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::TokenBucket { .. } => "token_bucket",
            Kind::RollingWindow { .. } => "rolling_window",
            Kind::RollingDay { .. } => "rolling_day",
            Kind::Daily { .. } => "daily",
            Kind::Concurrency { .. } => "concurrency",
        }
    }
}

/// A limit of any kind in the form in which it is written.
#[derive(Default, Serialize)]
pub(super) struct LimitDocument<'a> {
    name: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    routes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_per_second: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    burst: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<Decimal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guard_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<ZonesDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_seconds: Option<Decimal>,
}

/// The zones of a reset as they are written: a single one is not in a list.
#[derive(Serialize)]
#[serde(untagged)]
enum ZonesDocument {
    One(String),
    Many(Vec<String>),
}

impl ZonesDocument {
    fn of(zones: &[Zone]) -> Self {
        match zones {
            [zone] => Self::One(zone.to_string()),
            zones => Self::Many(zones.iter().map(ToString::to_string).collect()),
        }
    }
}

/// Reads a connection's `limits`. Every fault is noted, and limits that could not be read are left
/// out.
pub(super) fn read(at: &Node<'_>, zones: &dyn Zones) -> Option<Vec<LimitRule>> {
    let mut rules: Vec<LimitRule> = Vec::new();
    for item in at.list(MAX_LIMITS)? {
        let Some(rule) = read_one(&item, zones) else { continue };
        if rules.iter().any(|earlier| earlier.name == rule.name) {
            item.missing::<()>("name", "an earlier limit of this connection has this name; choose another");
        }
        rules.push(rule);
    }
    Some(rules)
}

/// The kinds of limits, and the fields of each beside the common ones.
const KINDS: [(&str, &[&str]); 5] = [
    ("token_bucket", &["rate_per_second", "burst"]),
    ("rolling_window", &["calls", "seconds", "guard_ms"]),
    ("rolling_day", &["calls"]),
    ("daily", &["calls", "reset", "time_zone", "unit", "pool"]),
    ("concurrency", &["calls", "after_seconds"]),
];

fn read_one(at: &Node<'_>, zones: &dyn Zones) -> Option<LimitRule> {
    let (kind, own) = read_kind(at)?;
    let known = ["name", "kind", "routes", "per"].iter().chain(own).copied().collect::<Vec<_>>();
    let fields = at.object(&known)?;
    let name = match fields.get("name") {
        Some(name) => read_name(&name),
        None => Some(kind.to_owned()),
    };
    let routes = fields.get("routes").map_or(Some(Routes::default()), |routes| Routes::read(&routes));
    let per_app = fields.get("per").map_or(Some(false), |per| per.word(&[("app", true)]));
    let pool = fields.get("pool").map(|pool| read_pool(&pool, &fields));
    let kind = match kind {
        "token_bucket" => read_bucket(&fields),
        "rolling_window" => read_window(&fields),
        "rolling_day" => read_calls(&fields).map(|calls| Kind::RollingDay { calls }),
        "daily" => read_daily(&fields, zones),
        _ => read_concurrency(&fields),
    };
    Some(LimitRule {
        name: name?,
        kind: kind?,
        routes: routes?,
        per_app: per_app?,
        pool: pool.map_or(Some(None), |pool| pool.map(Some))?,
    })
}

/// Reads the kind first, since the other fields depend on it.
fn read_kind(at: &Node<'_>) -> Option<(&'static str, &'static [&'static str])> {
    let Tree::Object(fields) = at.node else {
        at.object(&[])?;
        return None;
    };
    if !fields.iter().any(|(name, _)| name == "kind") {
        return at.missing("kind", "is required");
    }
    let everything: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    at.object(&everything)?.get("kind")?.word(&KINDS.map(|kind| (kind.0, kind)))
}

fn read_name(at: &Node<'_>) -> Option<String> {
    let text = at.text(63)?;
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.bytes().all(inner) {
        Some(text.to_owned())
    } else {
        at.fault("a limit's name is 1 to 63 letters, digits, -, _ and ., and begins with a letter or digit")
    }
}

fn read_pool(at: &Node<'_>, fields: &Fields<'_>) -> Option<String> {
    if fields.get("per").is_some() {
        at.fault::<()>("a pool is for all apps of all its tenants; leave out per");
    }
    if fields.get("unit").is_some_and(|unit| matches!(unit.node, Tree::String(text) if text != "calls")) {
        at.fault::<()>("a pool counts calls; leave out unit");
    }
    let text = at.text(63)?;
    if crate::keys::is_name(text) {
        Some(text.to_owned())
    } else {
        at.fault("a pool's name is 1 to 63 characters of a-z, 0-9 and -, and does not begin with -")
    }
}

fn read_calls(fields: &Fields<'_>) -> Option<u64> {
    fields.required("calls")?.integer(1..=MAX_CALLS)
}

fn read_bucket(fields: &Fields<'_>) -> Option<Kind> {
    let rate = fields.required("rate_per_second").and_then(|rate| rate.number(6, 1..=MILLION * MILLION));
    let burst = fields.get("burst").map(|burst| burst.integer(1..=MAX_CALLS));
    let rate_micro = rate?;
    let burst = burst.unwrap_or(Some((rate_micro / MILLION).max(1)))?;
    Some(Kind::TokenBucket { rate_micro, burst })
}

fn read_window(fields: &Fields<'_>) -> Option<Kind> {
    let calls = read_calls(fields);
    let window = fields.required("seconds").and_then(|seconds| seconds.number(3, 1..=MAX_WINDOW_MS));
    let guard = fields.get("guard_ms").map_or(Some(0), |guard| guard.integer(0..=60_000));
    Some(Kind::RollingWindow { calls: calls?, window_ms: window?, guard_ms: guard? })
}

fn read_concurrency(fields: &Fields<'_>) -> Option<Kind> {
    let calls = read_calls(fields);
    let after = fields.get("after_seconds").map_or(Some(0), |after| after.number(3, 0..=86_400_000));
    Some(Kind::Concurrency { calls: calls?, after_ms: after? })
}

fn read_daily(fields: &Fields<'_>, zones: &dyn Zones) -> Option<Kind> {
    let unit = fields.get("unit").map_or(Some(Unit::Calls), |unit| {
        unit.word(&[("calls", Unit::Calls), ("response_bytes", Unit::ResponseBytes)])
    });
    let most = if unit == Some(Unit::ResponseBytes) { MAX_BYTES } else { MAX_CALLS };
    let amount = fields.required("calls").and_then(|calls| calls.integer(1..=most));
    let minute = fields.required("reset").and_then(|at| {
        let text = at.text(5)?;
        Reset::minute_of(text).or_else(|| at.fault("must be a time of day, HH:MM, 00:00 to 23:59"))
    });
    let list = fields.required("time_zone").and_then(|at| read_zones(&at, zones));
    Some(Kind::Daily { amount: amount?, reset: Reset { minute: minute?, zones: list? }, unit: unit? })
}

fn read_zones(at: &Node<'_>, zones: &dyn Zones) -> Option<Vec<Zone>> {
    if let Tree::String(_) = at.node {
        return Some(vec![read_zone(at, zones)?]);
    }
    let Tree::Array(_) = at.node else {
        return at.fault("must be a time zone or a list of them");
    };
    let items = at.list(MAX_ZONES)?;
    if items.is_empty() {
        return at.fault("must name at least one time zone");
    }
    let list: Vec<Option<Zone>> = items.iter().map(|item| read_zone(item, zones)).collect();
    let list = list.into_iter().collect::<Option<Vec<_>>>()?;
    for season in SEASONS {
        let offsets: Vec<i32> = list.iter().filter_map(|zone| zone.offset_seconds(zones, season)).collect();
        let spread = offsets.iter().max().zip(offsets.iter().min()).map_or(0, |(most, least)| most - least);
        if spread > MAX_ZONE_SPREAD {
            return at.fault("the zones of a list must lie within 12 hours of each other");
        }
    }
    Some(list)
}

fn read_zone(at: &Node<'_>, zones: &dyn Zones) -> Option<Zone> {
    let zone = match Zone::parse(at.text(64)?) {
        Ok(zone) => zone,
        Err(detail) => return at.fault(detail),
    };
    if SEASONS.iter().all(|season| zone.offset_seconds(zones, *season).is_some()) {
        Some(zone)
    } else {
        at.fault("there is no such time zone in the IANA database of this platform")
    }
}

/// Stands in for a platform that knows every zone, for policies whose zones were checked before
/// they were stored.
#[expect(clippy::unnecessary_wraps, reason = "it stands where the offset of any zone is asked for")]
pub(super) const fn any_zone(_: &str, _: i64) -> Option<i32> {
    Some(0)
}
