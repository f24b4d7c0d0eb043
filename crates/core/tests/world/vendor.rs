//! The vendor: it counts a call at some instant between its arrival and its answer, works on calls
//! that were cut off, and throttles at random.

use super::days::readings;
use super::dice::Dice;
use super::journal::{Sent, Whose};
use super::scenario::{Faults, SECOND};
use super::spec::{Kind, TARGETS, is_about};
use super::tell::{End, Report};
use super::work::Grant;
use super::world::{Event, World};
use sluice_limiter::{Counted, Outcome, PermitId, ThrottledBy};

/// The Worker cuts a call off after this.
pub const TIMEOUT: i64 = 6 * SECOND;
/// The vendor is done with any call within this time after its sending.
pub const CEILING: i64 = 9 * SECOND;

/// The course of one call at the vendor, in microseconds after it is sent.
pub struct Course {
    pub arrives: i64,
    pub counted: i64,
    /// When its headers leave the vendor.
    pub headers: i64,
    /// When the vendor is done: the last byte has left, or it has given up.
    pub done: i64,
    /// When the Worker knows its end.
    pub ends: i64,
    pub bytes: u64,
    pub outcome: Outcome,
    pub status: u16,
    pub has_headers: bool,
}

pub fn course(dice: &mut Dice, f: &Faults, quiet: bool) -> Course {
    let hung = !quiet && dice.in_thousand(f.hung);
    let slow = !quiet && dice.in_thousand(f.slow);
    let headers = match (hung, slow) {
        (true, _) => dice.from(3 * SECOND, CEILING),
        (_, true) => dice.from(2 * SECOND, TIMEOUT - SECOND / 2),
        _ => dice.log_normal(f.mean_latency).clamp(2_000, TIMEOUT - SECOND / 2),
    };
    let arrives = dice.from(500, headers / 2 + 1);
    let counted = match (f.at_arrival, dice.below(3)) {
        (true, _) | (_, 0) => arrives,
        (_, 1) => dice.from(arrives, headers + 1),
        _ => headers,
    };
    let streams = dice.in_thousand(f.streams);
    let body = if streams { dice.from(0, if hung { 8 * SECOND } else { TIMEOUT - headers }) } else { 0 };
    let bytes = if dice.in_thousand(800) { dice.exponential(0.02) as u64 } else { 0 };
    let done = (headers + body).min(CEILING);
    let back = dice.from(1_000, 40_000);
    let cut = done + back > TIMEOUT;
    if cut {
        let has_headers = headers + back < TIMEOUT;
        let bytes = if has_headers { bytes / 2 } else { 0 };
        let outcome = Outcome::Unknown;
        return Course { arrives, counted, headers, done, ends: TIMEOUT, bytes, outcome, status: 0, has_headers };
    }
    let (outcome, status) = answer(dice, f, quiet);
    Course { arrives, counted, headers, done, ends: done + back, bytes, outcome, status, has_headers: true }
}

fn answer(dice: &mut Dice, f: &Faults, quiet: bool) -> (Outcome, u16) {
    if !quiet && dice.in_thousand(f.day_throttles) {
        return (Outcome::Throttled { by: ThrottledBy::Day, retry_after_ms: None }, 429);
    }
    if !quiet && dice.in_thousand(f.throttles) {
        let by = if dice.in_thousand(200) { ThrottledBy::Concurrency } else { ThrottledBy::Rate };
        let retry_after_ms = *dice.pick(&[None, None, Some(0), Some(1_000), Some(3_000), Some(20_000)]);
        return (Outcome::Throttled { by, retry_after_ms }, 429);
    }
    (Outcome::Answered, if dice.in_thousand(20) { 404 } else { 200 })
}

