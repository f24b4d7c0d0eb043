//! Attacks on jobs: kills between any two events, Workers that die with the machine or outlive the
//! object, reports that are lost or come twice, tasks that are refused or lost, and a vendor that
//! fails in every way it can.
//!
//! The properties: each job that was accepted ends done or dead; a job that must not be executed
//! twice is not; no window is exceeded; nothing stays in flight.

use crate::harness::Harness;
use crate::job_steps::ran;
use serde_json::{Value, json};
use sluice_core::keys::Claims;
use sluice_core::protocol::{Ask, Filter, JobsWhat, RunReport, Settle};
use sluice_core::tenant::task::{Run, Task};
use sluice_limiter::Outcome;
use std::collections::BTreeMap;

const WINDOW_MS: i64 = 2_000;
const CALLS: usize = 8;

enum Event {
    /// A Worker has taken a task.
    Taken(Box<Run>),
    /// A Worker's report arrives.
    Report(Box<RunReport>),
}

struct World {
    harness: Harness,
    chance: fastrand::Rng,
    events: Vec<(i64, Event)>,
    /// Which jobs the vendor has executed, and how often; and when calls came to it.
    executed: BTreeMap<String, u32>,
    arrived: Vec<i64>,
    unsafe_jobs: Vec<String>,
    kills: u32,
}

fn policy() -> Value {
    let profile = json!({"title": "attacked", "ceiling_seconds": 3, "timeout_seconds": 2});
    json!({
        "connections": {"crm": {
            "vendor": "attacked", "profile": profile, "base_url": "https://crm.example.com",
            "limits": [
                {"name": "rate", "kind": "rolling_window", "calls": CALLS, "seconds": WINDOW_MS / 1_000},
                {"name": "slots", "kind": "concurrency", "calls": 6},
            ],
            "retry": {"attempts": 3},
            "adaptive": {"min": 1, "max": 1},
        }},
        "apps": {"sync": {}, "other": {}},
    })
}

impl World {
    fn new(seed: u64) -> Self {
        let mut harness = Harness::empty();
        harness.put(&policy());
        let (executed, arrived, unsafe_jobs) = Default::default();
        let chance = fastrand::Rng::with_seed(seed);
        Self { harness, chance, events: Vec::new(), executed, arrived, unsafe_jobs, kills: 0 }
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.chance.u32(0..n) == 0
    }

    fn later(&mut self, most: i64) -> i64 {
        self.harness.now + self.chance.i64(0..=most)
    }

    /// Hands over the tasks that the tenant has for Workers.
    fn hand_over(&mut self) {
        while let Some(task) = self.harness.next_task() {
            match self.chance.u32(0..40) {
                0 => self.harness.task_refused(task),
                // Nobody knows, and it was not taken.
                1 => {}
                _ => {
                    let Task::Run(run) = task else { panic!("{task:?}") };
                    let at = self.later(1_200);
                    self.events.push((at, Event::Taken(run)));
                }
            }
            if self.one_in(60) {
                self.kill();
            }
        }
    }

    /// The object's life ends; with the machine, so do its Workers.
    fn kill(&mut self) {
        self.kills += 1;
        if self.one_in(2) {
            self.events.clear();
        }
        self.harness.now += self.chance.i64(0..3_000);
        self.harness.reopen();
    }

    /// A Worker makes the call, unless its permit has grown old.
    fn call(&mut self, run: &Run) {
        let mut report = ran(run, 200);
        if self.harness.now - run.granted > 1_500 {
            report.settle.outcome = Outcome::Unused;
            report.answer = None;
        } else {
            self.arrived.push(self.harness.now);
            let status = match self.chance.u32(0..20) {
                0 => 0,
                1 => 429,
                2 => 503,
                3 => 400,
                _ => 200,
            };
            // What the vendor does before it says nothing, or says that it broke down.
            let executes = match status {
                200 => true,
                0 | 503 => self.one_in(2),
                _ => false,
            };
            *self.executed.entry(run.job.clone()).or_default() += u32::from(executes);
            report = ran(run, status);
            report.settle.since_headers_ms = Some(0);
        }
        if self.one_in(15) {
            return;
        }
        let at = self.later(1_500);
        if self.one_in(10) {
            let again = RunReport { settle: Settle { attempt: 2, ..report.settle.clone() }, ..report.clone() };
            let later = at + self.chance.i64(0..8_000);
            self.events.push((later, Event::Report(Box::new(again))));
        }
        self.events.push((at, Event::Report(Box::new(report))));
    }

