//! Pools: one daily limit over every connection that names it. The calls of all connections that
//! name it now count, by their limits' current routes.

use super::days::readings;
use super::journal::{Fault, Sent};
use super::spec::{Kind, Lim, is_about, part};
use super::world::World;
use std::collections::BTreeMap;

const VENDOR_OFF: i64 = 1_000_000 - 500_000 - 1_000;
/// Loans that were made before a smaller number was declared, or before the pool knew of a call,
/// are used up after this.
const SPENT: i64 = 4_000_000;
/// A connection in observe mode reports its calls to its pool every second. At most one in ten
/// messages is lost, and sent again.
const HEARD: i64 = 4_000_000;
/// A connection that has asked for nothing for this long may have left the pool, and its number is
/// no longer valid. Calls that no limit of the pool's counts ask for nothing (seed 7204 of the
/// simulation).
const SILENT: i64 = 7 * 86_400 * 1_000_000 - SPENT;

/// Returns the limit of a connection that names the pool.
fn pooled<'a>(world: &'a World, version: usize, conn: &str) -> Option<(&'a Lim, u64)> {
    let conn = world.versions.get(version)?.spec.as_ref()?.conns.get(conn)?;
    let limit = conn.limits.iter().find(|limit| limit.pool.is_some())?;
    let Kind::Daily { amount, .. } = &limit.kind else { return None };
    Some((limit, part(*amount, conn.share_ppm)))
}

/// Returns the number of another connection that was last granted under a version: that version's,
/// or a greater one of which the pool may know since. A pool is told of a new number at once, also
/// by a connection that makes no call under it. So of the versions that were put since, the last
/// one that is surely known counts, and those after it. A lower one binds others from the
/// connection's next call on, as the first does.
fn declared(world: &World, (tenant, conn): (usize, &str), version: usize, at: i64) -> Option<u64> {
    let (_, last) = pooled(world, version, conn)?;
    let (mut put, mut numbers) = (i64::MIN, Vec::new());
    for (no, held) in world.versions.iter().enumerate().filter(|(_, held)| held.tenant == tenant) {
        if no >= version && put <= at {
            numbers.extend(pooled(world, no, conn).map(|(_, number)| (put, number)));
        }
        put = held.until;
    }
    let heard = numbers.iter().rposition(|(put, _)| *put < at - SPENT).unwrap_or(0);
    numbers[heard..].iter().map(|(_, number)| *number).max().max(Some(last))
}

/// The counts of a pool's day.
#[derive(Default)]
struct Count {
    n: u64,
    /// The calls that were only observed.
    observed: u64,
    /// When those of them were granted that are reported to the pool one after the other, in order.
    watched: Vec<i64>,
    /// By connection, the calls granted under policies in which the pool did not count them. They
    /// are reported to it when they join it.
    joined: BTreeMap<(usize, String), u64>,
}

impl Count {
    fn add(&mut self, sent: &Sent, observed: bool, joined: bool) {
        self.n += 1;
        self.observed += u64::from(observed);
        if joined {
            *self.joined.entry((sent.tenant, sent.conn.clone())).or_default() += 1;
        } else {
            self.watched.extend(observed.then_some(sent.granted));
        }
    }

    /// Returns how many observed calls the pool may not have known when it lent what is spent at
    /// that moment.
    fn unheard(&self, at: i64) -> u64 {
        self.watched.iter().rev().take_while(|granted| **granted > at - HEARD).count() as u64
    }
}

pub fn overruns(world: &World, faults: &mut Vec<Fault>) {
    let mut calls: Vec<&Sent> = world.journal.sent.iter().collect();
    calls.sort_by_key(|sent| sent.order);
    let Some((first, last)) = calls.first().zip(calls.last()) else { return };
    let reset = world.versions.iter().filter_map(|version| version.spec.as_ref()).find_map(|spec| {
        let limits = spec.conns.values().flat_map(|conn| &conn.limits);
        limits.filter(|limit| limit.pool.is_some()).find_map(|limit| match &limit.kind {
            Kind::Daily { reset, .. } => Some(reset.clone()),
            _ => None,
        })
    });
    let Some(reset) = reset.filter(|_| !world.s.faults.wild_clock) else { return };
    for reading in readings(&reset, first.granted, last.done) {
        for skew in [-VENDOR_OFF, 0, VENDOR_OFF] {
            day(world, &calls, faults, |sent| reading.day(sent.counted, skew));
        }
    }
}

