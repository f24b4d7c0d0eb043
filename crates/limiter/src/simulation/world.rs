//! The world: events in order of time, in microseconds.

use super::setting::{SECOND, Setting, utc};
use crate::{
    AdaptiveRule, Admission, AppRule, Call, Grant, Limiter, Mode, Now, Outcome, PermitId, Plan, QueueRule, Refused,
    SLACK_MS, Settlement, Ticket,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// One call at the vendor, microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub counted: i64,
    pub from: i64,
    pub to: i64,
    pub mask: u32,
    pub app: usize,
}

/// What a run has shown.
#[derive(Default)]
pub struct Journal {
    pub seen: Vec<Seen>,
    pub rows: u64,
    pub crashes: Vec<(i64, &'static str)>,
    pub grants: Vec<i64>,
    pub gave_up: u64,
    pub refused: u64,
    pub asleep: u64,
    pub unused: u64,
}

#[derive(Clone, Copy)]
struct Lease {
    permit: PermitId,
    granted: i64,
}

enum Event {
    Arrive,
    Ask(usize, bool),
    GiveUp(usize),
    Commit(u64),
    Leave(u64, Lease, usize, u32),
    Send(Lease, usize, u32),
    Settle(PermitId, u32, Outcome, u32),
    Timer(u64, u64),
    Crash,
    StepBack,
}

struct Caller {
    app: usize,
    mask: u32,
    until: i64,
    done: bool,
}

/// One instance of the tenant's object.
struct Object {
    limiter: Limiter,
    id: u64,
    offset: i64,
    superseded: bool,
    dead: bool,
    gate: i64,
    timer: u64,
    last_event: i64,
    waiting: BTreeMap<Ticket, usize>,
}

pub struct World {
    pub setting: Setting,
    pub journal: Journal,
    rng: fastrand::Rng,
    now: i64,
    events: BinaryHeap<Reverse<(i64, u64)>>,
    bodies: BTreeMap<u64, Event>,
    order: u64,
    row: Option<Vec<u8>>,
    pending: VecDeque<(u64, Vec<u8>, u64)>,
    objects: Vec<Object>,
    callers: Vec<Caller>,
    workers: u32,
    stepped: i64,
    end: i64,
}

impl World {
    pub fn run(setting: Setting, seed: u64, seconds: i64) -> Self {
        let mut world = Self {
            now: setting.start,
            end: setting.start + seconds * SECOND,
            rng: fastrand::Rng::with_seed(seed),
            setting,
            journal: Journal::default(),
            events: BinaryHeap::new(),
            bodies: BTreeMap::new(),
            order: 0,
            row: None,
            pending: VecDeque::new(),
            objects: Vec::new(),
            callers: Vec::new(),
            workers: 0,
            stepped: 0,
        };
        world.after(0, Event::Arrive);
        world.again(world.setting.crash_every, || Event::Crash);
        world.again(world.setting.step_every, || Event::StepBack);
        while let Some(Reverse((at, id))) = world.events.pop() {
            if at > world.end + 60 * SECOND {
                break;
            }
            world.now = at;
            if let Some(event) = world.bodies.remove(&id) {
                world.happen(event);
            }
        }
        world
    }

    /// The limiter that a next epoch would start with now.
    pub fn reload(&self) -> Limiter {
        self.open(self.end / 1_000 + 61_000)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive => self.arrive(),
            Event::Ask(caller, again) => self.ask(caller, again),
            Event::GiveUp(caller) => self.give_up(caller),
            Event::Commit(id) => {
                if self.pending.front().is_some_and(|(first, ..)| *first == id) {
                    self.row = self.pending.pop_front().map(|(_, row, _)| row);
                }
            }
            Event::Leave(object, lease, caller, workers) => self.leave(object, lease, caller, workers),
            Event::Send(lease, caller, workers) => self.send(lease, caller, workers),
            Event::Settle(permit, attempt, outcome, workers) => {
                if workers == self.workers {
                    let report = Settlement { permit, attempt, outcome, since_headers_ms: 0, response_bytes: 0 };
                    self.object(|limiter, now| {
                        limiter.settle(now, report);
                    });
                }
            }
            Event::Timer(object, timer) => {
                let live = |held: &Object| held.id == object && held.timer == timer && !held.dead;
                if let Some(at) = self.objects.iter().position(live) {
                    self.touch(at, |limiter, now| limiter.wake(now));
                }
            }
            Event::Crash => self.crash(),
            Event::StepBack => {
                self.stepped -= self.rng.i64(1..1_000 * 1_000) * 1_000;
                self.again(self.setting.step_every, || Event::StepBack);
            }
        }
    }

