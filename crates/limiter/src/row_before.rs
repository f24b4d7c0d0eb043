//! Rows of versions 1 and 2, as earlier builds wrote them. They name the limits only by name and kind, so the plan's limit of that name
//! says the rest; and they know nothing of the past but when the last call had ended.

use super::adaptive::Adaptive;
use super::past::{Group, PastLane};
use super::row::{Row, RowGauge, RowLane, RowMeter};
use super::rule::{Kind, Limit};
use super::state::Plan;
use crate::calendar::{Day, Reset};
use crate::codec;
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
    meters: Vec<MeterBefore>,
    groups: Vec<GroupBefore>,
    adaptive: Adaptive,
    last_settled: i64,
    /// The vendor's own counts: a meter's place in `meters`, and the figure.
    vendor: Vec<(u32, u64)>,
}

#[derive(Serialize, Deserialize)]
struct LaneBefore {
    app: u32,
    mask: u32,
    seq: u64,
    spare: u32,
    leases: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
struct MeterBefore {
    limit: u32,
    app: Option<u32>,
    gauge: GaugeBefore,
}

#[derive(Serialize, Deserialize)]
enum GaugeBefore {
    /// The span, and settlements as ages at `time` with their counts.
    Window(i64, Vec<(i64, u32)>),
    /// Theoretical arrival time, microseconds.
    Bucket(i64),
    /// The calendar, used today, used the day before.
    Daily(u32, u64, u64),
    Slots,
}

#[derive(Serialize, Deserialize)]
struct PastLaneBefore {
    old: u32,
    lane: u32,
    ids: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
struct GroupBefore {
    epoch: u32,
    fly: u32,
    run_until: i64,
    fly_until: i64,
    ran: bool,
    lanes: Vec<PastLaneBefore>,
}

/// A row of version 1 or 2, as one of today. Version 1 had no vendor counts: it is a row of version 2 with the last list left out.
pub(super) fn read(version: u8, body: &[u8], plan: &Plan) -> Option<Row> {
    let mut body = body.to_vec();
    if version == 1 {
        body.push(0);
    }
    let row: Before = codec::read(&body)?;
    // The two oldest moments that a limiter can tell: nothing was ever sent.
    let last = (row.last_settled > i64::MIN / 8).then_some(row.last_settled);
    let limits: Vec<Limit> =
        (0..).zip(&row.limits).map(|(at, (name, kind))| limit(&row, plan, at, name, *kind)).collect();
    let spare = row.lanes.iter().map(|lane| lane.spare).fold(0, u32::saturating_add);
    let meters = (0..).zip(&row.meters).filter_map(|(at, meter)| {
        let vendor = row.vendor.iter().find(|(place, _)| *place == at).map(|(_, n)| *n);
        Some(RowMeter { limit: meter.limit, app: meter.app, gauge: gauge(&meter.gauge, row.time)?, vendor, owes: 0 })
    });
    Some(Row {
        epoch: row.epoch,
        offset: row.offset,
        time: row.time,
        wall: row.wall,
        life: row.life,
        mode: plan.mode,
        meters: meters.collect(),
        limits,
        calendars: row.calendars,
        apps: row.apps,
        lanes: (0..).zip(row.lanes).map(|(at, lane)| lane_of(at, lane)).collect(),
        ceiling: row.ceiling,
        until: row.until,
        spare,
        before: Vec::new(),
        groups: row.groups.into_iter().map(|group| group_of(group, row.time)).collect(),
        adaptive: row.adaptive,
        history: Vec::new(),
        known_from: last,
        bytes_known_from: last,
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

/// What a limit was, as far as the row and the plan tell. One that the plan no longer has counts for nothing.
fn limit(row: &Before, plan: &Plan, at: u32, name: &str, kind: u8) -> Limit {
    let Some(known) = plan.limits.iter().find(|limit| limit.name == name && kind_of(&limit.kind) == kind) else {
        let none = Kind::Concurrency { calls: u64::MAX, after_ms: 0 };
        return Limit { name: name.to_owned(), kind: none, of: 0, per_app: false, pool: None, routes: 0 };
    };
    let meters = || row.meters.iter().filter(move |meter| meter.limit == at);
    let mut limit = known.clone();
    if meters().next().is_some() {
        limit.per_app = meters().any(|meter| meter.app.is_some());
    }
    for meter in meters() {
        match (&mut limit.kind, &meter.gauge) {
            (Kind::RollingWindow { window_ms, guard_ms, .. }, GaugeBefore::Window(span, _)) => {
                let before = u64::try_from(span.saturating_sub(1)).unwrap_or(0);
                if window_ms.saturating_add(*guard_ms) != before {
                    (*window_ms, *guard_ms) = (before, 0);
                }
            }
            (Kind::Daily { reset, .. }, GaugeBefore::Daily(calendar, ..)) => {
                if let Some((before, _)) = row.calendars.get(*calendar as usize) {
                    reset.clone_from(before);
                }
            }
            _ => {}
        }
    }
    limit
}

fn gauge(before: &GaugeBefore, time: i64) -> Option<RowGauge> {
    Some(match before {
        GaugeBefore::Window(span, ages) => {
            let mut last = time;
            let step = |(age, n): &(i64, u32)| {
                let until = time.saturating_sub(*age).saturating_add(*span);
                (until.saturating_sub(std::mem::replace(&mut last, until)), *n)
            };
            RowGauge::Window(ages.iter().map(step).collect())
        }
        GaugeBefore::Bucket(tat) => {
            let owed =
                u128::from(u64::try_from(tat.saturating_sub(time.saturating_mul(1_000))).unwrap_or(0)) * 1_000_000;
            let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
            RowGauge::Bucket(half(owed >> 64), half(owed))
        }
        GaugeBefore::Daily(_, used, before) => RowGauge::Daily(*used, *before),
        GaugeBefore::Slots => return None,
    })
}

fn lane_of(lane: u32, before: LaneBefore) -> RowLane {
    let LaneBefore { app, mask, seq, spare, mut leases } = before;
    leases.sort_unstable();
    RowLane { lane, app, mask, seq, spare, leases }
}

fn group_of(before: GroupBefore, time: i64) -> Group {
    let GroupBefore { epoch, fly, run_until, fly_until, ran, lanes } = before;
    let lane = |PastLaneBefore { old, lane, ids }| PastLane { old, lane, leases: ids, spares: Vec::new() };
    Group {
        epoch,
        fly,
        spare: 0,
        run_until,
        fly_until,
        ran,
        over: false,
        since: time,
        lanes: lanes.into_iter().map(lane).collect(),
    }
}
