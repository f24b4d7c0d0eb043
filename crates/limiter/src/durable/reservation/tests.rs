//! What a reservation names: how many permits, on how many lanes, and when it is closed.

use super::*;
use crate::apps::AppRule;
use crate::calendar::{Reset, Zone};
use crate::config::Kind;
use crate::config::Plan;
use crate::index::{CounterId, LaneId};
use crate::limiter::Now;
use crate::{AdaptiveRule, Admission, Call, Grant, Limit, Mode, Outcome, PermitId, QueueRule, Settlement};

/// 2026-06-15 12:00 UTC.
const NOON: i64 = 1_781_524_800_000;

fn limiter(limits: Vec<Limit>, apps: u32) -> Limiter {
    let plan = Plan {
        limits,
        queue: QueueRule { size: 100, max_wait_ms: 10_000 },
        adaptive: AdaptiveRule::USUAL,
        mode: Mode::Enforce,
        apps: (0..apps).map(|app| AppRule { name: format!("app {app}"), weight: 1, daily_calls: None }).collect(),
        ceiling_ms: 60_000,
        day: Reset { minute: 0, zones: vec![Zone::Fixed(0)] },
    };
    Limiter::new(plan, at(NOON))
}

const fn at(wall: i64) -> Now<'static> {
    Now { wall, zones: &sluice_testkit::no_zones }
}

fn limit(name: &str, kind: Kind) -> Limit {
    Limit { name: name.to_owned(), kind, of: 0, per_app: false, pool: None, routes: 0 }
}

fn window(calls: u64, window_ms: u64) -> Limit {
    limit("window", Kind::RollingWindow { calls, window_ms, guard_ms: 0 })
}

fn grant(limiter: &mut Limiter, wall: i64, app: u32, id: u128) -> PermitId {
    let app = format!("app {app}");
    let call = Call { app: &app, mask: u32::MAX, id, again: false, waited_ms: 0, wait_ms: Some(0), urgency: 3 };
    match limiter.admit(at(wall), call) {
        Admission::Granted(Grant { permit, .. }) => permit,
        other => panic!("no limit is near: {other:?}"),
    }
}

fn settle(limiter: &mut Limiter, wall: i64, permit: PermitId) {
    let report = Settlement { permit, attempt: 1, outcome: Outcome::Answered, since_headers_ms: 0, response_bytes: 0 };
    limiter.settle(at(wall), report);
}

#[test]
fn a_block_names_twice_as_many_as_one_that_ran_out_and_else_what_was_used_and_a_quarter_halved_each_second() {
    let mut limiter = limiter(vec![], 1);
    limiter.reservation.until = 10_000;
    for (live, ran_out, counted, time, forecast) in [
        // It ran out in time, or there was none and one was wanted.
        (true, true, (8, 0, 7), 9_000, 14),
        (true, true, (1, 0, 0), 9_000, 2),
        (true, false, (1, 0, 0), 9_000, 2),
        (true, false, (0, 0, 0), 9_000, 0),
        // It goes on as it is.
        (true, false, (3, 5, 8), 9_000, 8),
        (true, false, (3, 9, 8), 9_000, 9),
        // It is over: the grant that wants the next is not among those that it spared.
        (false, false, (41, 2, 50), 10_000, 50),
        (false, false, (41, 2, 50), 10_999, 50),
        (false, false, (41, 2, 50), 11_000, 25),
        (false, false, (41, 2, 50), 13_500, 6),
        (false, false, (1, 2, 50), 10_000, 0),
        (false, false, (41, 2, 50), i64::MAX / 4, 0),
    ] {
        assert_eq!(limiter.forecast(live, ran_out, counted, time), forecast, "{live} {ran_out} {counted:?} {time}");
    }
    limiter.reservation.last_close = 11_000;
    assert_eq!(limiter.forecast(false, false, (41, 2, 50), 11_000), 50, "a row that closed it counts from itself");
}