    fn arrive(&mut self) {
        if self.now >= self.end {
            return;
        }
        let mut pick = self.rng.u32(0..1_000);
        let shares = self.setting.apps.iter();
        let app = shares.take_while(|(_, share, _)| pick.checked_sub(*share).map(|left| pick = left).is_some()).count();
        let app = app.min(self.setting.apps.len() - 1);
        let mask = self.setting.masks[self.rng.usize(0..self.setting.masks.len())];
        let until = self.now + self.setting.patience;
        self.callers.push(Caller { app, mask, until, done: false });
        let caller = self.callers.len() - 1;
        let trip = self.trip();
        self.after(trip, Event::Ask(caller, false));
        self.after(self.setting.patience, Event::GiveUp(caller));
        let gap = self.exponential(1.0 / self.setting.calls_per_second);
        self.after(gap, Event::Arrive);
    }

    fn ask(&mut self, caller: usize, again: bool) {
        let Caller { app, mask, until, done } = self.callers[caller];
        if done {
            return;
        }
        let name = app_name(app);
        let wait_ms = Some(u64::try_from((until - self.now) / 1_000).unwrap_or(0));
        let call = Call { app: &name, mask, id: caller as u128, again, waited_ms: 0, wait_ms, urgency: 3 };
        let mut admission = None;
        let at = self.object(|limiter, now| admission = Some(limiter.admit(now, call)));
        match (at, admission) {
            (Some(at), Some(Admission::Granted(grant))) => self.granted(at, &grant, caller),
            (Some(at), Some(Admission::Waiting(ticket))) => drop(self.objects[at].waiting.insert(ticket, caller)),
            (Some(_), Some(Admission::Refused(_))) => self.refused(caller),
            _ => self.ask_later(caller),
        }
        // What this event made ready for others was handed out before; a write it needed may still be under way.
    }

    fn refused(&mut self, caller: usize) {
        self.journal.refused += 1;
        self.callers[caller].done = true;
    }

    fn ask_later(&mut self, caller: usize) {
        let pause = self.rng.i64(50_000..500_000);
        self.after(pause, Event::Ask(caller, true));
    }

    fn give_up(&mut self, caller: usize) {
        if std::mem::replace(&mut self.callers[caller].done, true) {
            return;
        }
        self.journal.gave_up += 1;
        for at in 0..self.objects.len() {
            let held = self.objects[at].waiting.iter().find(|(_, held)| **held == caller).map(|(ticket, _)| *ticket);
            if let Some(ticket) = held.filter(|_| !self.objects[at].dead) {
                self.objects[at].waiting.remove(&ticket);
                self.touch(at, |limiter, now| limiter.cancel(now, ticket));
            }
        }
    }

