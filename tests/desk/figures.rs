//! Statistics at the desk: what was sent is counted, each attempt once, whatever becomes of the object meanwhile.

use crate::rig::{NOON, Rig};
use serde_json::{Value, json};
use sluice::key::Claims;
use sluice::tenant::desk::{Answer, Ticket};
use sluice::tenant::protocol::{Admit, Ask, Reply};
use sluice::throttle::{Outcome, PermitId, ThrottledBy};
use std::collections::BTreeMap;

const HOUR: i64 = 3_600_000;

/// `crm`'s day begins at 05:00 UTC, at midnight in Chicago; `free` has none.
fn policy(calls: u32, slots: u32) -> Value {
    json!({
        "connections": {
            "crm": {
                "vendor": "generic", "base_url": "https://crm.example.com",
                "limits": [
                    {"name": "rate", "kind": "rolling_window", "calls": calls, "seconds": 10},
                    {"name": "day", "kind": "daily", "calls": 1_000_000, "reset": "00:00", "time_zone": "America/Chicago"},
                    {"name": "slots", "kind": "concurrency", "calls": slots},
                ],
                "queue": {"size": 5, "max_wait_seconds": 60},
                "adaptive": {"min": 1},
            },
            "free": { "vendor": "generic", "base_url": "https://free.example.com", "limits": [] },
        },
        "apps": {"sync": {}, "batch": {}, "form": {"origins": ["https://www.example.com"]}},
    })
}

fn rig(calls: u32, slots: u32) -> (Rig, Claims, Claims) {
    let mut rig = Rig::empty();
    assert_eq!(rig.put(&policy(calls, slots)).0, 201);
    let (app, viewer) = (rig.app("sync"), rig.key(json!({"role": "viewer"})));
    (rig, app, viewer)
}

const GOOD: (Outcome, Option<&str>) = (Outcome::Answered, None);
const THROTTLED: (Outcome, Option<&str>) =
    (Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: None }, Some("606"));

#[test]
fn a_call_counts_once_it_is_sent_and_a_permit_handed_back_does_not() {
    let (mut rig, app, viewer) = rig(100, 10);
    let (one, other) = (rig.go(&app, "crm").permit, rig.go(&app, "crm").permit);
    let total = |rig: &mut Rig| rig.figures(&viewer, false, false, None)["result"][0]["total"].clone();
    assert_eq!(total(&mut rig), 2, "in flight");
    rig.now += 100;
    rig.ended(one, "sync", NOON, (Outcome::Unused, None), 1);
    assert_eq!(total(&mut rig), 1);
    for attempt in [1, 2] {
        rig.ended(other, "sync", NOON, THROTTLED, attempt);
    }
    assert_eq!(total(&mut rig), 1);
    let errors = rig.figures(&viewer, true, false, Some("crm"));
    assert_eq!(errors["result"][0]["errors"], json!([{"errorCode": "606", "count": 1}]));
    assert_eq!(rig.figures(&viewer, false, false, Some("free"))["result"][0]["users"], json!([]));
    let hour = &rig.status()["connections"]["crm"]["last_hour"];
    let endpoint = json!([{"method": "GET", "path": "/things", "calls": 1, "throttled": 1}]);
    assert_eq!((&hour["calls"], &hour["throttled_ratio"], &hour["by_endpoint"]), (&json!(1), &json!(1), &endpoint));
}

#[test]
fn a_connections_days_are_its_own_and_all_connections_days_are_utc() {
    let (mut rig, app, viewer) = rig(100, 10);
    // 23:59 and 00:01 in Chicago; in UTC both are on the 16th.
    for at in [NOON + 17 * HOUR - 60_000, NOON + 17 * HOUR + 60_000] {
        rig.go_to(at);
        let permit = rig.go(&app, "crm").permit;
        rig.ended(permit, "sync", at, GOOD, 1);
    }
    let week = |rig: &mut Rig, connection| -> Vec<(String, u64)> {
        let document = rig.figures(&viewer, false, true, connection);
        let days = document["result"].as_array().unwrap();
        days.iter().map(|day| (day["date"].as_str().unwrap().to_owned(), day["total"].as_u64().unwrap())).collect()
    };
    let own = week(&mut rig, Some("crm"));
    assert_eq!(own[5..], [("2026-06-15".to_owned(), 1), ("2026-06-16".to_owned(), 1)]);
    assert_eq!((own.len(), own[0].1), (7, 0), "zeros included");
    assert_eq!(week(&mut rig, None)[5..], [("2026-06-15".to_owned(), 0), ("2026-06-16".to_owned(), 2)]);
}

