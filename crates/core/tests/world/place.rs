//! Objects: instances of a tenant state over storage with output gates. One is current, and others
//! may not know that they are not.

use super::journal::Fault;
use super::moments::{Moment, Moments};
use super::scenario::SECOND;
use super::storage::{Batch, Disk, Op, Rows, View};
use super::world::{Event, Parcel, World};
use sluice_core::protocol::Reply;
use sluice_core::tenant::state::{TenantState, Ticket};
use sluice_core::tenant::store::{Host, StoreError};
use sluice_core::tenant::task::MOST_AT_ONCE;
use std::cell::Cell;
use std::collections::BTreeMap;

/// An object without events is evicted after this.
const ASLEEP: i64 = 10 * SECOND;
/// How far the clocks of hosts differ from true time at most.
pub const OFF: i64 = 500_000;

/// An object, by its name.
pub struct Place {
    pub name: String,
    pub disk: Disk,
    pub instances: Vec<Instance>,
    /// The policies by what is stored of them.
    pub versions: BTreeMap<Vec<u8>, usize>,
    pub alarm: Option<(i64, u64)>,
    pub spins: u32,
    pub spun_at: i64,
}

/// The receiver of an answer.
#[derive(Clone, Copy, Debug)]
pub enum Waiter {
    Call { call: usize, no: u32 },
    Told { call: usize, account: bool, no: u32 },
    RunReport { run: usize },
}

/// An instance of an object.
pub struct Instance {
    pub id: u64,
    pub tenant: TenantState,
    pub rows: Rows,
    /// Its clock less true time.
    pub offset: i64,
    pub superseded: bool,
    pub opened: i64,
    /// Nothing that it sends leaves before this.
    pub gate: i64,
    pub timer: Option<(i64, u64)>,
    pub last_event: i64,
    pub waiting: BTreeMap<Ticket, Waiter>,
    pub version: Option<usize>,
    pub handing: u32,
    /// Its events of the last seconds, by its clock.
    pub moments: Moments,
}

/// The result of an event.
pub struct Done<T> {
    pub instance: u64,
    pub value: T,
    pub ready: Vec<(Waiter, Ticket, Reply)>,
}

/// The instance for which an event is meant.
#[derive(Clone, Copy, PartialEq)]
pub enum To {
    Current,
    /// The current one, or one that is superseded and still receives.
    Any,
    Instance(u64),
}

impl Place {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            disk: Disk::default(),
            instances: Vec::new(),
            versions: BTreeMap::new(),
            alarm: None,
            spins: 0,
            spun_at: 0,
        }
    }

    pub fn current(&self) -> Option<usize> {
        self.instances.iter().position(|held| !held.superseded)
    }

    pub fn version(&self, rows: &Rows) -> Option<usize> {
        let row = rows.get(&(sluice_core::tenant::store::Table::Policy as u8, String::new()))?;
        self.versions.get(&row.to_vec()).copied()
    }
}

