//! Pools: one day over every connection that names it. Calls of connections that name it now count, as their limits' routes are now.

use super::days::readings;
use super::journal::{Fault, Sent};
use super::spec::{Kind, Lim, is_about, part};
use super::world::World;
use std::collections::BTreeMap;

const VENDOR_OFF: i64 = 1_000_000 - 500_000 - 1_000;
/// Loans made before a smaller number was declared are spent by then.
const SPENT: i64 = 4_000_000;

/// The limit of a connection that names the pool.
fn pooled<'a>(world: &'a World, version: usize, conn: &str) -> Option<(&'a Lim, u64)> {
    let conn = world.versions.get(version)?.spec.as_ref()?.conns.get(conn)?;
    let limit = conn.limits.iter().find(|limit| limit.pool.is_some())?;
    let Kind::Daily { amount, .. } = &limit.kind else { return None };
    Some((limit, part(*amount, conn.share_ppm)))
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
    // The policy that each connection was last granted by, and since when.
    let mut now: BTreeMap<(usize, &str), (usize, i64)> = BTreeMap::new();
    let mut counts: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
    let observed = |sent: &Sent| {
        let spec = world.versions.get(sent.version).and_then(|version| version.spec.as_ref());
        u64::from(spec.is_some_and(|spec| spec.conns.get(&sent.conn).is_some_and(|conn| conn.observe)))
    };
    for (at, sent) in calls.iter().enumerate() {
        let key = (sent.tenant, sent.conn.as_str());
        let changed = now.get(&key).is_none_or(|(version, _)| *version != sent.version);
        if changed {
            now.insert(key, (sent.version, sent.granted));
            counts = BTreeMap::new();
            for other in &calls[..at] {
                let version = now.get(&(other.tenant, other.conn.as_str())).map(|(version, _)| *version);
                let limit = version.and_then(|version| pooled(world, version, &other.conn));
                if limit.is_some_and(|(limit, _)| is_about(&limit.routes, other.target)) {
                    let n = counts.entry(day_of(other)).or_default();
                    *n = (n.0 + 1, n.1 + observed(other));
                }
            }
        }
        let Some((limit, own)) = pooled(world, sent.version, &sent.conn) else { continue };
        if !is_about(&limit.routes, sent.target) {
            continue;
        }
        let n = counts.entry(day_of(sent)).or_default();
        *n = (n.0 + 1, n.1 + observed(sent));
        let (n, unheld) = *n;
        let spec = world.versions[sent.version].spec.as_ref().unwrap();
        if spec.conns[&sent.conn].observe {
            continue;
        }
        let others = now.iter().filter(|(_, (_, since))| *since < sent.granted - SPENT);
        let held = |version: usize, conn: &str| {
            let spec = world.versions[version].spec.as_ref();
            spec.is_some_and(|spec| spec.conns.get(conn).is_some_and(|conn| !conn.observe))
        };
        let others = others.filter(|((_, conn), (version, _))| held(*version, conn));
        let least =
            others.filter_map(|((_, conn), (version, _))| pooled(world, *version, conn)).map(|(_, most)| most).min();
        let most = own.min(least.unwrap_or(own));
        if n > most {
            // Calls of a connection that is only watched are counted, and held back by nothing.
            let kind = if n - unheld <= most {
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