#[test]
fn an_app_with_origins_sees_no_figures_and_an_unknown_connection_has_none() {
    let (mut rig, app, viewer) = rig(100, 10);
    let form = rig.app("form");
    assert_eq!(rig.figures(&form, false, false, None), "role");
    assert_eq!(rig.figures(&app, true, true, None)["success"], true);
    assert_eq!(rig.figures(&viewer, false, false, Some("none")), "connection");
}

#[test]
fn refusals_are_counted_apart_and_outlive_the_object_without_a_row_each() {
    let (mut rig, app, _) = rig(1, 10);
    rig.go(&app, "crm");
    rig.go_to(rig.now + 3_000);
    let before = rig.memory.writes;
    for _ in 0..50 {
        let admit = Admit { wait_ms: Some(0), ..rig.admit(&app, "crm") };
        assert_eq!(rig.reason(admit), "rate");
    }
    rig.go_to(rig.now + 6_000);
    assert!(rig.memory.writes - before <= 1, "{} rows", rig.memory.writes - before);
    rig.reopen();
    let hour = &rig.status()["connections"]["crm"]["last_hour"];
    assert_eq!((&hour["refused"], &hour["calls"]), (&json!(50), &json!(0)));
}

#[test]
fn counts_outlive_policies_objects_and_rows_of_earlier_releases() {
    let (mut rig, app, viewer) = rig(100, 10);
    let permits: Vec<_> = (0..3).map(|_| rig.go(&app, "crm").permit).collect();
    rig.ended(permits[0], "sync", NOON, GOOD, 1);
    rig.put(&policy(50, 5));
    rig.ended(permits[1], "sync", NOON, GOOD, 1);
    rig.go_to(NOON + 2_000);
    rig.reopen();
    let day = rig.figures(&viewer, false, false, Some("crm"));
    assert_eq!(day["result"][0]["total"], 3, "one is in flight still, as far as is known");
    rig.ended(permits[2], "sync", NOON, THROTTLED, 1);
    let day = rig.figures(&viewer, false, false, Some("crm"));
    assert_eq!(day["result"][0]["users"], json!([{"userId": "sync", "count": 3}]));
    let errors = rig.figures(&viewer, true, false, None);
    assert_eq!(errors["result"][0]["total"], 1);
}

#[test]
fn statistics_cost_no_row_of_their_own() {
    // Every so many milliseconds, with 200 ms until the answer: the contract's figures, for a run of ten minutes.
    for (every, most_per_thousand) in [(10, 50), (200, 500), (60_000, 4_000)] {
        let (mut rig, app, _) = rig(100_000, 1_000);
        let mut flying = std::collections::VecDeque::new();
        let (before, mut calls) = (rig.memory.writes, 0);
        let end = NOON + 600_000;
        let mut next = NOON;
        while next < end {
            while let Some((due, permit)) = flying.front().copied().filter(|(due, _)| *due <= next) {
                flying.pop_front();
                rig.go_to(due);
                rig.ended(permit, "sync", due - 200, GOOD, 1);
            }
            rig.go_to(next);
            flying.push_back((next + 200, rig.go(&app, "crm").permit));
            calls += 1;
            next += every;
        }
        rig.go_to(end + 10_000);
        let rows = u64::from(rig.memory.writes - before);
        println!("a call every {every} ms: {rows} rows for {calls} calls");
        assert!(rows * 1_000 <= most_per_thousand * calls, "{rows} rows for {calls} calls every {every} ms");
    }
}