#[test]
fn a_lane_gets_one_where_others_call_too_if_it_has_called_within_a_minute_or_waits() {
    let mut limiter = limiter(vec![], 2);
    for app in 0..2 {
        let permit = grant(&mut limiter, NOON, app, u128::from(app));
        settle(&mut limiter, NOON, permit);
    }
    let time = limiter.epoch.time();
    for lane in 0..2 {
        let lane = limiter.leases.lanes_mut().get_mut(LaneId(lane)).unwrap();
        (lane.used, lane.reserved, lane.last_reserved) = (0, 0, 0);
    }
    limiter.reservation.used = 4;
    assert_eq!(limiter.next_reserved(LaneId(0), false, 9, time + 60_000), 1);
    assert_eq!(limiter.next_reserved(LaneId(0), false, 9, time + 60_001), 0, "it has not called for long");
    assert_eq!(limiter.next_reserved(LaneId(0), false, 0, time), 0, "the block has none");
    limiter.leases.lanes_mut().get_mut(LaneId(0)).unwrap().waiting = 1;
    assert_eq!(limiter.next_reserved(LaneId(0), false, 9, time + 60_001), 1, "it waits");
    limiter.leases.lanes_mut().get_mut(LaneId(0)).unwrap().used = 1;
    limiter.reservation.used = 1;
    assert_eq!(limiter.next_reserved(LaneId(0), false, 9, time), 0, "nobody else has called");
    assert_eq!(limiter.next_reserved(LaneId(0), true, 9, time), 2, "its own ran out");
    assert_eq!(limiter.next_reserved(LaneId(9), true, 9, time), 0, "there is no such lane");
}

#[test]
fn a_row_names_spare_permits_for_no_more_than_two_thousand_and_48_lanes() {
    let apps = u32::try_from(MOST_NAMED).unwrap() + 40;
    let mut limiter = limiter(vec![], apps);
    for app in 0..apps {
        grant(&mut limiter, NOON, app, u128::from(app));
    }
    limiter.snapshot_due().unwrap();
    for app in 0..apps {
        grant(&mut limiter, NOON + 1, app, u128::from(apps + app));
    }
    limiter.snapshot_due().unwrap();
    let named = limiter.leases.lanes().iter().filter(|(_, lane)| lane.reserved > 0).count();
    assert_eq!(named, MOST_NAMED);
    let most = limiter.leases.lanes().iter().map(|(_, lane)| u64::from(lane.reserved)).max();
    assert!(most <= Some(limiter.reservation.left()) && limiter.reservation.left() <= MOST_RESERVED);
}

#[test]
fn a_block_holds_no_more_of_a_window_than_it_has_free_and_of_a_day_a_quarter() {
    let day = Kind::RollingDay { calls: 80 };
    let mut limiter = limiter(vec![window(10, 20_000), limit("day", day), window(9, 900)], 1);
    let time = limiter.epoch.time();
    let most = |limiter: &Limiter| {
        let counters = limiter.leases.counters(LaneId(0)).to_vec();
        counters.iter().map(|counter| limiter.most_reserved(*counter, limiter.epoch.time())).collect::<Vec<_>>()
    };
    let permits: Vec<_> = (0..4).map(|id| grant(&mut limiter, NOON, 0, id)).collect();
    // The app's own count of the day first, which has no limit; a window that is over within a second bounds nothing.
    assert_eq!(most(&limiter)[1..], [6, 19, u64::MAX]);
    settle(&mut limiter, NOON, permits[0]);
    assert_eq!(most(&limiter)[1..], [6, 19, u64::MAX]);
    // What is free before the reservation ends is free for it.
    limiter.tick(at(NOON + 19_001));
    assert_eq!(most(&limiter)[1..], [7, 19, u64::MAX]);
    assert_eq!((limiter.most_reserved(CounterId(99), time), time), (0, time));
}

#[test]
fn a_block_has_no_more_in_flight_than_the_slots_that_count_every_call() {
    let slots = |calls, after_ms| limit("slots", Kind::Concurrency { calls, after_ms });
    let by_app = Limit { per_app: true, ..slots(2, 0) };
    let mut limiter = limiter(vec![slots(7, 0), slots(5, 900), by_app, slots(9, 0), slots(3, 0)], 1);
    assert_eq!(limiter.slots_of_all(), 3);
    let call = Call { app: "app 0", mask: 0b1111, id: 1, again: false, waited_ms: 0, wait_ms: Some(0), urgency: 3 };
    limiter.admit(at(NOON), call);
    assert_eq!(limiter.slots_of_all(), 7, "the last counts not every call");
}

