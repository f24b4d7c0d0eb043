//! Policy edits forget nothing: afterwards no limit admits more calls than if it had been in force
//! all along.

use serde_json::{Value, json};
use sluice_e2e::instance::Start;
use sluice_e2e::{Ask, Clock, Instance, Open, Tenant, World, clock, tenant::limit};
use sluice_mock_upstreams::{Handle, Spec, Vendor};
use std::time::Duration;
use tokio::time::sleep;

tests![
    a_limit_that_becomes_one_for_each_app_or_one_for_all_keeps_its_calls,
    a_limit_that_observe_mode_only_watched_keeps_its_calls_though_it_is_raised,
    a_limit_whose_routes_widen_starts_with_all_that_was_sent,
    a_limit_of_another_name_starts_with_all_that_was_sent,
    a_day_in_another_zone_keeps_its_calls,
    a_day_that_opened_before_the_one_that_was_counted_keeps_its_calls,
    a_limit_on_calls_does_not_count_bytes_nor_the_other_way_round,
    a_day_that_becomes_a_pools_brings_its_calls_and_one_that_leaves_it_keeps_them,
    a_budget_that_an_app_is_given_starts_with_its_calls_of_today,
    a_call_in_flight_over_an_edit_is_counted_once,
];

/// A tenant with the apps `a` and `b`, whose vendor accepts everything.
struct Shop {
    vendor: Handle,
    tenant: Tenant,
    keys: [String; 2],
}

const A: usize = 0;
const B: usize = 1;

impl Shop {
    async fn open(world: &World, policy: &Policy) -> Self {
        Self::of(world.tenant("edits"), policy).await
    }

    async fn of(tenant: Tenant, policy: &Policy) -> Self {
        let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
        tenant.policy(&policy.at(&vendor)).await;
        let keys = [tenant.key("a").await, tenant.key("b").await];
        Self { vendor, tenant, keys }
    }

    /// Waits until every report of earlier calls has come, which may be a second after they ended;
    /// returns the status then.
    async fn reported(&self) -> Value {
        self.tenant.until(&self.keys[A], "all is reported", |c| c["in_flight"] == 0).await
    }

    /// Puts another policy, once everything is reported.
    async fn edit(&self, policy: &Policy) {
        self.reported().await;
        self.tenant.policy(&policy.at(&self.vendor)).await;
    }

    /// Makes calls of an app, all of which must succeed.
    async fn spend(&self, app: usize, calls: usize, path: &str) {
        for _ in 0..calls {
            self.tenant.get_now(&self.keys[app], path).await.is_vendors(200);
        }
    }

    /// Checks that this many calls of an app succeed, and that the next is refused.
    #[track_caller]
    fn goes_on<'a>(&'a self, app: usize, calls: usize, what: &'a str) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let mut went = 0;
            while self.tenant.get_now(&self.keys[app], "/echo").await.status == 200 {
                went += 1;
                assert!(went <= 100, "{what}: nothing holds the calls back ({caller})");
            }
            assert_eq!(went, calls, "{what}: calls that went after the edit ({caller})");
        }
    }
}

/// The limits of connection `c`, and its other settings.
#[derive(Clone)]
struct Policy {
    limits: Vec<Value>,
    observe: bool,
    budget_of_a: Option<u64>,
}

impl Policy {
    fn of(limit: Value) -> Self {
        Self { limits: vec![limit], observe: false, budget_of_a: None }
    }

    fn at(&self, vendor: &Handle) -> Value {
        let a = self.budget_of_a.map_or(json!({}), |calls| json!({"daily_calls": calls}));
        let mode = if self.observe { "observe" } else { "enforce" };
        let connection = json!({"vendor": "generic", "base_url": vendor.url(), "limits": self.limits, "mode": mode});
        json!({"connections": {"c": connection}, "apps": {"a": a, "b": {}}})
    }
}

/// Makes a limit with a window of a minute, so that no call leaves it while a test runs.
fn window(calls: u64) -> Value {
    json!({"name": "limit", "kind": "rolling_window", "calls": calls, "seconds": 60})
}

fn day(calls: u64) -> Value {
    json!({"name": "limit", "kind": "daily", "calls": calls, "reset": "00:00", "time_zone": "UTC"})
}

fn rolling_day(calls: u64) -> Value {
    json!({"name": "limit", "kind": "rolling_day", "calls": calls})
}

/// Changes fields of a limit.
fn with(mut limit: Value, fields: &Value) -> Value {
    limit.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    limit
}

fn each(limit: Value) -> Value {
    with(limit, &json!({"per": "app"}))
}

