//! The stage: seven connections of three tenants, to six mock vendors that enforce their limits
//! strictly.

use serde_json::{Value, json};
use sluice_e2e::{Ask, Instance, Tenant};
use sluice_mock_upstreams::{CountAt, Handle, Kind, Limit, Spec, Vendor};

/// A connection: its tenant, its vendor, and the mean rate of its calls.
#[derive(Debug)]
pub struct Seat {
    /// Its tenant.
    pub tenant: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The mock vendor, by its position in [`VENDORS`].
    pub vendor: usize,
    /// How many calls come a second.
    pub rate: f64,
}

const fn seat(tenant: &'static str, name: &'static str, vendor: usize, rate: f64) -> Seat {
    Seat { tenant, name, vendor, rate }
}

/// Each gets a little more than its limits admit, except the pool, which is used up on the way.
pub const SEATS: [Seat; 7] = [
    seat("north", "window", 0, 7.0),
    seat("north", "marketo", 1, 3.5),
    seat("north", "bucket", 2, 5.0),
    seat("south", "slots", 3, 3.0),
    seat("south", "hubspot", 4, 4.0),
    seat("south", "pooled", 5, 2.0),
    seat("east", "pooled", 5, 2.0),
];

/// The mock vendors, by their dialects.
pub const VENDORS: [&str; 6] = ["generic", "marketo", "aprimo", "mailchimp", "hubspot", "generic"];

/// The names of the tenants.
pub const TENANTS: [&str; 3] = ["north", "south", "east"];

/// The apps, which every tenant has.
pub const APPS: [&str; 2] = ["steady", "noisy"];

/// `timeout_seconds` and `ceiling_seconds` of every connection: short, so that lost permits expire
/// while the run lasts.
pub const TIMEOUT_MS: u64 = 4_000;

/// `max_wait_seconds` of every queue.
pub const MAX_WAIT_MS: u64 = 8_000;

/// What a window's guard compensates: steps of the clock forward, of this many milliseconds in any
/// [`WINDOW_MS`].
pub const GUARD_MS: u64 = 1_200;

/// The length of the vendors' windows, milliseconds.
pub const WINDOW_MS: u64 = 10_000;

/// The daily limit of every connection that has its own.
const DAY: u64 = 50_000;

/// The stage once it is set up.
pub struct Stage {
    /// The vendors in the order of [`VENDORS`].
    pub vendors: Vec<Handle>,
    /// The keys by tenant and app.
    pub keys: Vec<Vec<String>>,
    /// The operators' keys by tenant.
    pub operators: Vec<String>,
    /// The policies by tenant.
    pub policies: Vec<Value>,
    /// When the vendors' days end, seconds after midnight in UTC.
    reset_s: u32,
}

/// Returns the vendors' specs without any illness. `reset_s`: when their days end, seconds after
/// midnight in UTC.
pub fn specs(reset_s: u32, pool: u64) -> Vec<Spec> {
    let day = |calls| Limit::new("day", Kind::Daily { calls, reset_s, offset_s: 0 });
    let window = |calls| Limit::new("rate", Kind::RollingWindow { calls, ms: WINDOW_MS });
    let limits = [
        vec![window(60), Limit::new("slots", Kind::concurrency(8)), day(DAY)],
        vec![window(30), Limit::new("slots", Kind::concurrency(4)), day(DAY)],
        vec![Limit::new("rate", Kind::LeakyBucket { per_second: 15, burst: 15, queue: 0 })],
        vec![Limit::new("slots", Kind::concurrency(3))],
        vec![window(40), day(DAY)],
        vec![day(pool)],
    ];
    let count_at =
        [CountAt::Random, CountAt::Arrival, CountAt::Arrival, CountAt::Arrival, CountAt::Completion, CountAt::Random];
    let all = VENDORS.iter().zip(limits).zip(count_at).map(|((vendor, limits), count_at)| {
        let spec = Spec::new(vendor).jitter(20, 200).count_at(count_at).limits(limits);
        Spec { works_on: true, ..spec }
    });
    all.collect()
}