    fn step(&mut self) -> bool {
        self.hand_over();
        let next = self.events.iter().map(|(at, _)| *at).chain(self.harness.tenant.next_wakeup()).min();
        let Some(next) = next else { return false };
        assert!(next < self.harness.now + 100_000, "jobs are left, and nobody wakes the object for them");
        self.harness.now = self.harness.now.max(next);
        if self.one_in(80) {
            self.kill();
            return true;
        }
        let now = self.harness.now;
        let due = self.events.iter().position(|(at, _)| *at <= now);
        match due.map(|at| self.events.swap_remove(at).1) {
            Some(Event::Taken(run)) => self.call(&run),
            Some(Event::Report(ran)) => {
                self.harness.told(Ask::RunReport(ran));
            }
            None => self.harness.wake(),
        }
        true
    }

    fn keep(&mut self, app: &Claims) -> String {
        let method = ["GET", "PUT", "POST", "PATCH", "DELETE"][self.chance.usize(0..5)];
        let keep = self.harness.keep(app, "crm", method);
        let id = self.harness.kept(keep);
        if matches!(method, "POST" | "PATCH") {
            self.unsafe_jobs.push(id.clone());
        }
        id
    }

    fn is_live(&mut self) -> bool {
        let jobs = &self.harness.status()["connections"]["crm"]["jobs"];
        jobs["queued"] != 0 || jobs["running"] != 0
    }
}

fn attack(seed: u64) -> (u32, usize) {
    let mut world = World::new(seed);
    let apps = [world.harness.app("sync"), world.harness.app("other")];
    let mut ids = Vec::new();
    for _ in 0..60 {
        let app = apps[world.chance.usize(0..2)].clone();
        let id = world.keep(&app);
        ids.push((app, id));
        for _ in 0..world.chance.u32(0..4) {
            if world.is_live() {
                world.step();
            }
        }
    }
    let mut steps = 0;
    while world.is_live() {
        assert!(world.step() && steps < 20_000, "seed {seed}: jobs are left, and nothing happens any more");
        steps += 1;
    }
    let mut dead = 0;
    for (app, id) in &ids {
        let shown = world.harness.job(app, id);
        assert!(matches!(shown["state"].as_str(), Some("done" | "dead")), "seed {seed}: {shown}");
        dead += usize::from(shown["state"] == "dead");
        let executed = world.executed.get(id).copied().unwrap_or(0);
        assert!(shown["state"] != "done" || executed > 0, "seed {seed}: done, and never executed: {shown}");
        assert!(!world.unsafe_jobs.contains(id) || executed <= 1, "seed {seed}: executed {executed} times: {shown}");
    }
    let mut arrived = std::mem::take(&mut world.arrived);
    arrived.sort_unstable();
    for calls in arrived.windows(CALLS + 1) {
        assert!(calls[CALLS] - calls[0] >= WINDOW_MS, "seed {seed}: {} calls in {WINDOW_MS} ms: {calls:?}", CALLS + 1);
    }
    // What still flies lands; then all dead letters are replayed, and go well.
    world.events.clear();
    let quiet = world.harness.now + 60_000;
    world.harness.go_to(quiet);
    assert_eq!(world.harness.status()["connections"]["crm"]["in_flight"], 0, "seed {seed}");
    let operator = world.harness.key(json!({"role": "operator"}));
    let (_, replayed) = world.harness.jobs(&operator, JobsWhat::ReplayAll(None));
    assert_eq!(replayed["replayed"], dead, "seed {seed}");
    while world.is_live() {
        while let Some(task) = world.harness.next_task() {
            let Task::Run(run) = task else { panic!() };
            world.harness.told(Ask::RunReport(Box::new(ran(&run, 200))));
        }
        let next = world.harness.tenant.next_wakeup();
        if let Some(next) = next.filter(|_| world.is_live()) {
            world.harness.go_to(next);
        }
    }
    let (_, left) = world
        .harness
        .jobs(&operator, JobsWhat::List { of: Filter { dead: true, ..Filter::default() }, limit: 1, after: None });
    assert_eq!(left["items"], json!([]), "seed {seed}");
    (world.kills, dead)
}

#[test]
fn every_accepted_job_ends_and_none_is_executed_twice_that_must_not_be() {
    let (mut kills, mut dead) = (0, 0);
    for seed in 0..200 {
        let (killed, died) = attack(seed);
        kills += killed;
        dead += died;
    }
    println!("12,000 jobs, {kills} kills, {dead} dead letters");
    assert!(kills > 500 && dead > 1_000);
}
