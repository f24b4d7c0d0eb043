//! Snapshots of versions 1 and 2, as earlier builds wrote them. They name the limits only by name and kind, so the plan's limit of that name
//! says the rest; and they know nothing of the past but when the last call had ended.

use crate::adaptive::Adaptive;
use crate::calendar::{Day, Reset};
use crate::codec;
use crate::config::{Kind, Limit, Plan};
use crate::durable::prior_epochs::{PriorEpoch, PriorLane};
use crate::durable::snapshot::{Snapshot, StoredCounter, StoredCounterState, StoredLane};
use crate::index::LaneId;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Before {
    epoch: u32,
    offset: i64,
    time: i64,
    wall: i64,
    life: i64,
    limits: Vec<(String, u8)>,
    apps: Vec<String>,
    calendars: Vec<(Reset, Day)>,
    lanes: Vec<LaneBefore>,
    ceiling: u64,
    until: i64,
    counters: Vec<CounterBefore>,
    groups: Vec<PriorEpochBefore>,
    adaptive: Adaptive,
    last_settled: i64,
    /// The vendor's own counts: a counter's place in `counters`, and the figure.
    vendor: Vec<(u32, u64)>,
}

#[derive(Serialize, Deserialize)]
struct LaneBefore {
    app: u32,
    mask: u32,
    seq: u64,
    reserved: u32,
    leases: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
struct CounterBefore {
    limit: u32,
    app: Option<u32>,
    state: CounterStateBefore,
}

#[derive(Serialize, Deserialize)]
enum CounterStateBefore {
    /// The span, and settlements as ages at `time` with their counts.
    Window(i64, Vec<(i64, u32)>),
    /// Theoretical arrival time, microseconds.
    Bucket(i64),
    /// The calendar, used today, used the day before.
    Daily(u32, u64, u64),
    Slots,
}

#[derive(Serialize, Deserialize)]
struct PriorLaneBefore {
    old: LaneId,
    lane: LaneId,
    ids: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
struct PriorEpochBefore {
    epoch: u32,
    fly: u32,
    run_until: i64,
    fly_until: i64,
    ran: bool,
    lanes: Vec<PriorLaneBefore>,
}

/// Reads a snapshot of version 1 or 2 as one of today. Version 1 had no vendor counts: it is version 2 without the last list.
pub(crate) fn read(version: u8, body: &[u8], plan: &Plan) -> Option<Snapshot> {
    let mut body = body.to_vec();
    if version == 1 {
        body.push(0);
    }
    let stored: Before = codec::read(&body)?;
    // The two oldest moments that a limiter can tell: nothing was ever sent.
    let last = (stored.last_settled > i64::MIN / 8).then_some(stored.last_settled);
    let limits: Vec<Limit> =
        (0..).zip(&stored.limits).map(|(at, (name, kind))| limit(&stored, plan, at, name, *kind)).collect();
    let reserved = stored.lanes.iter().map(|lane| lane.reserved).fold(0, u32::saturating_add);
    let counters = (0..).zip(&stored.counters).filter_map(|(at, counter)| {
        let vendor = stored.vendor.iter().find(|(place, _)| *place == at).map(|(_, n)| *n);
        Some(StoredCounter {
            limit: counter.limit,
            app: counter.app,
            state: state(&counter.state, stored.time)?,
            vendor,
            owes: 0,
        })
    });
    Some(Snapshot {
        epoch: stored.epoch,
        offset: stored.offset,
        time: stored.time,
        wall: stored.wall,
        life: stored.life,
        mode: plan.mode,
        counters: counters.collect(),
        limits,
        calendars: stored.calendars,
        apps: stored.apps,
        lanes: (0..).map(LaneId).zip(stored.lanes).map(|(at, lane)| lane_of(at, lane)).collect(),
        ceiling: stored.ceiling,
        until: stored.until,
        reserved,
        before: Vec::new(),
        groups: stored.groups.into_iter().map(|group| group_of(group, stored.time)).collect(),
        adaptive: stored.adaptive,
        history: Vec::new(),
        known_from: last,
        bytes_known_from: last,
        loans: Vec::new(),
    })
}

const fn kind_of(kind: &Kind) -> u8 {
    match kind {
        Kind::TokenBucket { .. } => 0,
        Kind::RollingWindow { .. } => 1,
        Kind::RollingDay { .. } => 2,
        Kind::Daily { .. } => 3,
        Kind::Concurrency { .. } => 4,
    }
}

/// Returns what a limit was, as far as the snapshot and the plan tell. One that the plan no longer
/// has counts for nothing.
fn limit(stored: &Before, plan: &Plan, at: u32, name: &str, kind: u8) -> Limit {
    let Some(known) = plan.limits.iter().find(|limit| limit.name == name && kind_of(&limit.kind) == kind) else {
        let none = Kind::Concurrency { calls: u64::MAX, after_ms: 0 };
        return Limit { name: name.to_owned(), kind: none, of: 0, per_app: false, pool: None, routes: 0 };
    };
    let counters = || stored.counters.iter().filter(move |counter| counter.limit == at);
    let mut limit = known.clone();
    if counters().next().is_some() {
        limit.per_app = counters().any(|counter| counter.app.is_some());
    }
    for counter in counters() {
        match (&mut limit.kind, &counter.state) {
            (Kind::RollingWindow { window_ms, guard_ms, .. }, CounterStateBefore::Window(span, _)) => {
                let before = u64::try_from(span.saturating_sub(1)).unwrap_or(0);
                if window_ms.saturating_add(*guard_ms) != before {
                    (*window_ms, *guard_ms) = (before, 0);
                }
            }
            (Kind::Daily { reset, .. }, CounterStateBefore::Daily(calendar, ..)) => {
                if let Some((before, _)) = stored.calendars.get(*calendar as usize) {
                    reset.clone_from(before);
                }
            }
            _ => {}
        }
    }
    limit
}

fn state(before: &CounterStateBefore, time: i64) -> Option<StoredCounterState> {
    Some(match before {
        CounterStateBefore::Window(span, ages) => {
            let mut last = time;
            let step = |(age, n): &(i64, u32)| {
                let until = time.saturating_sub(*age).saturating_add(*span);
                (until.saturating_sub(std::mem::replace(&mut last, until)), *n)
            };
            StoredCounterState::Window(ages.iter().map(step).collect())
        }
        CounterStateBefore::Bucket(tat) => {
            let owed =
                u128::from(u64::try_from(tat.saturating_sub(time.saturating_mul(1_000))).unwrap_or(0)) * 1_000_000;
            let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
            StoredCounterState::Bucket(half(owed >> 64), half(owed))
        }
        CounterStateBefore::Daily(_, used, before) => StoredCounterState::Daily(*used, *before),
        CounterStateBefore::Slots => return None,
    })
}

fn lane_of(lane: LaneId, before: LaneBefore) -> StoredLane {
    let LaneBefore { app, mask, seq, reserved, mut leases } = before;
    leases.sort_unstable();
    StoredLane { lane, app, mask, seq, reserved, leases }
}

fn group_of(before: PriorEpochBefore, time: i64) -> PriorEpoch {
    let PriorEpochBefore { epoch, fly, run_until, fly_until, ran, lanes } = before;
    let lane = |PriorLaneBefore { old, lane, ids }| PriorLane { old, lane, leases: ids, reserved_ids: Vec::new() };
    PriorEpoch {
        epoch,
        in_flight: fly,
        reserved: 0,
        reserved_until: run_until,
        in_flight_until: fly_until,
        ran,
        over: false,
        since: time,
        lanes: lanes.into_iter().map(lane).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of versions 1 and 2 held when a bucket is full again, microseconds; rows of today hold what it owes, in two halves.
    #[test]
    fn a_bucket_of_an_earlier_row_owes_what_was_missing_then() {
        let owed = |tat: i64, time: i64| match state(&CounterStateBefore::Bucket(tat), time) {
            Some(StoredCounterState::Bucket(high, low)) => (high, low),
            _ => (u64::MAX, u64::MAX),
        };
        assert_eq!(owed(7_000, 7), (0, 0), "full at that moment");
        assert_eq!(owed(6_000, 7), (0, 0), "full a millisecond ago");
        assert_eq!(owed(7_250, 7), (0, 250_000_000));
        let long = u128::from(u64::MAX / 2) * 1_000_000;
        assert_eq!(owed(i64::MAX, 0), ((long >> 64) as u64, long as u64));
    }
}
