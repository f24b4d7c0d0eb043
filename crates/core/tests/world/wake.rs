//! Timers and alarms of objects.

use super::place::{Instance, To};
use super::scenario::SECOND;
use super::world::{Event, World};

/// A time that is further off than this has a timer only while some call waits, milliseconds, as in
/// the Worker's object.
const FAR_MS: i64 = 70_000;
/// An alarm is set no sooner than this.
const SOONEST_ALARM: i64 = 10 * SECOND;

impl World<'_> {
    pub fn set_timers(&mut self, place: usize, held: &mut Instance) {
        let wall = self.wall(held.offset);
        let wake = held.tenant.next_wakeup();
        let wake = wake.filter(|at| !held.waiting.is_empty() || *at < wall.saturating_add(FAR_MS));
        match wake {
            Some(wake) if held.timer.is_none_or(|(set, _)| set > wake) => {
                self.order += 1;
                held.timer = Some((wake, self.order));
                let late = if self.dice.in_thousand(10) { self.dice.from(0, 50_000) } else { self.dice.from(0, 2_000) };
                let wait = (wake * 1_000 - (self.now - self.back + held.offset)).max(0) + late;
                self.after(wait, Event::Timer(place, held.id, self.order));
            }
            Some(_) => {}
            None => held.timer = None,
        }
        if let Some(alarm) = held.tenant.next_alarm() {
            let due = (alarm.saturating_mul(1_000)).saturating_add(self.back - held.offset);
            let due = due.max(self.now + SOONEST_ALARM);
            if self.places[place].alarm.is_none_or(|(set, _)| due < set) {
                self.order += 1;
                self.places[place].alarm = Some((due, self.order));
                self.at(due, Event::Alarm(place, self.order));
            }
        }
    }

    pub fn timer(&mut self, place: usize, instance: u64, no: u64) {
        let Some(held) = self.places[place].instances.iter_mut().find(|held| held.id == instance) else { return };
        if held.timer.is_none_or(|(_, set)| set != no) {
            return;
        }
        held.timer = None;
        let spot = &mut self.places[place];
        spot.spins = if spot.spun_at == self.now { spot.spins + 1 } else { 0 };
        spot.spun_at = self.now;
        if spot.spins > 500 {
            return self.fault("spins", "an object asks to be woken at once, again and again".to_owned());
        }
        self.woken(place, To::Instance(instance));
    }

    pub fn alarm(&mut self, place: usize, no: u64) {
        if self.places[place].alarm.is_none_or(|(_, set)| set != no) {
            return;
        }
        self.places[place].alarm = None;
        if self.places[place].current().is_none() && self.open(place, "").is_none() {
            // The platform tries again.
            self.order += 1;
            self.places[place].alarm = Some((self.now + 2 * SECOND, self.order));
            return self.at(self.now + 2 * SECOND, Event::Alarm(place, self.order));
        }
        let current = self.places[place].current().map(|at| self.places[place].instances[at].id);
        if let Some(id) = current {
            self.woken(place, To::Instance(id));
        }
    }

    fn woken(&mut self, place: usize, to: To) {
        if let Some(done) = self.event(place, to, |tenant, _, host| tenant.wake(host)) {
            self.hand_out(place, done.instance, done.ready);
        }
    }
}
