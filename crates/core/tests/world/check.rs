//! The oracle: it compares what reached the vendor with the policies.
//!
//! The rule: take any call, and any limit of the policy in force at its grant. In every span of the
//! limit's length that contains the moment when the call was counted, the calls granted no later
//! than it are at most as many as the limit says. This includes calls under earlier policies,
//! counted by the limit's current routes, and only those of the same app where the limit is per
//! app. So no edit admits more than if the policy had been in force all along.

use super::days::{Reading, readings};
use super::journal::{Fault, Sent};
use super::place::OFF;
use super::scenario::Scenario;
use super::spans::{Bucket, Instants, Running};
use super::spec::{Conn, Kind, Lim, Reset, Spec, is_about, part};
use super::world::{Version, World};
use std::collections::BTreeMap;

/// How far the vendor's clock may differ from ours: the reset's allowance is a second, of which
/// ours takes half.
const VENDOR_OFF: i64 = 1_000_000 - 500_000 - 1_000;

/// A call that is further than this from an instant at which a day opens surely belongs to one day.
const SURELY: i64 = 2_500_000;

struct Oracle<'a> {
    s: &'a Scenario,
    versions: &'a [Version],
    faults: Vec<Fault>,
}

/// Returns all faults that the log of a run shows, the earliest of each kind.
pub fn overruns(world: &World) -> Vec<Fault> {
    let mut oracle = Oracle { s: world.s, versions: &world.versions, faults: Vec::new() };
    let mut accounts: BTreeMap<(usize, &str), Vec<&Sent>> = BTreeMap::new();
    for sent in &world.journal.sent {
        accounts.entry((sent.tenant, &sent.conn)).or_default().push(sent);
    }
    for ((_, name), mut calls) in accounts {
        calls.sort_by_key(|sent| sent.order);
        let mut versions: Vec<usize> = calls.iter().map(|sent| sent.version).collect();
        versions.sort_unstable();
        versions.dedup();
        for version in versions {
            let Some(spec) = world.versions.get(version).and_then(|version| version.spec.as_ref()) else { continue };
            if let Some(conn) = spec.conns.get(name).filter(|conn| !conn.observe) {
                oracle.account(version, spec, conn, &calls);
            }
        }
    }
    super::shared::overruns(world, &mut oracle.faults);
    oracle.faults
}

