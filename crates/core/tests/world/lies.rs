//! Tests of the oracle: it notices every limit that is secretly made wider, and reports nothing
//! where none is.

use super::generate::scenario;
use super::scenario::{SECOND, Scenario};
use super::shrink::faults;
use super::spec::{Kind, Lim, Reset, Spec};

/// Makes a run in which little goes wrong and no policy is edited.
fn calm(seed: u64) -> Scenario {
    let mut s = scenario(seed);
    for tenant in &mut s.tenants {
        tenant.edits.clear();
        tenant.traffic.iter_mut().for_each(|traffic| traffic.jobs = 0);
        for conn in tenant.first.conns.values_mut() {
            conn.observe = false;
        }
    }
    let f = &mut s.faults;
    (f.late, f.lost_replies, f.lost_words, f.slow, f.streams, f.repeated) = (0, 0, 0, 0, 0, 0);
    (f.throttles, f.day_throttles, f.hung, f.storage, f.leave, f.wild_clock) = (0, 0, 0, 0, 0, false);
    (f.kill_every, f.reset_every, f.supersede_every, f.step_every) = (0.0, 0.0, 0.0, 0.0);
    s
}

fn limits(spec: &mut Spec, of: impl Fn(&Lim) -> bool, change: impl Fn(&mut Lim)) {
    let limits = spec.conns.values_mut().flat_map(|conn| &mut conn.limits);
    limits.filter(|limit| of(limit)).for_each(change);
}

fn is_caught(kind: &str, lie: fn(&mut Spec)) {
    let caught = (0..200).find(|seed| {
        let s = Scenario { lie: Some(lie), ..calm(*seed) };
        faults(&s).0.iter().any(|fault| fault.kind == kind)
    });
    let seed = caught.unwrap_or_else(|| panic!("no seed shows a fault of the kind {kind}"));
    println!("{kind}: seen in seed {seed}");
}

#[test]
fn a_wider_window_is_seen() {
    is_caught("window", |spec| {
        limits(
            spec,
            |_| true,
            |limit| {
                if let Kind::Window { calls, .. } = &mut limit.kind {
                    *calls += 1 + *calls / 20;
                }
            },
        );
    });
}

#[test]
fn a_shorter_window_is_seen() {
    is_caught("window", |spec| {
        limits(
            spec,
            |_| true,
            |limit| {
                if let Kind::Window { window_ms, .. } = &mut limit.kind {
                    *window_ms = *window_ms * 9 / 10;
                }
            },
        );
    });
}

#[test]
fn a_guard_left_out_is_seen() {
    is_caught("window", |spec| {
        limits(
            spec,
            |_| true,
            |limit| {
                if let Kind::Window { guard_ms, .. } = &mut limit.kind {
                    *guard_ms = 0;
                }
            },
        );
    });
}

#[test]
fn a_faster_bucket_is_seen() {
    is_caught("bucket", |spec| {
        limits(
            spec,
            |_| true,
            |limit| {
                if let Kind::Bucket { rate_micro, .. } = &mut limit.kind {
                    *rate_micro += *rate_micro / 5;
                }
            },
        );
    });
}

#[test]
fn a_deeper_bucket_is_seen() {
    is_caught("bucket", |spec| {
        limits(
            spec,
            |_| true,
            |limit| {
                if let Kind::Bucket { burst, .. } = &mut limit.kind {
                    *burst += 1;
                }
            },
        );
    });
}

#[test]
fn a_slot_more_is_seen() {
    is_caught("slots", |spec| {
        limits(
            spec,
            |_| true,
            |limit| {
                if let Kind::Slots { calls, after_ms: 0 } = &mut limit.kind {
                    *calls += 1;
                }
            },
        );
    });
}

#[test]
fn slots_that_count_later_are_seen() {
    is_caught("old slots", |spec| {
        limits(
            spec,
            |_| true,
            |limit| {
                if let Kind::Slots { after_ms, .. } = &mut limit.kind {
                    *after_ms *= 3;
                }
            },
        );
    });
}

#[test]
fn a_larger_day_is_seen() {
    is_caught("day", |spec| {
        limits(
            spec,
            |limit| limit.pool.is_none(),
            |limit| {
                if let Kind::Daily { amount, bytes: false, .. } = &mut limit.kind {
                    *amount += 1 + *amount / 50;
                }
            },
        );
    });
}

#[test]
fn a_day_that_ends_elsewhere_is_seen() {
    is_caught("day", |spec| {
        limits(
            spec,
            |limit| limit.pool.is_none(),
            |limit| {
                if let Kind::Daily { reset, bytes: false, .. } = &mut limit.kind {
                    reset.zones = vec!["+09:45".to_owned()];
                }
            },
        );
    });
}