/// The name of a kind here, and the limit of a number of calls of that kind.
type Kind = (&'static str, fn(u64) -> Value);

const KINDS: [Kind; 3] = [("window", window), ("day", day), ("rolling day", rolling_day)];

/// A limit for all apps together has admitted 10 calls of `a`. With a bug, a change to one per app
/// forgot these and admitted 10 more. In the other direction 5 calls of each of two apps became
/// none.
async fn a_limit_that_becomes_one_for_each_app_or_one_for_all_keeps_its_calls(world: &World) {
    for (kind, limit) in KINDS {
        let shop = Shop::open(world, &Policy::of(limit(10))).await;
        shop.spend(A, 10, "/echo").await;
        shop.edit(&Policy::of(each(limit(10)))).await;
        shop.goes_on(A, 0, kind).await;
        shop.edit(&Policy::of(each(limit(13)))).await;
        shop.goes_on(A, 3, kind).await;

        let shop = Shop::open(world, &Policy::of(each(limit(5)))).await;
        shop.spend(A, 5, "/echo").await;
        shop.spend(B, 5, "/echo").await;
        shop.edit(&Policy::of(limit(12))).await;
        shop.goes_on(B, 2, kind).await;
        shop.goes_on(A, 0, kind).await;
    }
}

/// A limit of 5 was only observed while 20 calls went, since the vendor takes 22. With a bug, the
/// enforced limit of 22 admitted 22 more calls, or as many as had been over the 5.
async fn a_limit_that_observe_mode_only_watched_keeps_its_calls_though_it_is_raised(world: &World) {
    for (kind, limit) in KINDS {
        let shop = Shop::open(world, &Policy { observe: true, ..Policy::of(limit(5)) }).await;
        shop.spend(A, 20, "/echo").await;
        shop.edit(&Policy::of(limit(22))).await;
        shop.goes_on(A, 2, kind).await;
    }
}

/// The limit first counts only leads, and then everything. The calls that it did not count before
/// are in its window and its day all the same.
async fn a_limit_whose_routes_widen_starts_with_all_that_was_sent(world: &World) {
    for (kind, limit) in KINDS {
        let shop = Shop::open(world, &Policy::of(with(limit(10), &json!({"routes": ["/leads"]})))).await;
        shop.spend(A, 7, "/echo").await;
        shop.spend(B, 3, "/leads").await;
        shop.edit(&Policy::of(limit(12))).await;
        shop.goes_on(A, 2, kind).await;
    }
}

async fn a_limit_of_another_name_starts_with_all_that_was_sent(world: &World) {
    for (kind, limit) in KINDS {
        let shop = Shop::open(world, &Policy::of(limit(10))).await;
        shop.spend(A, 10, "/echo").await;
        shop.edit(&Policy::of(with(limit(10), &json!({"name": "other"})))).await;
        shop.goes_on(A, 0, kind).await;
    }
}

/// The vendor's day turns out to end at another time, or within an interval. It has been open for a
/// while there too, and all calls belong to it.
async fn a_day_in_another_zone_keeps_its_calls(world: &World) {
    let zones =
        [json!("America/Chicago"), json!("Asia/Kolkata"), json!("+14:00"), json!(["America/Chicago", "-06:00"])];
    for zone in zones {
        let shop = Shop::open(world, &Policy::of(day(10))).await;
        shop.spend(A, 10, "/echo").await;
        shop.edit(&Policy::of(with(day(11), &json!({"time_zone": zone})))).await;
        shop.goes_on(A, 1, &zone.to_string()).await;
    }
}

/// Of one day in Chicago 6 calls come before midnight in UTC, and 4 after it. A limit by UTC's day
/// has admitted all of them and forgotten the 6. With a bug, a change to Chicago's day admitted 6
/// more, and so did a new limit.
async fn a_day_that_opened_before_the_one_that_was_counted_keeps_its_calls(_: &World) {
    let Some((instance, mut clock)) = with_a_clock() else { return };
    let chicago = |name: &str| with(day(12), &json!({"name": name, "time_zone": "America/Chicago"}));
    let mut shops = Vec::new();
    // 23:00 in UTC is 17:00 or 18:00 in Chicago.
    clock.turn(until_ms(23));
    for (name, limits) in [("moved", vec![chicago("limit")]), ("new", vec![day(10), chicago("other")])] {
        let tenant = Tenant::new(&instance, name);
        let shop = Shop::of(tenant, &Policy::of(day(10))).await;
        shop.spend(A, 6, "/echo").await;
        shop.reported().await;
        shops.push((name, limits, shop));
    }
    clock.turn(2 * 3_600_000);
    for (name, limits, shop) in &shops {
        shop.spend(A, 4, "/echo").await;
        let c = shop.reported().await;
        assert_eq!(limit(&c, "limit")["used"], 4, "midnight has passed: {c}");
        shop.edit(&Policy { limits: limits.clone(), ..Policy::of(day(10)) }).await;
        shop.goes_on(A, 2, name).await;
    }
}

/// Starts an instance with its own clock, or returns `None` where that is not possible.
fn with_a_clock() -> Option<(Instance, Clock)> {
    let mut start = Start::fresh("edits");
    std::fs::create_dir_all(&start.persist).unwrap();
    let workerd = std::env::var_os("SLUICE_WORKERD").ok_or_else(|| "SLUICE_WORKERD names no workerd".to_owned());
    let clock = Clock::build(&start.persist);
    let (workerd, clock) = match workerd.and_then(|workerd| Ok((workerd, clock?))) {
        Ok(both) => both,
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "no clock can be turned: {why}");
            println!("not tried: no clock can be turned: {why}");
            return None;
        }
    };
    let wrapper = start.persist.join("workerd");
    clock::wrap(workerd.as_ref(), ":", &clock.settings(), &wrapper);
    start.workerd = Some(wrapper);
    Some((start.run(), clock))
}

