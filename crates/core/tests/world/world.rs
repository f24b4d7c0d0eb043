//! The world: it runs events in order of time, on a virtual clock in microseconds.

use super::dice::Dice;
use super::jobs::{Job, Run};
use super::journal::{Fault, Journal};
use super::live::Watch;
use super::place::Place;
use super::pools::Loan;
use super::scenario::{SECOND, Scenario};
use super::spec::Spec;
use super::work::{Call, Grant, Heard};
use sluice_core::keys::{Claims, Master};
use sluice_core::protocol::{RunReport, Settle};
use sluice_core::tenant::store::Settings;
use sluice_core::tenant::task::Task;
use std::cell::RefCell;
use std::collections::BTreeMap;

pub const ISOLATES: usize = 4;

/// In no three days without callers does more happen than this.
const RESTLESS: u32 = 20_000;

/// An event that is scheduled.
pub enum Event {
    Arrive(usize, usize),
    /// A request is at its object.
    AskAt(usize, u32),
    /// What an event has sent leaves its instance, as the writes before it are durable.
    Leaves(usize, u64, Parcel),
    /// A Worker receives a reply.
    Heard(usize, u32, Heard),
    /// A Worker asks, unless it has received a reply meanwhile.
    Ask(usize, u32),
    CallerLeaves(usize),
    CancelAt(usize),
    Ended(usize),
    Gathered(usize),
    Tell(usize, bool, u32),
    TellAt(Box<Telling>),
    Told(usize, bool, u32, bool),
    Timer(usize, u64, u64),
    Alarm(usize, u64),
    Commit(usize, u64),
    Kill,
    Reset,
    Supersede,
    /// A superseded instance ends.
    Expires(usize, u64),
    WorkerDies,
    Step,
    Edit(usize, usize),
    KeepAt(usize),
    TaskAt(usize, u64, Box<Task>, Option<Grant>),
    Taken(usize, u64, Option<Box<Task>>),
    RunEnded(usize),
    RanAt(usize, Box<RunReport>),
    RanHeard(usize, bool),
    BorrowAt(Box<Loan>),
    LentAt(Box<Loan>, Option<sluice_core::protocol::Reply>),
}

/// What leaves an instance.
pub enum Parcel {
    ToCall(usize, u32, Heard),
    Told(usize, bool, u32),
    Kept(usize),
    /// A task, with the grant of its run's permit.
    Task(Box<Task>, Option<Grant>),
    RanHeard(usize),
    LoanGrant(Box<Loan>, sluice_core::protocol::Reply),
    Put(usize, usize),
}

/// Reports on their way to an object.
pub struct Telling {
    pub call: usize,
    pub place: usize,
    pub account: bool,
    pub no: u32,
    pub reports: Vec<Settle>,
    /// The position of each in the log of what was sent.
    pub sent: Vec<Option<usize>>,
}

/// An instance, a call, and the epoch, lane and number of a permit.
pub type GrantKey = (u64, usize, (u32, u32, u64));

/// A policy that was put: its tenant and its content; `None` if the tenant was removed.
pub struct Version {
    pub tenant: usize,
    pub spec: Option<Spec>,
    /// When the next one was put.
    pub until: i64,
}

pub struct World<'s> {
    pub s: &'s Scenario,
    pub dice: Dice,
    pub random: RefCell<Dice>,
    pub now: i64,
    pub end: i64,
    pub order: u64,
    events: BTreeMap<(i64, u64), Event>,
    pub places: Vec<Place>,
    pub versions: Vec<Version>,
    /// The keys of apps, by place and name.
    pub keys: BTreeMap<(usize, String), Claims>,
    pub calls: Vec<Call>,
    pub isolates: [u32; ISOLATES],
    /// Calls whose end waits to be reported with another's: by isolate, its generation, tenant and
    /// connection.
    pub gathered: BTreeMap<(usize, u32, usize, String), Vec<usize>>,
    pub jobs: Vec<Job>,
    pub runs: Vec<Run>,
    /// The grants by instance, call and permit.
    pub grants: BTreeMap<GrantKey, Grant>,
    pub watch: Watch,
    pub journal: Journal,
    pub settings: Settings,
    /// By how much all clocks were set back, microseconds.
    pub back: i64,
    /// The sum of all steps of all clocks, microseconds.
    pub stepped: i64,
    /// When a clock was last set back.
    pub stepped_at: i64,
    /// Whether nothing goes wrong any more, and no caller comes.
    pub quiet: bool,
}

