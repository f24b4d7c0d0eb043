//! Policies as the world knows them: written out as JSON for the tenant's state, read by the oracle with arithmetic of its own.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One tenant's policy.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    pub conns: BTreeMap<String, Conn>,
    pub apps: BTreeMap<String, App>,
}

#[derive(Clone, Debug)]
pub struct Conn {
    pub limits: Vec<Lim>,
    pub share_ppm: u64,
    pub queue: u64,
    pub max_wait_ms: u64,
    pub adaptive: Adaptive,
    pub observe: bool,
    pub attempts: u64,
}

#[derive(Clone, Debug)]
pub struct Adaptive {
    pub min_ppm: u64,
    pub backoff_ppm: u64,
    pub successes: u64,
    pub pause_ms: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Lim {
    pub name: String,
    pub kind: Kind,
    pub routes: Vec<Route>,
    pub per_app: bool,
    pub pool: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Bucket { rate_micro: u64, burst: u64 },
    Window { calls: u64, window_ms: u64, guard_ms: u64 },
    RollingDay { calls: u64 },
    Daily { amount: u64, reset: Reset, bytes: bool },
    Slots { calls: u64, after_ms: u64 },
}

/// A time of day, minutes after midnight, in one of several zones.
#[derive(Clone, Debug, PartialEq)]
pub struct Reset {
    pub minute: u16,
    pub zones: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct App {
    pub weight: u64,
    pub daily_calls: Option<u64>,
    pub routes: Vec<Route>,
}

/// Which calls: with `not` all but these.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub not: bool,
    pub method: Option<&'static str>,
    pub path: &'static str,
}

/// What can be asked of a vendor: a method and a path.
pub const TARGETS: [(&str, &str); 6] =
    [("GET", "/a/1"), ("GET", "/a/2"), ("POST", "/a/1"), ("GET", "/b"), ("POST", "/c/x/y"), ("PUT", "/c/x")];

impl Route {
    fn is_of(&self, target: usize) -> bool {
        let (method, path) = TARGETS[target];
        if self.method.is_some_and(|own| own != method) {
            return false;
        }
        let (own, path): (Vec<&str>, Vec<&str>) = (self.path.split('/').collect(), path.split('/').collect());
        let prefix = own.last() == Some(&"**");
        let own = if prefix { &own[..own.len() - 1] } else { &own[..] };
        let long = if prefix { path.len() >= own.len() } else { path.len() == own.len() };
        long && own.iter().zip(&path).all(|(own, part)| *own == "*" || own == part)
    }

    fn text(&self) -> String {
        let method = self.method.map(|method| format!("{method} ")).unwrap_or_default();
        format!("{}{method}{}", if self.not { "!" } else { "" }, self.path)
    }
}

/// Whether a list of routes is about a call; the empty list is about every call.
pub fn is_about(routes: &[Route], target: usize) -> bool {
    let mut only = routes.iter().filter(|route| !route.not).peekable();
    let meant = only.peek().is_none() || only.any(|route| route.is_of(target));
    meant && !routes.iter().any(|route| route.not && route.is_of(target))
}

/// A figure's part: rounded down, at least 1.
pub fn part(figure: u64, share_ppm: u64) -> u64 {
    let part = u128::from(figure) * u128::from(share_ppm) / 1_000_000;
    u64::try_from(part).unwrap().max(1)
}

impl Conn {
    /// The day of the apps' budgets: the first daily limit's that counts calls, else UTC's.
    pub fn own_reset(&self) -> Reset {
        let found = self.limits.iter().find_map(|limit| match &limit.kind {
            Kind::Daily { reset, bytes: false, .. } => Some(reset.clone()),
            _ => None,
        });
        found.unwrap_or(Reset { minute: 0, zones: vec!["+00:00".to_owned()] })
    }

    pub fn has_pool(&self) -> bool {
        self.limits.iter().any(|limit| limit.pool.is_some())
    }
}

impl Spec {
    pub fn text(&self) -> String {
        self.json().to_string()
    }