impl Oracle<'_> {
    /// Checks one connection's calls against the limits of one of its policies.
    fn account(&mut self, version: usize, spec: &Spec, conn: &Conn, calls: &[&Sent]) {
        for limit in conn.limits.iter().filter(|limit| limit.pool.is_none()) {
            let mine: Vec<&Sent> = calls.iter().filter(|sent| is_about(&limit.routes, sent.target)).copied().collect();
            if !limit.per_app {
                self.limit(version, conn, limit, &mine);
                continue;
            }
            let mut by_app: BTreeMap<&str, Vec<&Sent>> = BTreeMap::new();
            mine.iter().for_each(|sent| by_app.entry(&sent.app).or_default().push(sent));
            by_app.values().for_each(|calls| self.limit(version, conn, limit, calls));
        }
        for (name, app) in &spec.apps {
            if let Some(most) = app.daily_calls {
                let mine: Vec<&Sent> = calls.iter().filter(|sent| sent.app == *name).copied().collect();
                self.days(version, "budget", &format!("daily_calls of {name}"), most, &conn.own_reset(), &mine);
            }
        }
    }

    fn limit(&mut self, version: usize, conn: &Conn, limit: &Lim, calls: &[&Sent]) {
        let share = |figure: u64| part(figure, conn.share_ppm);
        let name = limit.json().to_string();
        match &limit.kind {
            Kind::Window { calls: most, window_ms, guard_ms } => {
                let span = i64::try_from(window_ms + guard_ms).unwrap() * 1_000;
                self.window(version, &name, share(*most), span, calls, "window");
            }
            Kind::RollingDay { calls: most } => {
                self.window(version, &name, share(*most), 86_400_000_000, calls, "rolling day")
            }
            Kind::Bucket { rate_micro, burst } => self.bucket(version, &name, share(*rate_micro), share(*burst), calls),
            Kind::Slots { calls: most, after_ms: 0 } => self.slots(version, &name, share(*most), calls),
            Kind::Slots { calls: most, after_ms } => self.old_ones(version, &name, share(*most), *after_ms, calls),
            Kind::Daily { amount, reset, bytes: false } => {
                self.days(version, "day", &name, share(*amount), reset, calls)
            }
            Kind::Daily { amount, reset, bytes: true } => self.bytes(version, &name, share(*amount), reset, calls),
        }
    }

    fn fault(&mut self, kind: &'static str, sent: &Sent, text: String) {
        let ms = |at: i64| (at - self.s.start) as f64 / 1e6;
        let text = format!(
            "{} of {}, granted by version {} at {:.6} s, counted at {:.6} s, {text}",
            sent.whose,
            sent.app,
            sent.version,
            ms(sent.granted),
            ms(sent.counted)
        );
        let after_edit = self.is_edited(sent);
        let kind = if after_edit { edited(kind) } else { kind };
        match self.faults.iter_mut().find(|fault| fault.kind == kind) {
            Some(known) if known.at <= sent.granted => {}
            Some(known) => *known = Fault { kind, at: sent.granted, text },
            None => self.faults.push(Fault { kind, at: sent.granted, text }),
        }
    }

    /// Whether the call's policy was not the tenant's first.
    fn is_edited(&self, sent: &Sent) -> bool {
        let tenant = self.versions[sent.version].tenant;
        self.versions.iter().position(|version| version.tenant == tenant) != Some(sent.version)
    }

    fn window(&mut self, version: usize, name: &str, most: u64, span: i64, calls: &[&Sent], kind: &'static str) {
        let mut instants = Instants::default();
        for sent in calls {
            instants.insert(sent.counted);
            if sent.version == version {
                let n = instants.most_around(sent.counted, span, most);
                if n > most {
                    self.fault(kind, sent, format!("is one of {n} where {most} may be: {name}"));
                }
            }
        }
    }

    fn bucket(&mut self, version: usize, name: &str, rate_micro: u64, burst: u64, calls: &[&Sent]) {
        let mut bucket = Bucket::new(rate_micro, burst);
        for sent in calls {
            let over = bucket.add(sent.granted, sent.arrived);
            if over && sent.version == version {
                self.fault("bucket", sent, format!("overflows the bucket of {burst} at {rate_micro} micro/s: {name}"));
            }
        }
    }

    fn slots(&mut self, version: usize, name: &str, most: u64, calls: &[&Sent]) {
        let mut running = Running::default();
        for sent in calls {
            running.add(sent.granted, sent.arrived, sent.done);
            if sent.version == version {
                let n = running.most_during(sent.arrived, sent.done);
                if n > most {
                    self.fault("slots", sent, format!("is at the vendor with {n} at once where {most} may: {name}"));
                }
            }
        }
    }

    /// Checks that the vendor takes no new call while this many have run for longer than
    /// `after_ms`.
    fn old_ones(&mut self, version: usize, name: &str, most: u64, after_ms: u64, calls: &[&Sent]) {
        if self.s.faults.wild_clock {
            return;
        }
        let mut running = Running::default();
        // The ages that an object knows are wrong by as much as its clock, or another's before it,
        // was set back.
        let off = if self.s.faults.step_every > 0.0 { 2 * OFF } else { 0 };
        let after = i64::try_from(after_ms).unwrap() * 1_000 + 2_000 + off;
        let mut lives: Vec<u64> = Vec::new();
        for sent in calls {
            if lives.last() != Some(&sent.life) {
                lives.push(sent.life);
            }
            let after = if lives.len() > 1 { after + 2 * OFF - off } else { after };
            if sent.version == version {
                let n = running.older(sent.granted - after, sent.arrived);
                if n >= most {
                    self.fault(
                        "old slots",
                        sent,
                        format!("is granted while {n} run for long where {most} may: {name}"),
                    );
                }
            }
            running.add(sent.granted, sent.arrived, sent.done);
        }
    }

    fn days(&mut self, version: usize, kind: &'static str, name: &str, most: u64, reset: &Reset, calls: &[&Sent]) {
        let (Some(first), Some(last)) = (calls.first(), calls.last()) else { return };
        if self.s.faults.wild_clock {
            return;
        }
        for reading in readings(reset, first.granted, last.done) {
            for skew in [-VENDOR_OFF, 0, VENDOR_OFF] {
                let mut days: BTreeMap<usize, u64> = BTreeMap::new();
                for sent in calls {
                    let n = days.entry(reading.day(sent.counted, skew)).or_default();
                    *n += 1;
                    if sent.version == version && *n > most {
                        self.fault(kind, sent, format!("is one of {n} in a day where {most} may be: {name}"));
                    }
                }
            }
        }
    }

    /// Checks that no call is granted when as many bytes as allowed are known to have come back.
    fn bytes(&mut self, version: usize, name: &str, most: u64, reset: &Reset, calls: &[&Sent]) {
        let (Some(first), Some(last)) = (calls.first(), calls.last()) else { return };
        if self.s.faults.wild_clock {
            return;
        }
        let readings = readings(reset, first.granted, last.granted);
        for (at, sent) in calls.iter().enumerate().filter(|(_, sent)| sent.version == version) {
            let known = readings.iter().map(|reading| known_bytes(reading, sent, &calls[..at])).max();
            if let Some(known) = known.filter(|known| *known >= most) {
                self.fault("bytes", sent, format!("is granted when {known} bytes are known of {most}: {name}"));
            }
        }
    }
}

/// Returns the bytes of a day that the granting instance knew: those reported to itself, or to an
/// earlier one that has stored them.
fn known_bytes(reading: &Reading, sent: &Sent, before: &[&Sent]) -> u64 {
    let (opens, ends) = reading.around(sent.granted);
    if sent.granted < opens + SURELY || sent.granted > ends - SURELY {
        return 0;
    }
    let known = |other: &&&Sent| {
        let told = other.told.iter().any(|(life, at)| *life == sent.life && *at < sent.granted);
        other.granted >= opens + SURELY && (told || other.known < sent.granted)
    };
    before.iter().filter(known).map(|other| other.bytes).sum()
}

/// Returns the kind of a fault after an edit, which is separate.
const fn edited(kind: &'static str) -> &'static str {
    match kind.as_bytes() {
        b"window" => "window after an edit",
        b"rolling day" => "rolling day after an edit",
        b"bucket" => "bucket after an edit",
        b"slots" => "slots after an edit",
        b"old slots" => "old slots after an edit",
        b"day" => "day after an edit",
        b"budget" => "budget after an edit",
        b"bytes" => "bytes after an edit",
        _ => kind,
    }
}
