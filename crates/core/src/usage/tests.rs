use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_limiter::PermitId;
use sluice_limiter::calendar::{Zone, utc_date};

/// 2026-06-15 12:00 UTC.
const NOON: i64 = 1_781_524_800_000;

fn reset(zone: &str) -> Reset {
    Reset { minute: 0, zones: vec![Zone::parse(zone).unwrap()] }
}

fn ms(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn called(sent_at: i64) -> Called<'static> {
    Called {
        app: "sync",
        endpoint: Some(("GET", "/a")),
        code: None,
        throttled: false,
        nth: 1,
        sent_at,
        answered_in_ms: Some(20),
    }
}

impl Usage {
    fn count(&mut self, call: Called<'_>, zone: &str) {
        self.call(&call, &reset(zone), &sluice_testkit::time_zones, call.sent_at);
    }

    /// Returns dates and counts of seven days, by the connection's own days or UTC.
    fn week(&mut self, kind: Kind, own: bool, today: i64) -> Vec<(String, Vec<(String, u64)>)> {
        let mut entries = entries(today, true);
        entries.iter_mut().for_each(|entry| self.report(kind, own, entry));
        entries.into_iter().map(|entry| (utc_date(entry.day * DAY_MS), entry.counts)).collect()
    }

    fn hour(&self, now: i64) -> Value {
        serde_json::from_str(&crate::document::text(&self.last_hour(now))).unwrap()
    }
}

fn totals(week: &[(String, Vec<(String, u64)>)]) -> Vec<u64> {
    week.iter().map(|(_, counts)| counts.iter().map(|(_, n)| n).sum()).collect()
}

#[test]
fn a_call_counts_on_the_day_on_which_it_was_sent() {
    let mut usage = Usage::default();
    let midnight = ms("2026-06-15T05:00:00Z");
    let chicago = reset("America/Chicago");
    // This call was sent before midnight in Chicago and reported after it, when another had been
    // counted on the new day.
    usage.call(&called(midnight), &chicago, &sluice_testkit::time_zones, midnight + 1);
    usage.call(&called(midnight - 1), &chicago, &sluice_testkit::time_zones, midnight + 2);
    let today = usage.own_day(&chicago, &sluice_testkit::time_zones, midnight + 2);
    let week = usage.week(Kind::Usage, true, today);
    assert_eq!(totals(&week), [0, 0, 0, 0, 0, 1, 1]);
    assert_eq!((week[5].0.as_str(), week[6].0.as_str()), ("2026-06-14", "2026-06-15"));
    let utc = usage.week(Kind::Usage, false, midnight.div_euclid(DAY_MS));
    assert_eq!(totals(&utc), [0, 0, 0, 0, 0, 0, 2], "both on one day in UTC");
}

#[test]
fn days_of_23_and_25_hours_are_counted_whole() {
    for (first, last, date) in [
        ("2026-03-08T06:00:00Z", "2026-03-09T04:59:59.999Z", "2026-03-08"),
        ("2026-11-01T05:00:00Z", "2026-11-02T05:59:59.999Z", "2026-11-01"),
    ] {
        let mut usage = Usage::default();
        for at in [ms(first) - 1, ms(first), ms(last), ms(last) + 1] {
            usage.count(called(at), "America/Chicago");
        }
        let today = usage.own_day(&reset("America/Chicago"), &sluice_testkit::time_zones, ms(last) + 1);
        let week = usage.week(Kind::Usage, true, today);
        assert_eq!(totals(&week), [0, 0, 0, 0, 1, 2, 1]);
        assert_eq!(week[5].0, date);
    }
}

#[test]
fn a_week_later_a_day_is_forgotten_and_days_without_calls_are_there() {
    let mut usage = Usage::default();
    let zone = "UTC";
    for day in [0, 1, 7] {
        usage.count(called(NOON + day * DAY_MS), zone);
    }
    let today = (NOON + 7 * DAY_MS).div_euclid(DAY_MS);
    assert_eq!(totals(&usage.week(Kind::Usage, true, today)), [1, 0, 0, 0, 0, 0, 1]);
    assert_eq!(usage.own.len(), 2, "the first is over a week old");
    assert_eq!(usage.ever.apps.total(), 3);
}