    fn json(&self) -> Value {
        let conns: BTreeMap<_, _> = self.conns.iter().map(|(name, conn)| (name, conn.json())).collect();
        let apps: BTreeMap<_, _> = self.apps.iter().map(|(name, app)| (name, app.json())).collect();
        json!({"connections": conns, "apps": apps})
    }
}

fn decimal(figure: u64, one: u64) -> Value {
    if figure.is_multiple_of(one) { json!(figure / one) } else { json!(figure as f64 / one as f64) }
}

impl Conn {
    pub fn json(&self) -> Value {
        json!({
            "vendor": "toy",
            "profile": {"title": "A vendor of the world's", "timeout_seconds": 6, "ceiling_seconds": 9},
            "base_url": "https://toy.example.com",
            "limits": self.limits.iter().map(Lim::json).collect::<Vec<_>>(),
            "share": decimal(self.share_ppm, 1_000_000),
            "queue": {"size": self.queue, "max_wait_seconds": decimal(self.max_wait_ms, 1_000)},
            "adaptive": {
                "min": decimal(self.adaptive.min_ppm, 1_000_000),
                "backoff": decimal(self.adaptive.backoff_ppm, 1_000_000),
                "successes": self.adaptive.successes,
                "pause_seconds": decimal(self.adaptive.pause_ms, 1_000),
            },
            "retry": {"attempts": self.attempts},
            "timeout_seconds": 6,
            "mode": if self.observe { "observe" } else { "enforce" },
            "credential": {"type": "bearer", "token": "of-the-toy"},
        })
    }
}

impl Lim {
    pub fn json(&self) -> Value {
        let mut whole = match &self.kind {
            Kind::Bucket { rate_micro, burst } => {
                json!({"kind": "token_bucket", "rate_per_second": decimal(*rate_micro, 1_000_000), "burst": burst})
            }
            Kind::Window { calls, window_ms, guard_ms } => {
                json!({"kind": "rolling_window", "calls": calls, "seconds": decimal(*window_ms, 1_000), "guard_ms": guard_ms})
            }
            Kind::RollingDay { calls } => json!({"kind": "rolling_day", "calls": calls}),
            Kind::Daily { amount, reset, bytes } => json!({
                "kind": "daily", "calls": amount, "reset": format!("{:02}:{:02}", reset.minute / 60, reset.minute % 60),
                "time_zone": reset.zones, "unit": if *bytes { "response_bytes" } else { "calls" },
            }),
            Kind::Slots { calls, after_ms } => {
                json!({"kind": "concurrency", "calls": calls, "after_seconds": decimal(*after_ms, 1_000)})
            }
        };
        whole["name"] = json!(self.name);
        if !self.routes.is_empty() {
            whole["routes"] = json!(self.routes.iter().map(Route::text).collect::<Vec<_>>());
        }
        if self.per_app {
            whole["per"] = json!("app");
        }
        if let Some(pool) = &self.pool {
            whole["pool"] = json!(pool);
        }
        whole
    }
}

impl App {
    fn json(&self) -> Value {
        let mut whole = json!({"weight": self.weight});
        if let Some(calls) = self.daily_calls {
            whole["daily_calls"] = json!(calls);
        }
        if !self.routes.is_empty() {
            whole["routes"] = json!(self.routes.iter().map(Route::text).collect::<Vec<_>>());
        }
        whole
    }
}

#[test]
fn routes_are_about_what_they_say() {
    let of = |not, method, path| Route { not, method, path };
    assert!(is_about(&[], 0) && is_about(&[of(false, None, "/a/*")], 2));
    assert!(!is_about(&[of(false, Some("GET"), "/a/*")], 2) && !is_about(&[of(true, None, "/a/1")], 0));
    assert!(is_about(&[of(false, None, "/c/**")], 4) && !is_about(&[of(false, None, "/c/*")], 4));
    assert_eq!((part(3, 333_333), part(10, 500_000)), (1, 5));
}
