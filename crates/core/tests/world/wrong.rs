//! What goes wrong, and what an administrator does.

use super::place::{OFF, To};
use super::scenario::SECOND;
use super::spec::Spec;
use super::world::{Event, ISOLATES, Parcel, Version, World};
use sluice_core::keys::Role;
use sluice_core::keys::open;
use sluice_core::protocol::{Admin, Ask, NewKey, Reply};
use sluice_core::tenant::state::Answer;

impl World<'_> {
    pub fn goes_wrong(&mut self, event: Event) {
        if self.quiet {
            return;
        }
        let f = &self.s.faults;
        match event {
            Event::Kill => {
                self.again(f.kill_every, Event::Kill);
                self.trace(|| "everything is killed".to_owned());
                self.isolates.iter_mut().for_each(|generation| *generation += 1);
                for place in 0..self.places.len() {
                    self.reset(place);
                }
            }
            Event::Reset => {
                self.again(f.reset_every, Event::Reset);
                let place = self.dice.below(self.places.len());
                self.trace(|| format!("object {place} is reset"));
                self.reset(place);
            }
            Event::Supersede => {
                self.again(f.supersede_every, Event::Supersede);
                let place = self.dice.below(self.places.len());
                if let Some(at) = self.places[place].current().filter(|_| self.places[place].disk.pending.is_empty()) {
                    let held = &mut self.places[place].instances[at];
                    held.superseded = true;
                    let id = held.id;
                    self.journal.counts.crashes += 1;
                    let ends = self.dice.from(SECOND / 2, 8 * SECOND);
                    self.after(ends, Event::Expires(place, id));
                    self.trace(|| format!("instance {id} of object {place} is superseded and runs on"));
                }
            }
            Event::WorkerDies => {
                self.again(f.worker_every, Event::WorkerDies);
                let isolate = self.dice.below(ISOLATES);
                self.trace(|| format!("isolate {isolate} dies"));
                self.isolates[isolate] += 1;
                self.hang_up(isolate);
            }
            _ => self.step(),
        }
    }

    /// The platform tells the object of most callers that went with their Worker.
    fn hang_up(&mut self, isolate: usize) {
        let mut gone = Vec::new();
        for held in self.places.iter().flat_map(|place| &place.instances) {
            for waiter in held.waiting.values() {
                if let super::place::Waiter::Call { call, .. } = waiter
                    && self.calls[*call].isolate == isolate
                {
                    gone.push(*call);
                }
            }
        }
        for call in gone {
            if self.dice.in_thousand(800) {
                self.after(5_000, Event::CancelAt(call));
            }
        }
    }

    /// The object's memory is gone, and of what it was writing some.
    fn reset(&mut self, place: usize) {
        self.journal.counts.crashes += 1;
        let (dice, disk) = (&mut self.dice, &mut self.places[place].disk);
        disk.tear(|| dice.half());
        for held in std::mem::take(&mut self.places[place].instances) {
            self.forget(held);
        }
    }

    /// A clock is set back: one host's, within what clocks may differ by; or the whole world's by far more.
    fn step(&mut self) {
        self.again(self.s.faults.step_every, Event::Step);
        self.stepped_at = self.now;
        if self.s.faults.wild_clock && self.dice.half() {
            let by = self.dice.from(SECOND, 900 * SECOND);
            (self.back, self.stepped) = (self.back + by, self.stepped + by);
            return self.trace(|| format!("all clocks are set back by {} s", by / SECOND));
        }
        let place = self.dice.below(self.places.len());
        if let Some(at) = self.places[place].current() {
            let offset = self.places[place].instances[at].offset;
            let by = self.dice.from(0, offset + OFF + 1);
            self.places[place].instances[at].offset -= by;
            self.stepped += by;
            self.trace(|| format!("the clock of object {place} is set back by {by} us"));
        }
    }

    /// Puts a policy, and makes keys for apps that have none; or removes the tenant.
    pub fn put(&mut self, tenant: usize, policy: Option<Spec>) {
        self.journal.counts.edits += 1;
        let lacking: Vec<String> = policy.iter().flat_map(|spec| spec.apps.keys()).cloned().collect();
        let known: Vec<String> = self.keys.keys().filter(|(at, _)| *at == tenant).map(|(_, app)| app.clone()).collect();
        let lacking: Vec<String> = lacking.into_iter().filter(|app| !known.contains(app)).collect();
        let no = self.versions.len();
        for version in self.versions.iter_mut().filter(|version| version.tenant == tenant) {
            version.until = version.until.min(self.now);
        }
        self.versions.push(Version { tenant, spec: policy.clone(), until: i64::MAX });
        let text = policy.as_ref().map(|spec| self.s.written(spec).text());
        self.trace(|| format!("version {no} of tenant {tenant} is put: {}", text.as_deref().unwrap_or("removed")));
        let done = self.event(tenant, To::Current, |tenant, _, host| {
            let mut made = Vec::new();
            match &text {
                None => drop(tenant.handle(Ask::Admin(Admin::Delete), host)?),
                Some(text) => match tenant.handle(Ask::Admin(Admin::PutPolicy(text.clone())), host)? {
                    Answer::Now(Reply::Document { .. }) => {}
                    other => panic!("a policy of the generator's is refused: {other:?}\n{text}"),
                },
            }
            for app in lacking {
                let new = NewKey { role: Role::App, app: Some(app.clone()), expires_in_seconds: None };
                if let Answer::Now(Reply::Document { status: 201, body, .. }) =
                    tenant.handle(Ask::Admin(Admin::CreateKey(new)), host)?
                {
                    made.push((app, body));
                }
            }
            Ok(made)
        });
        self.note_version(tenant, no);
        match done {
            Some(done) => {
                for (app, body) in done.value {
                    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
                    let now = u64::try_from(self.now / SECOND).unwrap();
                    let claims = open(&self.settings.master, body["key"].as_str().unwrap(), now).ok().unwrap();
                    self.keys.insert((tenant, app), claims);
                }
                if policy.is_none() {
                    self.keys.retain(|(at, _), _| *at != tenant);
                    self.forget_jobs(tenant);
                }
                if let Some(held) = self.places[tenant].instances.iter_mut().find(|held| held.id == done.instance) {
                    held.version = policy.is_some().then_some(no);
                    held.moments.edited(self.now, held.version);
                }
                self.say(tenant, done.instance, Parcel::Put(tenant, no));
                self.hand_out(tenant, done.instance, done.ready);
            }
            None => {
                self.trace(|| format!("version {no} was not taken in whole"));
                // No instance has this number.
                self.after(SECOND / 5, Event::Leaves(tenant, 0, Parcel::Put(tenant, no)));
            }
        }
    }

    /// What is stored of the policy now is of this version, unless it is known as an earlier one's.
    fn note_version(&mut self, tenant: usize, no: usize) {
        let place = &mut self.places[tenant];
        let key = (sluice_core::tenant::store::Table::Policy as u8, String::new());
        let written = place.disk.pending.iter().rev().flat_map(|batch| batch.ops.iter().rev());
        let row = written.clone().find(|(at, _)| *at == key).and_then(|(_, row)| row.clone());
        if let Some(row) = row {
            place.versions.entry(row.to_vec()).or_insert(no);
        }
    }

    /// The policy in force at an instance.
    pub fn version_of(&self, place: usize, instance: u64) -> Option<usize> {
        self.places[place].instances.iter().find(|held| held.id == instance)?.version
    }
}