    /// Lets the current object, woken or made if need be, handle an event. None if it found itself superseded.
    fn object(&mut self, event: impl FnOnce(&mut Limiter, Now<'_>)) -> Option<usize> {
        let asleep =
            |held: &Object, now: i64| held.waiting.is_empty() && held.timer == 0 && now - held.last_event > 10 * SECOND;
        if let Some(held) =
            self.objects.iter_mut().find(|held| !held.dead && !held.superseded && asleep(held, self.now))
        {
            held.dead = true;
            self.journal.asleep += 1;
        }
        self.objects.retain(|held| !held.dead || held.gate > self.now);
        let at = match self.objects.iter().position(|held| !held.dead && !held.superseded) {
            Some(at) => at,
            None => {
                let offset = self.rng.i64(-self.setting.skew / 2 * 1_000..self.setting.skew / 2 * 1_000);
                self.order += 1;
                self.objects.push(Object {
                    limiter: self.open((self.now + self.stepped + offset) / 1_000),
                    id: self.order,
                    offset,
                    superseded: false,
                    dead: false,
                    gate: 0,
                    timer: 0,
                    last_event: self.now,
                    waiting: BTreeMap::new(),
                });
                self.objects.len() - 1
            }
        };
        self.touch(at, event).then_some(at)
    }

    fn open(&self, wall: i64) -> Limiter {
        let now = Now { wall, zones: &sluice_testkit::no_zones };
        match &self.row {
            Some(row) => Limiter::load(self.plan(), row, now, self.setting.skew).expect("our own row"),
            None => Limiter::new(self.plan(), now),
        }
    }

    fn plan(&self) -> Plan {
        let apps = self.setting.apps.iter().enumerate();
        Plan {
            limits: self.setting.limits.clone(),
            queue: QueueRule { size: self.setting.queue, max_wait_ms: 60_000 },
            adaptive: AdaptiveRule::USUAL,
            mode: Mode::Enforce,
            apps: apps
                .map(|(at, (weight, _, daily_calls))| AppRule {
                    name: app_name(at),
                    weight: *weight,
                    daily_calls: *daily_calls,
                })
                .collect(),
            ceiling_ms: 9_000,
            day: utc(),
        }
    }

    /// One event of one object: store, then hand out, then set the timer. False if its write failed and it is gone.
    fn touch(&mut self, at: usize, event: impl FnOnce(&mut Limiter, Now<'_>)) -> bool {
        let held = &mut self.objects[at];
        held.last_event = self.now;
        let wall = (self.now + self.stepped + held.offset) / 1_000;
        event(&mut held.limiter, Now { wall, zones: &sluice_testkit::no_zones });
        if let Some(row) = held.limiter.snapshot_due() {
            if held.superseded {
                held.dead = true;
                let waiting: Vec<usize> = std::mem::take(&mut held.waiting).into_values().collect();
                waiting.into_iter().for_each(|caller| self.ask_later(caller));
                return false;
            }
            self.journal.rows += 1;
            let commit = (self.now + self.rng.i64(3_000..15_000)).max(held.gate + 1);
            held.gate = commit;
            self.order += 1;
            let (id, object) = (self.order, held.id);
            self.pending.push_back((id, row, object));
            self.at(commit, Event::Commit(id));
        }
        let held = &mut self.objects[at];
        let mut ready: Vec<(Ticket, Result<Grant, Refused>)> = Vec::new();
        while let Some(outcome) = held.limiter.next_ready() {
            ready.push(outcome);
        }
        for (ticket, outcome) in ready {
            let Some(caller) = self.objects[at].waiting.remove(&ticket) else { continue };
            match outcome {
                Ok(grant) => self.granted(at, &grant, caller),
                Err(_) => self.refused(caller),
            }
        }
        let held = &mut self.objects[at];
        match held.limiter.next_wakeup() {
            Some(wake) => {
                self.order += 1;
                held.timer = self.order;
                let (id, timer) = (held.id, held.timer);
                let wait = (wake * 1_000 - (self.now + self.stepped + held.offset)).max(0);
                self.after(wait, Event::Timer(id, timer));
            }
            None => held.timer = 0,
        }
        true
    }

    fn granted(&mut self, at: usize, grant: &Grant, caller: usize) {
        self.journal.grants.push(self.now);
        let lease = Lease { permit: grant.permit, granted: self.now };
        let gate = self.objects[at].gate.max(self.now);
        let (id, workers) = (self.objects[at].id, self.workers);
        self.at(gate, Event::Leave(id, lease, caller, workers));
    }

    fn leave(&mut self, object: u64, lease: Lease, caller: usize, workers: u32) {
        let gone = !self.objects.iter().any(|held| held.id == object && !held.dead);
        if gone {
            return self.ask_later(caller);
        }
        if workers == self.workers {
            let held_up = self.chance(self.setting.held_up);
            let leg = if held_up { self.rng.i64(500_000..6 * SECOND) } else { self.trip() };
            self.after(leg, Event::Send(lease, caller, workers));
        }
    }

    fn send(&mut self, lease: Lease, caller: usize, workers: u32) {
        if workers != self.workers {
            return;
        }
        if self.now - lease.granted > SLACK_MS * 1_000 {
            self.journal.unused += 1;
            let trip = self.trip();
            self.after(trip, Event::Settle(lease.permit, 1, Outcome::Unused, workers));
            return self.ask_later(caller);
        }
        self.callers[caller].done = true;
        let slow = self.chance(self.setting.slow);
        let latency = if slow { self.rng.i64(2 * SECOND..9 * SECOND) } else { self.log_normal().min(9 * SECOND) };
        let from = self.now + self.rng.i64(0..=latency / 2);
        let to = self.now + latency;
        let counted = match (self.setting.any_instant, self.rng.u32(0..3)) {
            (false, _) | (_, 0) => from,
            (_, 1) => self.rng.i64(from..=to),
            _ => to,
        };
        let Caller { app, mask, .. } = self.callers[caller];
        self.journal.seen.push(Seen { counted, from, to, mask, app });
        let cut = latency > 6 * SECOND;
        let (back, outcome) = if cut {
            (6 * SECOND, Outcome::Unknown)
        } else {
            (latency + self.rng.i64(1_000..50_000), Outcome::Answered)
        };
        if self.chance(self.setting.lost) {
            return;
        }
        let trip = self.trip();
        self.after(back + trip, Event::Settle(lease.permit, 1, outcome, workers));
        if self.chance(self.setting.repeated) {
            let later = self.rng.i64(50_000..4 * SECOND);
            self.after(back + later, Event::Settle(lease.permit, 2, outcome, workers));
        }
    }

    fn crash(&mut self) {
        if self.now >= self.end {
            return;
        }
        self.again(self.setting.crash_every, || Event::Crash);
        let kind = ["kill", "reset", "supersede"][self.rng.usize(0..3)];
        self.journal.crashes.push((self.now, kind));
        let Some(at) = self.objects.iter().position(|held| !held.dead && !held.superseded) else { return };
        if kind == "supersede" && self.pending.is_empty() {
            self.objects[at].superseded = true;
            return;
        }
        // Of the writes under way, some land, in order.
        while let Some((_, row, _)) = self.pending.pop_front() {
            if self.rng.bool() {
                break;
            }
            self.row = Some(row);
        }
        self.pending.clear();
        self.objects[at].dead = true;
        let waiting: Vec<usize> = std::mem::take(&mut self.objects[at].waiting).into_values().collect();
        waiting.into_iter().for_each(|caller| self.ask_later(caller));
        if kind == "kill" {
            self.workers += 1;
            self.objects.iter_mut().for_each(|held| held.dead = true);
        }
    }

    fn chance(&mut self, thousandths: u32) -> bool {
        self.rng.u32(0..1_000) < thousandths
    }

    fn trip(&mut self) -> i64 {
        self.rng.i64(2_000..20_000)
    }

    fn exponential(&mut self, mean: f64) -> i64 {
        let draw = 1.0 - self.rng.f64();
        ((-draw.ln() * mean) * 1e6) as i64
    }

    fn log_normal(&mut self) -> i64 {
        let (one, other) = (1.0 - self.rng.f64(), self.rng.f64());
        let normal = (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * other).cos();
        ((self.setting.mean_latency.ln() - 0.32 + 0.8 * normal).exp() * 1e6) as i64
    }

    fn again(&mut self, mean: f64, event: impl FnOnce() -> Event) {
        if mean > 0.0 {
            let gap = self.exponential(mean);
            self.after(gap, event());
        }
    }

    fn after(&mut self, micros: i64, event: Event) {
        self.at(self.now + micros, event);
    }

    fn at(&mut self, at: i64, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order)));
        self.bodies.insert(self.order, event);
    }
}

pub fn app_name(at: usize) -> String {
    format!("app-{at}")
}