impl<'s> World<'s> {
    /// Runs a scenario. Faults that are seen on the way are in the journal.
    pub fn run(s: &'s Scenario, traced: Option<i64>) -> Self {
        let mut world = Self {
            s,
            dice: Dice::new(s.luck),
            random: RefCell::new(Dice::new(s.luck ^ 0x5eed)),
            now: s.start,
            end: s.start + s.seconds * SECOND,
            order: 0,
            events: BTreeMap::new(),
            places: Vec::new(),
            versions: Vec::new(),
            keys: BTreeMap::new(),
            calls: Vec::new(),
            isolates: [0; ISOLATES],
            gathered: BTreeMap::new(),
            jobs: Vec::new(),
            runs: Vec::new(),
            grants: BTreeMap::new(),
            watch: Watch::default(),
            journal: Journal::new(traced),
            settings: Settings {
                allow_loopback: true,
                master: Master::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap(),
            },
            back: 0,
            stepped: 0,
            stepped_at: 0,
            quiet: false,
        };
        world.begin();
        world.go_on(world.end);
        world.calm_down();
        world
    }

    fn begin(&mut self) {
        for (at, tenant) in self.s.tenants.iter().enumerate() {
            self.places.push(Place::new(tenant.name));
            self.put(at, Some(tenant.first.clone()));
            for (no, (when, _)) in tenant.edits.iter().enumerate() {
                self.at(self.s.start + when, Event::Edit(at, no));
            }
            for no in 0..tenant.traffic.len() {
                self.after(100_000, Event::Arrive(at, no));
            }
        }
        self.places.push(Place::new("pool:shared"));
        let f = &self.s.faults;
        self.again(f.kill_every, Event::Kill);
        self.again(f.reset_every, Event::Reset);
        self.again(f.supersede_every, Event::Supersede);
        self.again(f.worker_every, Event::WorkerDies);
        self.again(f.step_every, Event::Step);
    }