impl World<'_> {
    /// Sends a call.
    pub fn send(&mut self, call: usize, permit: PermitId, grant: Grant) {
        let course = course(&mut self.dice, &self.s.faults, self.quiet);
        let held = &self.calls[call];
        let (tenant, conn, app, target) = (held.tenant, held.conn.clone(), held.app.clone(), held.target);
        let sent = self.log(Whose::Call(call), (tenant, &conn, &app, target), grant, &course);
        self.trace(|| {
            format!(
                "call {call} ({app} {} {}) is sent, counted {:+} us, done {:+} us, {:?}",
                TARGETS[target].0, TARGETS[target].1, course.counted, course.done, course.outcome
            )
        });
        let counts = self.counts(sent, &course);
        let offset = self.calls[call].offset;
        let held = &mut self.calls[call];
        let sent_at = (self.now + offset).div_euclid(1_000);
        let headers_at = course.has_headers.then(|| (self.now + course.headers + 500 + offset).div_euclid(1_000));
        let end = End { outcome: course.outcome, headers_at, bytes: course.bytes, status: course.status, counts };
        held.end = Some(end.clone());
        held.no += 1;
        let told = held.reports.iter().find(|old| old.permit == permit).map_or(0, |old| old.told);
        held.reports.retain(|old| old.permit != permit);
        held.reports.push(Report { permit, end, told, sent: Some(sent), sent_at });
        self.after(course.ends, Event::Ended(call));
    }

    /// Records a call that is sent now.
    pub fn log(
        &mut self,
        whose: Whose,
        (tenant, conn, app, target): (usize, &str, &str, usize),
        grant: Grant,
        course: &Course,
    ) -> usize {
        for word in [self.now as u64, grant.order, course.counted as u64] {
            self.journal.mix(word);
        }
        if matches!(course.outcome, Outcome::Throttled { .. }) {
            self.journal.counts.throttled += 1;
        }
        self.journal.sent.push(Sent {
            whose,
            tenant,
            conn: conn.to_owned(),
            app: app.to_owned(),
            target,
            order: grant.order,
            granted: grant.at,
            arrived: self.now + course.arrives,
            counted: self.now + course.counted,
            done: self.now + course.done,
            bytes: course.bytes,
            version: grant.version,
            life: grant.life,
            told: Vec::new(),
            known: i64::MAX,
        });
        self.journal.sent.len() - 1
    }

    /// Returns what the vendor reports of its own counts in an answer: true numbers, and now and
    /// then nonsense.
    pub fn counts(&mut self, sent: usize, course: &Course) -> Vec<Counted> {
        if self.quiet || !course.has_headers || !self.dice.in_thousand(self.s.faults.counts) {
            return Vec::new();
        }
        let (nonsense, left) = (self.dice.in_thousand(3), self.dice.half());
        let mine = self.journal.sent[sent].clone();
        let at = self.now + course.headers;
        let spec = self.versions.get(mine.version).and_then(|version| version.spec.as_ref());
        let Some(conn) = spec.and_then(|spec| spec.conns.get(&mine.conn)) else { return Vec::new() };
        let mut counts = Vec::new();
        for limit in &conn.limits {
            if limit.per_app || !is_about(&limit.routes, mine.target) || limit.pool.is_some() {
                continue;
            }
            let (amount, from) = match &limit.kind {
                Kind::Daily { amount, reset, bytes: false } => (*amount, readings(reset, at, at)[0].around(at).0),
                Kind::RollingDay { calls } => (*calls, at - 86_400 * SECOND),
                _ => continue,
            };
            let counted = |other: &&Sent| {
                let same = other.tenant == mine.tenant && other.conn == mine.conn;
                same && (from..=at).contains(&other.counted) && is_about(&limit.routes, other.target)
            };
            let own = self.journal.sent.iter().rev().take(20_000).filter(counted).count() as u64;
            // Others use the account too.
            let others = (at - self.s.start) / (60 * SECOND) * i64::from(self.s.faults.others);
            let n = if nonsense { 5_000_000_000 } else { own + u64::try_from(others).unwrap() };
            counts.push(Counted {
                limit: limit.name.clone(),
                n: if left { amount.saturating_sub(n) } else { n },
                left,
                total: None,
            });
        }
        counts
    }
}
