//! Checks fairness: take any period in which two apps have calls waiting that the same limits
//! count, at one urgency, and neither has a limit of its own. Their grants then follow the weights
//! to within one call (two, where urgencies differ), whatever others wait for.

use super::spec::{Conn, is_about};
use super::world::World;
use std::collections::BTreeMap;

/// How many calls the grants of two apps may deviate from their weights where no call is more
/// urgent than another.
///
/// Start-time fair queueing keeps `|W1/w1 - W2/w2| <= 1/w1 + 1/w2` over any period in which both
/// wait, with `W` calls granted and weights `w` (Goyal, Vin and Cheng 1996, theorem 1, with calls
/// of one size). While both wait the first goes only if its start is not after the second's, and
/// each grant delays its own start by `1/w`; so the difference of the starts stays between `-1/w2`
/// and `1/w1`. The measure here is `(W1 w2 - W2 w1) / (w1 + w2)`, which is that times
/// `w1 w2 / (w1 + w2)`: the bound then is one call, whatever the weights. The limiter rounds a
/// call's cost down by less than a millionth.
const OFF: f64 = 1.0 + 1e-3;

/// The same bound where urgencies differ. Before the period an app may have overtaken others by
/// urgency. It pays for that within the period, so that the difference of the starts does not begin
/// between those two.
const OFF_AFTER_URGENT: f64 = 2.0 + 1e-3;

#[derive(Default)]
pub struct Fair {
    /// The calls that wait at an instance, by connection and app.
    waiting: BTreeMap<(u64, String), BTreeMap<String, Vec<usize>>>,
    stretches: BTreeMap<(u64, String, String, String), Stretch>,
}

/// How far the first of two apps is ahead, in calls: now, at least and at most.
#[derive(Clone, Copy)]
struct Stretch {
    ahead: f64,
    least: f64,
    most: f64,
    version: usize,
    class: (u8, u32),
    since: i64,
    grants: (u32, u32),
}