/// Returns how far off the next full hour of that number is in UTC, milliseconds.
#[expect(clippy::disallowed_methods, reason = "the hour is one of the calendar")]
fn until_ms(hour: i64) -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = i64::try_from(since.as_millis()).unwrap();
    (hour * 3_600_000 - now).rem_euclid(86_400_000)
}

/// With a bug, the 30,000 bytes of 3 calls were counted as 30,000 calls.
async fn a_limit_on_calls_does_not_count_bytes_nor_the_other_way_round(world: &World) {
    let bytes = |amount| with(day(amount), &json!({"unit": "response_bytes"}));
    let shop = Shop::open(world, &Policy::of(bytes(1_000_000))).await;
    shop.spend(A, 3, "/bytes/10000").await;
    shop.edit(&Policy::of(day(5))).await;
    shop.goes_on(A, 2, "calls instead of bytes").await;

    let shop = Shop::open(world, &Policy::of(day(5))).await;
    shop.spend(A, 3, "/bytes/10000").await;
    // A call is admitted while a byte is left.
    shop.edit(&Policy::of(bytes(30_000))).await;
    shop.goes_on(A, 0, "bytes instead of calls").await;
    shop.edit(&Policy::of(bytes(30_001))).await;
    shop.spend(A, 1, "/bytes/10").await;
    let c = shop.reported().await;
    assert_eq!(limit(&c, "limit")["used"], 30_010, "{c}");
}

/// With a bug, a pool did not know the calls that a connection had made before it joined.
async fn a_day_that_becomes_a_pools_brings_its_calls_and_one_that_leaves_it_keeps_them(world: &World) {
    let shop = Shop::open(world, &Policy::of(day(12))).await;
    let joined = Policy::of(with(day(12), &json!({"pool": shop.tenant.name})));
    shop.spend(A, 10, "/echo").await;
    shop.edit(&joined).await;
    shop.goes_on(A, 2, "a day that becomes a pool's").await;
    // The pool knows of all twelve calls, so that nothing is left for others.
    let other = Shop::open(world, &joined).await;
    other.goes_on(A, 0, "another tenant of the pool").await;

    shop.edit(&Policy::of(day(13))).await;
    shop.goes_on(A, 1, "a day that leaves its pool").await;
}

async fn a_budget_that_an_app_is_given_starts_with_its_calls_of_today(world: &World) {
    let shop = Shop::open(world, &Policy::of(day(100))).await;
    shop.spend(A, 5, "/echo").await;
    shop.spend(B, 5, "/echo").await;
    shop.edit(&Policy { budget_of_a: Some(7), ..Policy::of(day(100)) }).await;
    shop.goes_on(A, 2, "a budget of 7").await;
    shop.spend(B, 3, "/echo").await;
}

/// While a call is at the vendor, the limit per app becomes one for all apps. The call counts there
/// once, both while it is in flight and after it has ended.
async fn a_call_in_flight_over_an_edit_is_counted_once(world: &World) {
    for (kind, limit) in KINDS {
        let shop = Shop::open(world, &Policy::of(each(limit(10)))).await;
        shop.spend(B, 4, "/echo").await;
        let (mut open, ask) = (Open::connect(shop.tenant.to()).await.unwrap(), slow(&shop.keys[A]));
        open.start(&ask).await.unwrap();
        while shop.vendor.in_service() == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        shop.tenant.policy(&Policy::of(limit(7)).at(&shop.vendor)).await;
        shop.goes_on(A, 2, kind).await;
        open.head().await.unwrap();
        assert!(open.rest().await.unwrap().whole);
        shop.reported().await;
        shop.goes_on(B, 0, kind).await;
    }
}

/// Makes a call whose answer takes a second.
fn slow(key: &str) -> Ask {
    Ask::get("/v/c/bytes/20000?piece=1000&pause_ms=50").key(key)
}