#[test]
fn one_of_two_zones_left_out_is_seen() {
    // In summer Chicago's day opens an hour before that of -06:00: at 05:00 UTC.
    let zones = ["America/Chicago", "-06:00"].map(str::to_owned).into();
    let kind = Kind::Daily { amount: 60, reset: Reset { minute: 0, zones }, bytes: false };
    let caught = (0..20).any(|seed| {
        let mut s = calm(seed);
        s.start = 1_781_499_600 * SECOND - 30 * SECOND;
        for conn in s.tenants.iter_mut().flat_map(|tenant| tenant.first.conns.values_mut()) {
            conn.limits.truncate(1);
            conn.limits.iter_mut().for_each(|limit| (limit.kind, limit.pool) = (kind.clone(), None));
        }
        assert_eq!(faults(&s).0.len(), 0, "seed {seed}");
        s.lie = Some(|spec| {
            limits(
                spec,
                |_| true,
                |limit| {
                    if let Kind::Daily { reset, .. } = &mut limit.kind {
                        reset.zones.truncate(1);
                    }
                },
            );
        });
        faults(&s).0.iter().any(|fault| fault.kind == "day")
    });
    assert!(caught);
}

#[test]
fn more_bytes_are_seen() {
    is_caught("bytes", |spec| {
        limits(
            spec,
            |_| true,
            |limit| {
                if let Kind::Daily { amount, bytes: true, .. } = &mut limit.kind {
                    *amount += *amount / 2;
                }
            },
        );
    });
}

#[test]
fn a_larger_rolling_day_is_seen() {
    is_caught("rolling day", |spec| {
        limits(
            spec,
            |_| true,
            |limit| {
                if let Kind::RollingDay { calls } = &mut limit.kind {
                    *calls += *calls / 20 + 1;
                }
            },
        );
    });
}

#[test]
fn a_larger_budget_is_seen() {
    is_caught("budget", |spec| {
        spec.apps.values_mut().for_each(|app| app.daily_calls = app.daily_calls.map(|calls| calls + 1 + calls / 20));
    });
}

#[test]
fn a_larger_pool_is_seen() {
    is_caught("pool", |spec| {
        limits(
            spec,
            |limit| limit.pool.is_some(),
            |limit| {
                if let Kind::Daily { amount, .. } = &mut limit.kind {
                    *amount += *amount / 10 + 3;
                }
            },
        );
    });
}

#[test]
fn one_limit_for_each_app_instead_of_one_for_all_is_seen() {
    is_caught("window", |spec| limits(spec, |limit| limit.pool.is_none(), |limit| limit.per_app = true));
}

#[test]
fn routes_that_leave_calls_out_are_seen() {
    is_caught("window", |spec| {
        let only = super::spec::Route { not: false, method: None, path: "/b" };
        limits(spec, |limit| limit.routes.is_empty(), |limit| limit.routes = vec![only.clone()]);
    });
}

#[test]
fn a_share_left_out_is_seen() {
    is_caught("window", |spec| spec.conns.values_mut().for_each(|conn| conn.share_ppm = 1_000_000));
}

#[test]
fn other_weights_are_seen() {
    is_caught("fair", |spec| spec.apps.values_mut().for_each(|app| app.weight = 1_001 - app.weight * 100));
}

#[test]
fn a_longer_queue_is_seen() {
    is_caught("queue", |spec| spec.conns.values_mut().for_each(|conn| conn.queue += 1));
}

#[test]
fn a_longer_wait_is_seen() {
    is_caught("deadline", |spec| spec.conns.values_mut().for_each(|conn| conn.max_wait_ms += 3_000));
}

#[test]
fn calls_held_in_observe_mode_are_seen() {
    let caught = (0..200).any(|seed| {
        let mut s = calm(seed);
        s.tenants.iter_mut().flat_map(|tenant| tenant.first.conns.values_mut()).for_each(|conn| conn.observe = true);
        s.lie = Some(|spec| spec.conns.values_mut().for_each(|conn| conn.observe = false));
        faults(&s).0.iter().any(|fault| fault.kind == "observe")
    });
    assert!(caught);
}

#[test]
fn nothing_is_seen_where_little_goes_wrong_and_nobody_lies() {
    for seed in 0..30 {
        let found = faults(&calm(seed)).0;
        assert!(found.is_empty(), "seed {seed}: {found:?}");
    }
}