/// Returns a connection's limits as its vendor enforces them. A bucket has room for one step of the
/// clock forward.
fn limits(seat: &Seat, reset: &str, pool: u64) -> Value {
    let window = |calls: u64| json!({"name": "rate", "kind": "rolling_window", "calls": calls, "seconds": WINDOW_MS / 1_000, "guard_ms": GUARD_MS});
    let slots = |calls: u64| json!({"name": "slots", "kind": "concurrency", "calls": calls});
    let day = json!({"name": "day", "kind": "daily", "calls": DAY, "reset": reset, "time_zone": "UTC"});
    match seat.name {
        "window" => json!([window(60), slots(8), day]),
        "marketo" => json!([window(30), slots(4), day]),
        "bucket" => json!([{"name": "rate", "kind": "token_bucket", "rate_per_second": 10, "burst": 5}]),
        "slots" => json!([slots(3)]),
        "hubspot" => json!([window(40), day]),
        _ => {
            json!([{"name": "day", "kind": "daily", "calls": pool, "reset": reset, "time_zone": "UTC", "pool": "shared"}])
        }
    }
}

impl Stage {
    /// Starts the vendors, puts the policies and makes the keys. The days end twelve hours from
    /// now, so none ends in the run.
    pub async fn set(instance: &Instance, pool: u64) -> Self {
        let hour = (hour_of_day() + 12) % 24;
        let specs = specs(hour * 3_600, pool);
        let vendors: Vec<Handle> = specs.into_iter().map(|spec| Vendor::start(spec).expect("a mock vendor")).collect();
        let profiles = Tenant::new(instance, "none").admin("GET", "/vendors", None).await.json();
        let mut stage =
            Self { vendors, keys: Vec::new(), operators: Vec::new(), policies: Vec::new(), reset_s: hour * 3_600 };
        for name in TENANTS {
            let tenant = Tenant::new(instance, name);
            let mut connections = json!({});
            for seat in SEATS.iter().filter(|seat| seat.tenant == name) {
                let mut profile = profiles[VENDORS[seat.vendor]].clone();
                profile["timeout_seconds"] = json!(TIMEOUT_MS / 1_000);
                profile["ceiling_seconds"] = json!(TIMEOUT_MS / 1_000);
                connections[seat.name] = json!({
                    "vendor": "hurried", "profile": profile, "base_url": stage.vendors[seat.vendor].url(), "share": 1,
                    "limits": limits(seat, &format!("{hour:02}:00"), pool),
                    "queue": {"size": 40, "max_wait_seconds": MAX_WAIT_MS / 1_000},
                });
            }
            let policy = json!({"connections": connections, "apps": {"steady": {"weight": 3}, "noisy": {"weight": 1}}});
            tenant.policy(&policy).await;
            let mut keys = Vec::new();
            for app in APPS {
                keys.push(tenant.key(app).await);
            }
            stage.keys.push(keys);
            stage.operators.push(tenant.make_key(&json!({"role": "operator"})).await.0);
            stage.policies.push(policy);
        }
        stage
    }

    /// Widens the pool, which is used up: a job that its day refuses waits for the next day.
    pub async fn widen(&self, instance: &Instance) {
        for (vendor, limits) in
            self.vendors.iter().zip(specs(self.reset_s, DAY)).map(|(vendor, spec)| (vendor, spec.limits))
        {
            vendor.change(|spec| spec.limits = limits).expect("limits that a vendor can keep");
        }
        for (name, policy) in TENANTS.iter().zip(&self.policies) {
            let mut policy = policy.clone();
            let connections = policy["connections"].as_object_mut().into_iter().flat_map(|all| all.values_mut());
            let limits = connections.filter_map(|connection| connection["limits"].as_array_mut()).flatten();
            limits.filter(|limit| limit["pool"] == "shared").for_each(|limit| limit["calls"] = json!(DAY));
            Tenant::new(instance, name).policy(&policy).await;
        }
    }

    /// Returns a tenant's answer to its operator, if it has one.
    pub async fn ask(&self, instance: &Instance, tenant: usize, path: &str) -> Option<Value> {
        let answer = Ask::get(path).key(&self.operators[tenant]).try_send(instance.address()).await.ok()?;
        (answer.status == 200).then(|| answer.json())
    }
}

/// Returns a tenant's position in [`TENANTS`].
pub fn tenant_of(seat: &Seat) -> usize {
    TENANTS.iter().position(|name| *name == seat.tenant).expect("a tenant of the table")
}

#[expect(clippy::disallowed_methods, reason = "when a vendor's day ends is told by the calendar")]
fn hour_of_day() -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock after 1970");
    u32::try_from(now.as_secs() / 3_600 % 24).expect("below 24")
}