    /// Runs everything that is scheduled up to then.
    pub fn go_on(&mut self, until: i64) {
        let (mut wakes, began) = (0, self.now);
        while let Some((&(at, _), _)) = self.events.first_key_value() {
            if at > until || self.journal.is_over() {
                break;
            }
            let (_, event) = self.events.pop_first().unwrap();
            self.now = at.max(self.now);
            wakes += u32::from(matches!(event, Event::Timer(..) | Event::Alarm(..) | Event::BorrowAt(_)));
            self.happen(event);
            if self.quiet && wakes > RESTLESS {
                let text = format!(
                    "objects wake and ask {wakes} times in {} s though nobody comes",
                    (self.now - began) / SECOND
                );
                self.fault("restless", text);
            }
        }
        self.now = self.now.max(until);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive(tenant, traffic) => self.arrive(tenant, traffic),
            Event::AskAt(call, no) => self.ask_at(call, no),
            Event::Leaves(place, instance, parcel) => self.leaves(place, instance, parcel),
            Event::Heard(call, no, heard) => self.heard(call, no, heard),
            Event::Ask(call, no) => self.ask(call, no),
            Event::CallerLeaves(call) => self.caller_leaves(call),
            Event::CancelAt(call) => self.cancel_at(call),
            Event::Ended(call) => self.ended(call),
            Event::Gathered(call) => self.gather_no_more(call),
            Event::Tell(call, account, no) => self.tell(call, account, no),
            Event::TellAt(telling) => self.tell_at(*telling),
            Event::Told(call, account, no, done) => self.told(call, account, no, done),
            Event::Timer(place, instance, no) => self.timer(place, instance, no),
            Event::Alarm(place, no) => self.alarm(place, no),
            Event::Commit(place, id) => self.places[place].disk.commit(id),
            Event::Kill | Event::Reset | Event::Supersede | Event::WorkerDies | Event::Step => self.goes_wrong(event),
            Event::Expires(place, instance) => {
                let instances = &mut self.places[place].instances;
                if let Some(at) = instances.iter().position(|held| held.id == instance) {
                    let held = instances.swap_remove(at);
                    self.forget(held);
                }
            }
            Event::Edit(tenant, no) => {
                let policy = self.s.tenants[tenant].edits[no].1.clone();
                self.put(tenant, policy);
            }
            Event::KeepAt(job) => self.keep_at(job),
            Event::TaskAt(place, instance, task, grant) => self.task_at(place, instance, *task, grant),
            Event::Taken(place, instance, task) => self.taken(place, instance, task),
            Event::RunEnded(run) => self.run_ended(run),
            Event::RanAt(run, ran) => self.ran_at(run, *ran),
            Event::RanHeard(run, done) => self.ran_heard(run, done),
            Event::BorrowAt(loan) => self.borrow_at(loan),
            Event::LentAt(loan, reply) => self.lent_at(loan, reply),
        }
    }

    fn leaves(&mut self, place: usize, instance: u64, parcel: Parcel) {
        let alive = self.places[place].instances.iter().any(|held| held.id == instance);
        let trip = self.trip();
        match parcel {
            Parcel::ToCall(call, no, heard) => {
                let lost = !self.quiet && self.dice.in_thousand(self.s.faults.lost_replies);
                if !alive || lost {
                    let after = match alive {
                        true if self.dice.in_thousand(100) => self.dice.from(6 * SECOND, 40 * SECOND),
                        true => self.dice.from(100_000, 6 * SECOND),
                        false => trip,
                    };
                    return self.after(after, Event::Heard(call, no, Heard::Nothing));
                }
                let held_up = !self.quiet && self.dice.in_thousand(self.s.faults.held_up);
                let leg = if held_up { self.dice.from(500_000, 6 * SECOND) } else { trip };
                self.after(leg, Event::Heard(call, no, heard));
            }
            Parcel::Told(call, account, no) => {
                if alive {
                    self.acknowledged(call);
                }
                let lost = !alive || !self.quiet && self.dice.in_thousand(self.s.faults.repeated);
                self.after(trip, Event::Told(call, account, no, !lost));
            }
            Parcel::Kept(job) if alive => self.kept(job),
            Parcel::Task(task, grant) if alive => self.after(trip, Event::TaskAt(place, instance, task, grant)),
            Parcel::RanHeard(run) => {
                let lost = !alive || !self.quiet && self.dice.in_thousand(self.s.faults.repeated);
                if alive {
                    self.run_acknowledged(run);
                }
                self.after(trip, Event::RanHeard(run, !lost));
            }
            Parcel::LoanGrant(loan, reply) => self.lent_leaves(loan, alive.then_some(reply)),
            // An administrator whose request was not answered puts the policy again.
            Parcel::Put(tenant, version) if !alive => {
                let policy = self.versions[version].spec.clone();
                let latest = self.versions.iter().rposition(|other| other.tenant == tenant);
                if latest == Some(version) {
                    self.keys.retain(|(at, _), _| *at != tenant);
                    self.put(tenant, policy);
                }
            }
            Parcel::Kept(_) | Parcel::Task(..) | Parcel::Put(..) => {}
        }
    }

    /// Schedules an event that comes again and again, this mean of seconds apart; never for 0.
    pub fn again(&mut self, mean: f64, event: Event) {
        if mean > 0.0 && !self.quiet {
            let gap = self.dice.exponential(mean);
            self.after(gap, event);
        }
    }

    pub fn after(&mut self, micros: i64, event: Event) {
        self.at(self.now + micros.max(0), event);
    }

    pub fn at(&mut self, at: i64, event: Event) {
        self.order += 1;
        self.events.insert((at, self.order), event);
    }

    /// Draws how long a message takes between a Worker and an object.
    pub fn trip(&mut self) -> i64 {
        self.dice.from(2_000, 20_000)
    }

    pub fn fault(&mut self, kind: &'static str, text: String) {
        let fault = Fault { kind, at: self.now, text };
        self.journal.fault(fault);
    }

    pub fn trace(&mut self, text: impl FnOnce() -> String) {
        self.journal.trace(self.now, self.s.start, text);
    }
}