#[test]
fn the_documents_have_the_shape_of_marketos() {
    let mut usage = Usage::default();
    usage.count(Called { code: Some("606"), throttled: true, ..called(NOON) }, "UTC");
    usage.count(Called { app: "say \"hi\"\\\u{7}", ..called(NOON) }, "UTC");
    usage.count(called(NOON), "UTC");
    let today = NOON.div_euclid(DAY_MS);
    let mut of = |kind| -> Value {
        let mut entries = entries(today, false);
        entries.iter_mut().for_each(|entry| usage.report(kind, true, entry));
        serde_json::from_str(&document(kind, "abc", &mut entries)).unwrap()
    };
    let users = json!([{"userId": "sync", "count": 2}, {"userId": "say \"hi\"\\\u{7}", "count": 1}]);
    let expected =
        json!({"requestId": "abc", "success": true, "result": [{"date": "2026-06-15", "total": 3, "users": users}]});
    assert_eq!(of(Kind::Usage), expected);
    let errors = json!([{"errorCode": "606", "count": 1}]);
    assert_eq!(of(Kind::Errors)["result"], json!([{"date": "2026-06-15", "total": 1, "errors": errors}]));
}

#[test]
fn the_last_hour_has_endpoints_throttles_and_how_many_attempts_calls_took() {
    let mut usage = Usage::default();
    usage.count(called(NOON - 3_600_000), "UTC");
    for nth in [1, 1, 1, 2, 2, 3] {
        let endpoint = Some(("POST", "/b"));
        usage.count(Called { nth, endpoint, throttled: nth < 3 && nth > 1, ..called(NOON) }, "UTC");
    }
    usage.count(Called { endpoint: None, ..called(NOON + 30_000) }, "UTC");
    usage.refuse(Reason::Deadline, NOON + 40_000);
    let expected = json!({
        "calls": 7, "throttled": 2, "throttled_ratio": 0.285714, "refused": 1,
        "by_endpoint": [
            {"method": "POST", "path": "/b", "calls": 6, "throttled": 2},
            {"method": "other", "path": "other", "calls": 1, "throttled": 0},
        ],
        "retries_histogram": [{"attempts": 1, "calls": 2}, {"attempts": 2, "calls": 1}, {"attempts": 3, "calls": 1}],
    });
    assert_eq!(usage.hour(NOON + 40_000), expected, "what is an hour old has left");
    assert_eq!(usage.lately(5, NOON + 40_000), (7, 2));
    let empty = usage.hour(NOON + 3_600_000);
    assert_eq!((&empty["calls"], &empty["throttled_ratio"], &empty["by_endpoint"]), (&json!(0), &json!(0), &json!([])));
}

#[test]
fn a_minute_with_more_endpoints_than_are_kept_has_the_rest_under_other_and_the_next_begins_anew() {
    let mut usage = Usage::default();
    let count = |usage: &mut Usage, at, from: usize| {
        for n in from..from + MOST_ENDPOINTS + 20 {
            usage.count(Called { endpoint: Some(("GET", &format!("/{n}x"))), ..called(at) }, "UTC");
        }
    };
    count(&mut usage, NOON, 0);
    let hour = usage.hour(NOON);
    let shown = hour["by_endpoint"].as_array().unwrap();
    assert_eq!(shown.len(), MOST_ENDPOINTS + 1);
    assert_eq!(shown[MOST_ENDPOINTS], json!({"method": "other", "path": "other", "calls": 20, "throttled": 0}));
    let later = NOON + 3_600_000;
    count(&mut usage, later, 1_000);
    assert_eq!(usage.hour(later)["by_endpoint"].as_array().unwrap().len(), MOST_ENDPOINTS + 1);
    assert!(usage.endpoints.0[0].starts_with("GET /10"), "{:?}", usage.endpoints.0[0]);
}

#[test]
fn codes_are_bounded_in_number_and_length_and_old_ones_give_way() {
    let mut usage = Usage::default();
    let code = |day: i64, n: usize| format!("{day}-{n}-{}", "é".repeat(60));
    for day in [0, 7] {
        for n in 0..MOST_CODES + 5 {
            usage.count(Called { code: Some(&code(day, n)), ..called(NOON + day * DAY_MS) }, "UTC");
        }
    }
    let today = (NOON + 7 * DAY_MS).div_euclid(DAY_MS);
    let errors = usage.week(Kind::Errors, true, today);
    assert_eq!(errors[6].1.len(), MOST_CODES + 1);
    assert!(errors[6].1.contains(&("other".to_owned(), 5)), "{:?}", errors[6].1);
    assert!(usage.codes.0.iter().all(|code| code.len() <= LONGEST_CODE && code.starts_with('7')));
    assert_eq!(usage.ever.codes.total(), 2 * (MOST_CODES as u64 + 5), "nothing is lost of what has ever been");
}