/// A call at the vendor, as it would log it.
#[derive(Clone)]
struct Flying {
    permit: PermitId,
    app: &'static str,
    sent: i64,
    ends: i64,
    how: (Outcome, Option<&'static str>),
    /// The report of its end is lost.
    lost: bool,
    /// Rows there were when it had been granted; one more if none was written with it.
    known_from: u32,
}

/// A random run, and what the vendor's log has beside what the statistics can know.
struct Run {
    rig: Rig,
    rng: fastrand::Rng,
    apps: [(&'static str, Claims); 2],
    flying: Vec<Flying>,
    waiting: BTreeMap<Ticket, &'static str>,
    /// By app and own day, by code and own day.
    log: BTreeMap<(String, i64), u64>,
    codes: BTreeMap<(String, i64), u64>,
    /// Granted and settled after the last row of a life that was cut off; settled after it.
    missed: u64,
    missed_codes: u64,
    /// Handed back unused after the last row of a life that was cut off, which had them in flight.
    too_many: u64,
    /// Handed back in this life: rows then, rows at the grant.
    handed_back: Vec<(u32, u32)>,
    /// Rows at the grant of calls of this life whose report is lost.
    never_told: Vec<u32>,
    /// Settled in this life: rows before, whether it had a code, rows at its grant.
    settled: Vec<(u32, bool, u32)>,
}

/// Chicago's day of a moment, in days since 1970.
fn own_day(at: i64) -> i64 {
    (at - 5 * HOUR).div_euclid(24 * HOUR)
}

impl Run {
    fn new(seed: u64) -> Self {
        let (mut rig, sync, _) = rig(40, 12);
        let batch = rig.app("batch");
        Self {
            rig,
            rng: fastrand::Rng::with_seed(seed),
            apps: [("sync", sync), ("batch", batch)],
            flying: Vec::new(),
            waiting: BTreeMap::new(),
            log: BTreeMap::new(),
            codes: BTreeMap::new(),
            missed: 0,
            missed_codes: 0,
            too_many: 0,
            never_told: Vec::new(),
            handed_back: Vec::new(),
            settled: Vec::new(),
        }
    }

    /// A permit came: most are used.
    fn granted(&mut self, permit: PermitId, app: &'static str, rows_before: u32) {
        let sent = self.rig.now;
        let known_from = self.rig.memory.writes.max(rows_before + 1);
        if self.rng.u32(..20) == 0 {
            self.handed_back.push((self.rig.memory.writes, known_from));
            self.event(|rig| rig.ended(permit, app, sent, (Outcome::Unused, None), 1));
            return;
        }
        let how = match self.rng.u32(..12) {
            0 => THROTTLED,
            1 => (Outcome::Answered, Some("500")),
            2 => (Outcome::Unknown, Some("timeout")),
            _ => GOOD,
        };
        let lost = self.rng.u32(..40) == 0;
        let ends = sent + self.rng.i64(20..2_000);
        if lost {
            self.never_told.push(known_from);
        }
        self.flying.push(Flying { permit, app, sent, ends, how, lost, known_from });
        *self.log.entry((app.to_owned(), own_day(sent))).or_insert(0) += 1;
    }

    /// An event, and the grants that it led to.
    fn event<T>(&mut self, act: impl FnOnce(&mut Rig) -> T) -> T {
        let before = self.rig.memory.writes;
        let said = act(&mut self.rig);
        let ready: Vec<_> = std::iter::from_fn(|| self.rig.desk.next_ready()).collect();
        for (ticket, reply) in ready {
            let app = self.waiting.remove(&ticket);
            if let (Reply::Go(go), Some(app)) = (reply, app) {
                self.granted(go.permit, app, before);
            }
        }
        said
    }

    fn ask(&mut self) {
        let (app, claims) = self.apps[self.rng.usize(..2)].clone();
        let before = self.rig.memory.writes;
        let admit = Admit { wait_ms: self.rng.bool().then_some(0), ..self.rig.admit(&claims, "crm") };
        match self.rig.ask(Ask::Admit(admit)) {
            Answer::Now(Reply::Go(go)) => self.granted(go.permit, app, before),
            Answer::Now(_) => {}
            Answer::Wait(ticket) => drop(self.waiting.insert(ticket, app)),
        }
    }

    fn go_to(&mut self, at: i64) {
        loop {
            let ends = self.flying.iter().map(|call| call.ends).min().filter(|ends| *ends <= at);
            let wakes = self.rig.desk.next_wakeup().filter(|wake| *wake <= at);
            let Some(next) = ends.into_iter().chain(wakes).min() else { break };
            self.event(|rig| rig.go_to(next));
            while let Some(place) = self.flying.iter().position(|call| call.ends <= next) {
                let call = self.flying.swap_remove(place);
                if !call.lost {
                    self.end(&call);
                }
            }
        }
        self.event(|rig| rig.go_to(at));
    }

    fn end(&mut self, call: &Flying) {
        if let Some(code) = call.how.1 {
            *self.codes.entry((code.to_owned(), own_day(call.sent))).or_insert(0) += 1;
        }
        self.settled.push((self.rig.memory.writes, call.how.1.is_some(), call.known_from));
        for attempt in 1..=self.rng.u32(1..3) {
            self.event(|rig| rig.ended(call.permit, call.app, call.sent, call.how, attempt));
        }
    }

    /// The object and all that it knew are gone; the Workers go on.
    fn crash(&mut self) {
        let rows = self.rig.memory.writes;
        for (then, code, known_from) in std::mem::take(&mut self.settled) {
            // No row since it settled, nor with it.
            let untold = then == rows;
            self.missed_codes += u64::from(untold && code);
            self.missed += u64::from(untold && known_from > rows);
        }
        for (then, known_from) in std::mem::take(&mut self.handed_back) {
            self.too_many += u64::from(then == rows && known_from <= rows);
        }
        self.missed +=
            std::mem::take(&mut self.never_told).iter().filter(|known_from| **known_from > rows).count() as u64;
        // In flight, and no row knows of them: the next life will when they settle.
        for call in self.flying.iter_mut().filter(|call| call.known_from > rows) {
            call.known_from = u32::MAX;
        }
        self.waiting.clear();
        self.rig.reopen();
    }

    /// By name and own day, as the statistics have it.
    fn told(&mut self, errors: bool) -> BTreeMap<(String, i64), u64> {
        let claims = self.apps[0].1.clone();
        let document = self.rig.figures(&claims, errors, true, Some("crm"));
        let (list, name) = if errors { ("errors", "errorCode") } else { ("users", "userId") };
        let mut told = BTreeMap::new();
        let today = own_day(self.rig.now);
        for (day, entry) in (today - 6..).zip(document["result"].as_array().unwrap()) {
            for one in entry[list].as_array().unwrap() {
                told.insert((one[name].as_str().unwrap().to_owned(), day), one["count"].as_u64().unwrap());
            }
            let sum: u64 = entry[list].as_array().unwrap().iter().map(|one| one["count"].as_u64().unwrap()).sum();
            assert_eq!(entry["total"], sum);
        }
        told
    }

    fn run(mut self, crashes: bool) -> Self {
        // Over Chicago's midnight and into the next day, in busy minutes and quiet hours.
        while self.rig.now < NOON + 30 * HOUR {
            for _ in 0..self.rng.u32(1..200) {
                self.ask();
                let pause = self.rng.i64(1..300);
                self.go_to(self.rig.now + pause);
                if crashes && self.rng.u32(..150) == 0 {
                    self.crash();
                }
            }
            let rest = self.rng.i64(1_000..2 * HOUR);
            self.go_to(self.rig.now + rest);
        }
        self.go_to(self.rig.now + 10 * 60_000);
        self
    }
}

#[test]
fn sums_by_app_by_code_and_by_day_equal_the_vendors_log() {
    for seed in 0..4 {
        let mut run = Run::new(seed).run(false);
        assert!(run.log.values().sum::<u64>() > 500);
        assert_eq!(run.told(false), run.log, "seed {seed}");
        assert_eq!(run.told(true), run.codes, "seed {seed}");
        let metrics = run.rig.metrics(&run.apps[0].1.clone());
        let sum = |counts: &BTreeMap<(String, i64), u64>, of: &str| -> u64 {
            counts.iter().filter(|((name, _), _)| name == of).map(|(_, n)| n).sum()
        };
        for app in ["sync", "batch"] {
            let sample = format!("sluice_vendor_calls_total{{connection=\"crm\",app=\"{app}\"}}");
            assert_eq!(metrics[&sample], sum(&run.log, app).to_string());
        }
        for code in ["500", "606", "timeout"] {
            let sample = format!("sluice_vendor_errors_total{{connection=\"crm\",code=\"{code}\"}}");
            assert_eq!(metrics[&sample], sum(&run.codes, code).to_string());
        }
        let throttled = &metrics["sluice_vendor_throttled_total{connection=\"crm\"}"];
        assert_eq!(*throttled, sum(&run.codes, "606").to_string());
        assert_eq!(metrics["sluice_in_flight_calls{connection=\"crm\"}"], "0");
    }
}

#[test]
fn over_crashes_the_sums_lack_what_was_both_granted_and_settled_after_the_last_row_and_no_more() {
    let (mut sent, mut missed) = (0, 0);
    for seed in 0..12 {
        let mut run = Run::new(seed).run(true);
        let sum = |counts: &BTreeMap<(String, i64), u64>| counts.values().sum::<u64>();
        let (log, codes) = (sum(&run.log), sum(&run.codes));
        assert_eq!(sum(&run.told(false)), log + run.too_many - run.missed, "seed {seed}");
        assert_eq!(sum(&run.told(true)), codes - run.missed_codes, "seed {seed}");
        sent += log;
        missed += run.missed;
    }
    println!("{missed} of {sent} calls are missing after crashes");
    assert!(missed > 0 && missed * 20 < sent, "{missed} of {sent}");
}