impl World<'_> {
    pub fn fair_wait(&mut self, place: usize, instance: u64, call: usize) {
        let held = &self.calls[call];
        let key = (instance, held.conn.clone());
        // A call that asks again has the place that it was given before.
        let again = held.again || held.nth > 1;
        let by_app = self.watch.fair.waiting.entry(key).or_default();
        by_app.values_mut().for_each(|calls| calls.retain(|other| *other != call));
        by_app.entry(held.app.clone()).or_default().push(call);
        if again {
            self.break_off(instance, call);
        }
        self.look(place, instance, call);
    }

    pub fn fair_end(&mut self, instance: u64, call: usize) {
        let place = self.calls[call].tenant;
        self.not_waiting(instance, call);
        self.look(place, instance, call);
    }

    fn not_waiting(&mut self, instance: u64, call: usize) {
        let held = &self.calls[call];
        if let Some(by_app) = self.watch.fair.waiting.get_mut(&(instance, held.conn.clone())) {
            by_app.values_mut().for_each(|calls| calls.retain(|other| *other != call));
        }
    }

    fn break_off(&mut self, instance: u64, call: usize) {
        let (conn, app) = (&self.calls[call].conn, &self.calls[call].app);
        self.watch
            .fair
            .stretches
            .retain(|(at, of, one, other), _| *at != instance || of != conn || one != app && other != app);
    }

    pub fn fair_grant(&mut self, place: usize, instance: u64, call: usize) {
        let Some(conn) = self.conn_at(place, instance, call) else { return };
        let class = (self.calls[call].urgency, mask(conn, self.calls[call].target));
        let version = self.version_of(place, instance).unwrap();
        let weights: BTreeMap<String, u64> = self.versions[version].spec.as_ref().map_or_else(BTreeMap::new, |spec| {
            spec.apps.iter().map(|(name, app)| (name.clone(), app.weight)).collect()
        });
        let (of, app) = (self.calls[call].conn.clone(), self.calls[call].app.clone());
        // Other grants of the apps also count to their shares, and are not part of the period.
        self.watch.fair.stretches.retain(|(at, conn, one, other), stretch| {
            let of_it = *at == instance && *conn == of && (*one == app || *other == app);
            !of_it || stretch.class == class && stretch.version == version
        });
        for ((at, conn, one, other), stretch) in &mut self.watch.fair.stretches {
            if *at != instance || *conn != of || *one != app && *other != app {
                continue;
            }
            let (Some(mine), Some(theirs)) = (weights.get(one), weights.get(other)) else { continue };
            let (mine, theirs) = (*mine as f64, *theirs as f64);
            if *one == app {
                stretch.ahead += theirs / (mine + theirs);
                stretch.grants.0 += 1;
            } else {
                stretch.ahead -= mine / (mine + theirs);
                stretch.grants.1 += 1;
            }
            self.journal.counts.compared += 1;
        }
        self.not_waiting(instance, call);
        self.look(place, instance, call);
    }

    /// Compares the grants of an event once it is over: those of one moment as a whole, and only
    /// where calls of both apps still wait.
    pub fn fair_check(&mut self, instance: u64) {
        let mut found = None;
        let from = (instance, String::new(), String::new(), String::new());
        let off = if self.s.faults.calm { OFF } else { OFF_AFTER_URGENT };
        for ((at, conn, one, other), stretch) in self.watch.fair.stretches.range_mut(from..) {
            if *at != instance {
                break;
            }
            stretch.least = stretch.least.min(stretch.ahead);
            stretch.most = stretch.most.max(stretch.ahead);
            if stretch.most - stretch.least > off {
                let Stretch { grants, since, .. } = *stretch;
                let ms = (self.now - since) / 1_000;
                found = Some(format!(
                    "{one} and {other} both wait for {ms} ms on {conn} and are granted {grants:?}, {:.1} calls off their weights",
                    stretch.most - stretch.least
                ));
            }
        }
        if let Some(text) = found {
            self.fault("fair", text);
        }
    }

    /// Begins, continues or ends the periods that a call affects.
    fn look(&mut self, place: usize, instance: u64, call: usize) {
        let of = self.calls[call].conn.clone();
        let Some(version) = self.version_of(place, instance) else { return };
        let Some(spec) = &self.versions[version].spec else { return };
        let Some(conn) = spec.conns.get(&of) else { return };
        let Some(by_app) = self.watch.fair.waiting.get(&(instance, of.clone())) else { return };
        let jobs = |app: &String| {
            let traffic = &self.s.tenants[place].traffic;
            traffic.iter().any(|traffic| traffic.app == *app && traffic.jobs > 0)
        };
        let class_of = |app: &String, calls: &Vec<usize>| -> Option<(u8, u32)> {
            let class = |call: &usize| (self.calls[*call].urgency, mask(conn, self.calls[*call].target));
            let first = class(calls.first()?);
            // Grants that other limits count also use up an app's share, and would have to be
            // balanced.
            let traffic =
                self.s.tenants[place].traffic.iter().filter(|traffic| traffic.app == *app && traffic.conn == of);
            let same = traffic.flat_map(|traffic| &traffic.targets).all(|target| mask(conn, *target) == first.1);
            let plain = spec.apps.get(app).is_some_and(|app| app.daily_calls.is_none()) && !jobs(app) && same;
            (plain && calls.iter().all(|call| class(call) == first)).then_some(first)
        };
        let alone = |class: (u8, u32)| {
            let own = |(at, limit): (usize, &super::spec::Lim)| limit.per_app && class.1 & (1 << at) != 0;
            !conn.has_pool() && !conn.limits.iter().enumerate().any(own)
        };
        let classes: Vec<(&String, Option<(u8, u32)>)> =
            by_app.iter().map(|(app, calls)| (app, class_of(app, calls).filter(|class| alone(*class)))).collect();
        for (at, (one, mine)) in classes.iter().enumerate() {
            for (other, theirs) in &classes[at + 1..] {
                let key = (instance, of.clone(), (*one).clone(), (*other).clone());
                let class = mine.filter(|_| mine == theirs);
                let held = self.watch.fair.stretches.get(&key);
                match (class, held) {
                    (Some(class), Some(held)) if held.class == class && held.version == version => {}
                    (Some(class), _) => {
                        let since = self.now;
                        let (ahead, least, most, grants) = (0.0, 0.0, 0.0, (0, 0));
                        let stretch = Stretch { ahead, least, most, version, class, since, grants };
                        self.watch.fair.stretches.insert(key, stretch);
                    }
                    (None, Some(_)) => drop(self.watch.fair.stretches.remove(&key)),
                    (None, None) => {}
                }
            }
        }
    }
}

/// Returns which limits of a connection count calls to a target.
fn mask(conn: &Conn, target: usize) -> u32 {
    conn.limits.iter().enumerate().fold(0, |mask, (at, limit)| mask | u32::from(is_about(&limit.routes, target)) << at)
}