#[test]
fn a_permit_of_an_earlier_life_counts_once_however_often_it_is_heard_of() {
    let permit = |seq| PermitId { epoch: 3, lane: 0, seq, slot: 0 };
    let of = |below, left, since| Open { epoch: 3, lane: 0, below, left, app: "sync".to_owned(), since };
    let mut usage = Usage::default();
    usage.inherit(Flight {
        open: vec![of(4, 1, NOON - 60_000), of(10, 2, NOON)],
        unsent: vec![permit(7)],
        counted: vec![permit(8)],
    });
    let mut usage = Usage::unpack(&usage.pack(&Flight::default())).unwrap();
    assert!(usage.hears_of(permit(9), true));
    assert!(!usage.hears_of(permit(9), false), "its outcome is known now, and it was counted before");
    assert!(!usage.hears_of(permit(8), false), "the life before has counted it");
    assert!(usage.hears_of(permit(10), false), "granted after the row");
    assert!(usage.hears_of(permit(7), false), "a job's, sent after the row, and so not among those left");
    let mut usage = Usage::unpack(&usage.pack(&Flight::default())).unwrap();
    assert!(!usage.hears_of(permit(9), false), "nor by the life after that");
    assert!(usage.never_heard(|epoch| epoch == 3).is_empty());
    assert_eq!(usage.never_heard(|_| false), [of(4, 1, NOON - 60_000), of(10, 1, NOON)]);
    assert!(usage.never_heard(|_| false).is_empty());
}

/// The bytes as earlier builds wrote them: numbers in LEB128, texts and lists after their length.
#[derive(Default)]
struct Pack(Vec<u8>);