fn day(world: &World, calls: &[&Sent], faults: &mut Vec<Fault>, day_of: impl Fn(&Sent) -> usize) {
    // The policy under which each connection was last granted, since when, and when it last made a
    // call that the pool counts.
    let mut now: BTreeMap<(usize, &str), (usize, i64, i64)> = BTreeMap::new();
    let is_counted = |sent: &Sent| {
        pooled(world, sent.version, &sent.conn).is_some_and(|(limit, _)| is_about(&limit.routes, sent.target))
    };
    let mut counts: BTreeMap<usize, Count> = BTreeMap::new();
    let observed = |sent: &Sent| {
        let spec = world.versions.get(sent.version).and_then(|version| version.spec.as_ref());
        spec.is_some_and(|spec| spec.conns.get(&sent.conn).is_some_and(|conn| conn.observe))
    };
    for (at, sent) in calls.iter().enumerate() {
        let key = (sent.tenant, sent.conn.as_str());
        let known = now.get(&key).filter(|(version, ..)| *version == sent.version).copied();
        let asked = now.get(&key).map_or(i64::MIN, |(.., last)| *last);
        let last = if is_counted(sent) { sent.granted } else { asked };
        now.insert(key, (sent.version, known.map_or(sent.granted, |(_, since, _)| since), last));
        if known.is_none() {
            counts = BTreeMap::new();
            for other in &calls[..at] {
                let version = now.get(&(other.tenant, other.conn.as_str())).map(|(version, ..)| *version);
                let limit = version.and_then(|version| pooled(world, version, &other.conn));
                if limit.is_some_and(|(limit, _)| is_about(&limit.routes, other.target)) {
                    counts.entry(day_of(other)).or_default().add(other, observed(other), !is_counted(other));
                }
            }
        }
        let Some((limit, own)) = pooled(world, sent.version, &sent.conn) else { continue };
        if !is_about(&limit.routes, sent.target) {
            continue;
        }
        let count = counts.entry(day_of(sent)).or_default();
        count.add(sent, observed(sent), false);
        // The loan that it uses was made before the pool knew of these calls, or of those that
        // another connection brought with it by an edit that made it one of the pool's (seed 5891
        // of the simulation). Its own edit binds a connection at once.
        let new = |(tenant, conn): (usize, &str)| {
            now.get(&(tenant, conn)).is_some_and(|(_, since, _)| *since >= sent.granted - SPENT)
                && (tenant, conn) != key
        };
        let joined: u64 = count.joined.iter().filter(|((tenant, conn), _)| new((*tenant, conn))).map(|(_, n)| *n).sum();
        let n = (count.n - count.unheard(sent.granted)).saturating_sub(joined);
        let on_loan = count.n - count.observed;
        let spec = world.versions[sent.version].spec.as_ref().unwrap();
        if spec.conns[&sent.conn].observe {
            continue;
        }
        let others =
            now.iter().filter(|(_, (_, since, last))| *since < sent.granted - SPENT && *last > sent.granted - SILENT);
        let held = |version: usize, conn: &str| {
            let spec = world.versions[version].spec.as_ref();
            spec.is_some_and(|spec| spec.conns.get(conn).is_some_and(|conn| !conn.observe))
        };
        let others = others.filter(|((_, conn), (version, ..))| held(*version, conn));
        let least = others.filter_map(|(key, (version, ..))| declared(world, *key, *version, sent.granted)).min();
        let most = own.min(least.unwrap_or(own));
        if n > most {
            // The calls of a connection in observe mode are counted, and never held back.
            let kind = if on_loan <= most {
                "pool beside observe"
            } else if world.journal.counts.edits as usize > world.s.tenants.len() {
                "pool after an edit"
            } else {
                "pool"
            };
            let text =
                format!("a call of {} on {} is one of {n} of a pool's day where {most} may be", sent.app, sent.conn);
            if faults.iter().all(|fault| fault.kind != kind || fault.at > sent.granted) {
                faults.retain(|fault| fault.kind != kind);
                faults.push(Fault { kind, at: sent.granted, text });
            }
        }
    }
}