impl World<'_> {
    /// Returns a host's clock, milliseconds.
    pub fn wall(&self, offset: i64) -> i64 {
        (self.now - self.back + offset).div_euclid(1_000)
    }

    /// One event at an object: opened for it if need be; then the answers to those that waited, tasks, loans, timer and alarm. None if
    /// there is no such instance, or if its storage refused.
    pub fn event<T>(
        &mut self,
        place: usize,
        to: To,
        act: impl FnOnce(&mut TenantState, &mut BTreeMap<Ticket, Waiter>, &mut Host<'_>) -> Result<T, StoreError>,
    ) -> Option<Done<T>> {
        let at = self.instance(place, to)?;
        let mut held = self.places[place].instances.swap_remove(at);
        let refuses_after = self.refusal();
        let wall = self.wall(held.offset);
        held.last_event = self.now;
        self.order += 1;
        held.moments.note(wall, Moment { at: self.now, order: self.order, version: held.version });
        let mut ops: Vec<Op> = Vec::new();
        let mut ready = Vec::new();
        let mut view = View {
            rows: &mut held.rows,
            ops: &mut ops,
            superseded: held.superseded,
            refuses_after,
            reads: Cell::new(0),
        };
        let random = |bytes: &mut [u8]| self.random.borrow_mut().bytes(bytes);
        let mut host = Host {
            now: wall,
            store: &mut view,
            zones: &sluice_testkit::time_zones,
            random: &random,
            settings: &self.settings,
        };
        let done = act(&mut held.tenant, &mut held.waiting, &mut host);
        if done.is_ok() {
            while let Some((ticket, reply)) = held.tenant.next_ready() {
                if let Some(waiter) = held.waiting.remove(&ticket) {
                    ready.push((waiter, ticket, reply));
                }
            }
        }
        self.write(place, &mut held, ops);
        let instance = held.id;
        match done {
            Ok(value) => {
                let tasks = held.tenant.has_tasks() && held.handing < MOST_AT_ONCE;
                if tasks {
                    held.handing += 1;
                }
                self.set_timers(place, &mut held);
                let mut loans = Vec::new();
                while let Some(errant) = held.tenant.next_loan() {
                    loans.push(errant);
                }
                self.places[place].instances.push(held);
                for errant in loans {
                    self.borrow(place, instance, errant);
                }
                if tasks {
                    self.after(0, Event::Taken(place, instance, None));
                }
                Some(Done { instance, value, ready })
            }
            Err(fault) => {
                self.journal.counts.refusals_by_storage += 1;
                self.trace(|| format!("{} instance {instance} is forgotten: {}", self_name(place), fault.0));
                self.forget(held);
                None
            }
        }
    }

    fn refusal(&mut self) -> Option<u32> {
        let times = if self.quiet { 0 } else { self.s.faults.storage };
        let refuses = times > 0 && self.dice.from(0, 20_000) < i64::from(times);
        refuses.then(|| self.dice.from(0, 12) as u32)
    }

    /// Puts what an event has written on its way to the disk.
    fn write(&mut self, place: usize, held: &mut Instance, ops: Vec<Op>) {
        if ops.is_empty() {
            return;
        }
        self.journal.counts.rows += 1;
        let commit = (self.now + self.dice.from(3_000, 15_000)).max(held.gate + 1);
        held.gate = commit;
        self.order += 1;
        let id = self.order;
        self.places[place].disk.pending.push_back(Batch { id, at: commit, ops });
        self.at(commit, Event::Commit(place, id));
    }

    /// Forgets an instance that is gone. The calls that waited for it receive nothing.
    pub fn forget(&mut self, held: Instance) {
        for (_, waiter) in held.waiting {
            let trip = self.trip();
            self.after(
                trip,
                match waiter {
                    Waiter::Call { call, no } => Event::Heard(call, no, super::work::Heard::Nothing),
                    Waiter::Told { call, account, no } => Event::Told(call, account, no, false),
                    Waiter::RunReport { run } => Event::RanHeard(run, false),
                },
            );
        }
    }

    fn instance(&mut self, place: usize, to: To) -> Option<usize> {
        if let To::Instance(id) = to {
            return self.places[place].instances.iter().position(|held| held.id == id);
        }
        if to == To::Any && self.dice.in_thousand(200) {
            let old = self.places[place].instances.iter().position(|held| held.superseded);
            if old.is_some() {
                return old;
            }
        }
        let now = self.now;
        let asleep = |held: &Instance| {
            held.waiting.is_empty() && held.timer.is_none() && held.handing == 0 && now - held.last_event > ASLEEP
        };
        if let Some(at) = self.places[place].current() {
            let held = &self.places[place].instances[at];
            let unnamed = held.tenant.name() != self.places[place].name;
            if !asleep(held) && !unnamed {
                return Some(at);
            }
            let held = self.places[place].instances.swap_remove(at);
            self.journal.counts.asleep += 1;
            self.forget(held);
        }
        let name = self.places[place].name.clone();
        self.open(place, &name)
    }

    pub fn open(&mut self, place: usize, name: &str) -> Option<usize> {
        let offset = self.dice.from(-OFF, OFF);
        let mut rows = self.places[place].disk.rows.clone();
        // The next instance sees what an earlier one has written and is on its way.
        for batch in &self.places[place].disk.pending {
            for (key, row) in &batch.ops {
                match row {
                    Some(row) => drop(rows.insert(key.clone(), row.clone())),
                    None => drop(rows.remove(key)),
                }
            }
        }
        let (mut ops, refuses_after, wall) = (Vec::new(), self.refusal(), self.wall(offset));
        let mut view = View { rows: &mut rows, ops: &mut ops, superseded: false, refuses_after, reads: Cell::new(0) };
        let random = |bytes: &mut [u8]| self.random.borrow_mut().bytes(bytes);
        let mut host = Host {
            now: wall,
            store: &mut view,
            zones: &sluice_testkit::time_zones,
            random: &random,
            settings: &self.settings,
        };
        let opened = TenantState::open(name, &mut host);
        self.order += 1;
        let id = self.order;
        let version = self.places[place].version(&rows);
        let tenant = match opened {
            Ok(tenant) => tenant,
            Err(fault) => {
                if fault.0 != "the storage refuses" {
                    let text = format!("{}: {}", self.places[place].name, fault.0);
                    self.journal.fault(Fault { kind: "does not open", at: self.now, text });
                }
                self.journal.counts.refusals_by_storage += 1;
                return None;
            }
        };
        let mut held = Instance {
            id,
            tenant,
            rows,
            offset,
            superseded: false,
            opened: self.now,
            gate: 0,
            timer: None,
            last_event: self.now,
            waiting: BTreeMap::new(),
            version,
            handing: 0,
            moments: Moments::default(),
        };
        self.trace(|| format!("{} is opened as instance {id}, its clock {offset} us off", self_name(place)));
        // What the last instance had on its way comes first.
        held.gate = self.places[place].disk.pending.back().map_or(self.now, |batch| batch.at);
        self.write(place, &mut held, ops);
        self.places[place].instances.push(held);
        Some(self.places[place].instances.len() - 1)
    }

    /// Sends what an instance says once all that it has written is durable.
    pub fn say(&mut self, place: usize, instance: u64, parcel: Parcel) {
        let held = self.places[place].instances.iter().find(|held| held.id == instance);
        let gate = held.map_or(self.now, |held| held.gate.max(self.now));
        self.at(gate, Event::Leaves(place, instance, parcel));
    }
}

fn self_name(place: usize) -> String {
    format!("object {place}")
}