impl Pack {
    fn num(&mut self, mut n: u64) {
        while n > 127 {
            self.0.push((n & 127) as u8 | 128);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    fn int(&mut self, n: i64) {
        self.num(u64::try_from(n).unwrap_or(0));
    }

    fn text(&mut self, text: &str) {
        self.num(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn list<T>(&mut self, list: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.num(list.len() as u64);
        list.iter().for_each(|item| write(self, item));
    }

    fn tally(&mut self, tally: &Tally) {
        self.list(&tally.0, |to, (place, n)| [(*place).into(), *n].into_iter().for_each(|n| to.num(n)));
    }

    fn count(&mut self, count: &Count) {
        self.int(count.day);
        self.tally(&count.apps);
        self.tally(&count.codes);
    }

    fn usage(&mut self, usage: &Usage) {
        self.num(2);
        for names in [&usage.apps, &usage.codes, &usage.endpoints] {
            self.list(&names.0, |to, name| to.text(name));
        }
        for days in [&usage.own, &usage.utc] {
            self.list(days, Self::count);
        }
        self.list(&usage.minutes, |to, minute| {
            to.int(minute.at);
            [&minute.calls, &minute.throttled, &minute.nth].into_iter().for_each(|tally| to.tally(tally));
            to.num(minute.refused);
        });
        self.count(&usage.ever);
        self.num(usage.throttled_ever);
        self.tally(&usage.refused_ever);
        [usage.waits.0, usage.waits.1, usage.answers.0, usage.answers.1].into_iter().for_each(|n| self.num(n));
        self.list(&usage.alerts, |to, alert| {
            let (kind, limit, value) = alert.figures();
            to.num(kind.into());
            to.num(limit);
            to.int(alert.since);
            to.num(value);
        });
    }

    fn flight(&mut self, flight: &Flight) {
        self.list(&flight.open, |to, open| {
            [open.epoch.into(), open.lane.into(), open.below, open.left].into_iter().for_each(|n| to.num(n));
            to.text(&open.app);
            to.int(open.since);
        });
        for list in [&flight.unsent, &flight.counted] {
            self.list(list, |to, permit| {
                [permit.epoch.into(), permit.lane.into(), permit.seq].into_iter().for_each(|n| to.num(n));
            });
        }
    }
}

#[test]
fn the_stored_form_is_the_one_that_earlier_builds_wrote() {
    let mut usage = Usage::default();
    for n in 0..300 {
        let code = (n % 3 == 0).then_some("606é");
        usage.count(Called { code, throttled: n % 5 == 0, nth: 1 + n as u32 % 4, ..called(NOON + n * 7_000) }, "UTC");
    }
    usage.refuse(Reason::Rate, NOON);
    let alerts = crate::policy::Alerts::default();
    let seen = Seen { day: Some((900_000, 1_000_000)), oldest_wait_ms: 60_000, ..Seen::default() };
    watch(&mut usage.alerts, &alerts, &seen, NOON);
    assert_eq!(usage.alerts.len(), 2);
    let of = |seq| PermitId { epoch: 3, lane: 300, seq, slot: 7 };
    let open = Open { epoch: 1, lane: 200, below: u64::MAX, left: 1, app: "sync".to_owned(), since: -1 };
    let flight = Flight { open: vec![open], unsent: vec![of(1), of(128)], counted: vec![of(9)] };
    let mut earlier = Pack::default();
    earlier.usage(&usage);
    earlier.flight(&flight);
    assert_eq!(usage.pack(&flight), earlier.0);
    // What an epoch has inherited comes before its own.
    let own = Flight { unsent: vec![of(2)], ..Flight::default() };
    usage.inherit(flight);
    let mut both = usage.inherited.clone();
    both.unsent.push(of(2));
    let mut earlier = Pack::default();
    earlier.usage(&usage);
    earlier.flight(&both);
    assert_eq!(usage.pack(&own), earlier.0);
}

#[test]
fn counts_that_version_1_has_stored_are_read() {
    let mut usage = Usage::default();
    usage.count(called(NOON), "UTC");
    let mut stored = usage.pack(&Flight::default());
    // The two lists of single permits at its end, which were empty, are cut off.
    stored.truncate(stored.len() - 2);
    stored[0] = 1;
    usage.today = None;
    assert_eq!(Usage::unpack(&stored), Some(usage));
}

#[test]
fn what_another_release_or_nobody_wrote_begins_anew_and_never_panics() {
    let mut usage = Usage::default();
    for n in 0..40 {
        let at = NOON + n * 7_200_000;
        usage.count(Called { code: (n % 3 == 0).then_some("606"), nth: 2, ..called(at) }, "America/Chicago");
    }
    usage.refuse(Reason::Rate, NOON + 90 * 3_600_000);
    let stored = usage.pack(&Flight::default());
    usage.today = None;
    assert_eq!(Usage::unpack(&stored), Some(usage));
    (0..stored.len()).for_each(|end| assert_eq!(Usage::unpack(&stored[..end]), None));
    for at in 0..stored.len() {
        for bit in 0..8 {
            let mut altered = stored.clone();
            altered[at] ^= 1 << bit;
            drop(Usage::unpack(&altered));
        }
    }
}

proptest! {
    #[test]
    fn sums_by_app_by_day_and_by_minute_agree(calls in prop::collection::vec((0..5_u8, 0..4_u8, 0..2_i64, 1..30_000_000_i64), 1..200)) {
        let mut usage = Usage::default();
        let (mut now, mut errors) = (NOON, 0);
        let mut sent = Vec::new();
        for (app, code, late, step) in &calls {
            now += step;
            let code = [None, Some("606"), Some("500"), Some("timeout")][usize::from(*code)];
            let (app, sent_at) = (format!("app-{app}"), now - late * 60_000);
            let call = Called { app: &app, code, ..called(sent_at) };
            usage.call(&call, &reset("America/Chicago"), &sluice_testkit::time_zones, now);
            errors += u64::from(code.is_some());
            sent.push(sent_at);
            usage = Usage::unpack(&usage.pack(&Flight::default())).unwrap();
        }
        prop_assert_eq!(usage.ever.apps.total(), calls.len() as u64);
        prop_assert_eq!(usage.ever.codes.total(), errors);
        let today = now.div_euclid(DAY_MS);
        let within = sent.iter().filter(|at| at.div_euclid(DAY_MS) > today - 7).count() as u64;
        prop_assert_eq!(totals(&usage.week(Kind::Usage, false, today)).iter().sum::<u64>(), within);
        let today = usage.own_day(&reset("America/Chicago"), &sluice_testkit::time_zones, now);
        let mut own = Usage::default();
        let of = |own: &mut Usage, at: &i64| own.own_day(&reset("America/Chicago"), &sluice_testkit::time_zones, *at);
        let within = sent.iter().filter(|at| of(&mut own, at) > today - 7).count() as u64;
        prop_assert_eq!(totals(&usage.week(Kind::Usage, true, today)).iter().sum::<u64>(), within);
    }
}