#[test]
fn a_row_that_does_not_tell_all_is_closed_a_quiet_second_after_the_last_grant_or_row() {
    let mut limiter = limiter(vec![], 1);
    let permit = grant(&mut limiter, NOON, 0, 1);
    assert_eq!(limiter.quiet_at(), None, "a row is due anyhow");
    limiter.snapshot_due().unwrap();
    assert!(limiter.is_stored() && limiter.quiet_at().is_none());
    // A grant that the row had named.
    limiter.reservation.left = 1;
    limiter.reservation.ceiling = 9;
    limiter.leases.lanes_mut().get_mut(LaneId(0)).unwrap().reserved = 1;
    let other = grant(&mut limiter, NOON + 300, 0, 2);
    let time = limiter.epoch.time();
    assert!(limiter.snapshot_due().is_none() && !limiter.is_stored());
    limiter.reservation.size = 0;
    assert_eq!(limiter.quiet_at(), Some(time + QUIET_MS), "also while calls are in flight and none is spare");
    limiter.reservation.size = 3;
    assert_eq!(limiter.quiet_at(), Some(time + QUIET_MS));
    limiter.wake(at(NOON + 1_300));
    limiter.snapshot_due().unwrap();
    // All is stored; yet reserved permits that nobody will use are taken back once nothing is in
    // flight.
    limiter.reservation.size = 3;
    assert_eq!(limiter.quiet_at(), None);
    settle(&mut limiter, NOON + 1_400, permit);
    settle(&mut limiter, NOON + 1_400, other);
    limiter.reservation.exact = true;
    let written = limiter.reservation.last_write;
    assert_eq!(limiter.quiet_at(), Some(written + QUIET_MS));
    limiter.reservation.size = 0;
    assert_eq!(limiter.quiet_at(), None);
}

#[test]
fn a_grant_needs_no_row_until_the_blocks_end_while_fewer_than_its_ceiling_are_in_flight_and_permits_are_spare() {
    for (until, ceiling, left, reserved, due) in [
        (0, 2, 1, 1, false),
        (-1, 2, 1, 1, true),
        (0, 1, 1, 1, true),
        (0, 2, 0, 1, true),
        (0, 2, 1, 0, true),
        (9, 9, 9, 9, false),
    ] {
        let mut limiter = limiter(vec![], 1);
        grant(&mut limiter, NOON, 0, 1);
        limiter.snapshot_due().unwrap();
        let time = limiter.epoch.time();
        (limiter.reservation.until, limiter.reservation.ceiling, limiter.reservation.left) =
            (time + until, ceiling, left);
        limiter.leases.lanes_mut().get_mut(LaneId(0)).unwrap().reserved = reserved;
        limiter.spend(LaneId(0), time);
        assert_eq!(limiter.reservation.due, due, "{until} {ceiling} {left} {reserved}");
        let less = u32::from(!due);
        assert_eq!(limiter.leases.lanes().get(LaneId(0)).unwrap().reserved, reserved - less);
        assert_eq!(limiter.reservation.left(), left - u64::from(less));
    }
}

#[test]
fn a_block_that_is_ended_ends_before_now_and_one_that_is_over_stays_over() {
    for (now, until) in [(50, 49), (51, 50), (60, 50), (20, 19)] {
        let mut block = Reservation { until: 50, ..Reservation::new() };
        block.end(now);
        assert_eq!(block.until(), until, "at {now}");
    }
}

#[test]
fn a_block_ends_before_the_next_day_opens() {
    let mut limiter = limiter(vec![], 1);
    // A day opens a second before midnight: so much may clocks differ.
    let wall = NOON + 12 * 3_600_000 - 1_500;
    grant(&mut limiter, wall, 0, 1);
    limiter.snapshot_due().unwrap();
    assert_eq!(limiter.reservation.until() - limiter.epoch.time(), 499);
}
