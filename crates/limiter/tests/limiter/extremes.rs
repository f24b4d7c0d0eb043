//! The least and the most that a policy takes, and whatever is reported: nothing overflows, and nothing panics.

use super::harness::{Harness, call, daily, limit, plan, zone};
use proptest::prelude::*;
use proptest::sample::select;
use sluice_limiter::{
    AdaptiveRule, Admission, AppRule, Call, Counted, Kind, Limit, Limiter, Mode, Outcome, Plan, QueueRule, SKEW_MS,
    Settlement, ThrottledBy, Unit,
};

const DAY_MS: u64 = 86_400_000;

fn calls() -> impl Strategy<Value = u64> {
    select(vec![1, 2, 3, 2_048, 2_049, 999_999_999, 1_000_000_000])
}

fn any_limit() -> impl Strategy<Value = Limit> {
    let spans = select(vec![1, 2, 1_000, DAY_MS, 31 * DAY_MS]);
    let rates = select(vec![1, 1_000_000, 1_000_000_000_000]);
    let kind = prop_oneof![
        (calls(), spans, select(vec![0, 60_000])).prop_map(|(calls, window_ms, guard_ms)| Kind::RollingWindow {
            calls,
            window_ms,
            guard_ms
        }),
        calls().prop_map(|calls| Kind::RollingDay { calls }),
        (rates, calls()).prop_map(|(rate_micro, burst)| Kind::TokenBucket { rate_micro, burst }),
        (calls(), select(vec![0, 1, DAY_MS])).prop_map(|(calls, after_ms)| Kind::Concurrency { calls, after_ms }),
        calls().prop_map(|calls| daily(calls, zone("Europe/Berlin")).kind),
        select(vec![1, 1_000_000_000_000_000]).prop_map(|amount| Kind::Daily {
            amount,
            reset: zone("Europe/Berlin"),
            unit: Unit::ResponseBytes
        }),
    ];
    (kind, any::<bool>()).prop_map(|(kind, per_app)| Limit { per_app, ..limit("limit", kind) })
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let limits = prop::collection::vec(any_limit(), 1..6);
    let parts = || select(vec![1_u32, 1_000_000]);
    let adaptive = (
        parts(),
        parts(),
        select(vec![1_000_001_u32, 10_000_000, u32::MAX]),
        select(vec![0, 3_600_000_u64]),
        select(vec![1_000, DAY_MS]),
    );
    let others =
        (any::<bool>(), select(vec![1_u32, 1_000]), select(vec![0_u32, 10_000]), select(vec![0, 3_600_000_u64]));
    (limits, adaptive, others).prop_map(|(limits, adaptive, (observe, weight, size, max_wait_ms))| {
        let (min_ppm, backoff_ppm, recovery_ppm, pause_ms, max_pause_ms) = adaptive;
        let named = limits.into_iter().enumerate();
        let limits = named.map(|(at, limit)| Limit { name: format!("{at}"), ..limit }).collect();
        Plan {
            queue: QueueRule { size, max_wait_ms },
            adaptive: AdaptiveRule {
                min_ppm,
                max_ppm: 1_000_000,
                backoff_ppm,
                recovery_ppm,
                successes: 1,
                pause_ms,
                max_pause_ms,
            },
            mode: if observe { Mode::Observe } else { Mode::Enforce },
            apps: vec![
                AppRule { name: "a".to_owned(), weight, daily_calls: Some(1) },
                AppRule { name: "b".to_owned(), weight: 1, daily_calls: Some(1_000_000_000) },
            ],
            ceiling_ms: 3_600_000,
            ..plan(limits)
        }
    })
}

#[derive(Debug, Clone)]
enum Step {
    Ask { app: bool, waited_ms: u64, wait_ms: Option<u64> },
    Settle { outcome: Outcome, attempt: u32, since_headers_ms: u64, response_bytes: u64 },
    Told { n: u64, left: bool },
    Pass(i64),
    Jump(i64),
    Crash,
    Edit,
}

fn any_step() -> impl Strategy<Value = Step> {
    let most = || select(vec![0, 1, 1_000, DAY_MS, 1 << 53, u64::MAX]);
    let outcome = prop_oneof![
        Just(Outcome::Answered),
        Just(Outcome::Unknown),
        Just(Outcome::Unused),
        (select(vec![ThrottledBy::Rate, ThrottledBy::Day]), prop::option::of(most()))
            .prop_map(|(by, retry_after_ms)| Outcome::Throttled { by, retry_after_ms }),
    ];
    let day = DAY_MS as i64;
    prop_oneof![
        6 => (any::<bool>(), most(), prop::option::of(most())).prop_map(|(app, waited_ms, wait_ms)| Step::Ask { app, waited_ms, wait_ms }),
        6 => (outcome, 1..3_u32, most(), most()).prop_map(|(outcome, attempt, since_headers_ms, response_bytes)| {
            Step::Settle { outcome, attempt, since_headers_ms, response_bytes }
        }),
        2 => (most(), any::<bool>()).prop_map(|(n, left)| Step::Told { n, left }),
        3 => select(vec![1, 1_000, 60_000, 3_600_000]).prop_map(Step::Pass),
        1 => select(vec![-365 * day, -day, -1, day, 365 * day]).prop_map(Step::Jump),
        1 => Just(Step::Crash),
        1 => Just(Step::Edit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
    #[test]
    fn nothing_overflows_at_the_bounds_of_policies_and_reports(
        first in any_plan(),
        second in any_plan(),
        steps in prop::collection::vec(any_step(), 1..40),
    ) {
        let mut harness = Harness::new(first.clone());
        let (mut here, mut other, mut permits) = (first, second, Vec::new());
        for step in steps {
            match step {
                Step::Ask { app, waited_ms, wait_ms } => {
                    let asked = Call { waited_ms, wait_ms, ..call(if app { "a" } else { "b" }) };
                    if let Admission::Granted(grant) = harness.admit(asked) {
                        permits.push(grant.permit);
                    }
                }
                Step::Settle { outcome, attempt, since_headers_ms, response_bytes } => {
                    let Some(&permit) = permits.first() else { continue };
                    permits.rotate_left(1);
                    let report = Settlement { permit, attempt, outcome, since_headers_ms, response_bytes };
                    harness.limiter.settle(harness.time(), report);
                    harness.rows.extend(harness.limiter.snapshot_due());
                }
                Step::Told { n, left } => {
                    let Some(&permit) = permits.first() else { continue };
                    harness.told_of(permit, n, Counted { limit: "0".to_owned(), n, left, total: Some(n) });
                }
                Step::Pass(ms) => {
                    // At most so many events of a second's pace: a queue's checks could be many.
                    let until = harness.now + ms;
                    while let Some(wake) = harness.limiter.next_wakeup().filter(|wake| *wake <= until).filter(|_| ms <= 1_000) {
                        harness.now = wake;
                        harness.limiter.wake(harness.time());
                        harness.rows.extend(harness.limiter.snapshot_due());
                    }
                    harness.now = until;
                    harness.limiter.wake(harness.time());
                    harness.rows.extend(harness.limiter.snapshot_due());
                }
                Step::Jump(ms) => harness.now += ms,
                Step::Crash => {
                    let Some(row) = harness.rows.last() else { continue };
                    harness.limiter = Limiter::load(here.clone(), row, harness.time(), SKEW_MS).unwrap();
                }
                Step::Edit => {
                    std::mem::swap(&mut here, &mut other);
                    harness.edit(here.clone());
                }
            }
            while let Some((_, outcome)) = harness.limiter.next_ready() {
                permits.extend(outcome.map(|grant| grant.permit));
            }
            harness.used();
            harness.limiter.queue();
            harness.limiter.day();
            harness.limiter.daily_used();
            harness.limiter.left_for("a", u32::MAX, |_| {});
            harness.limiter.next_wakeup();
            let now = harness.time();
            if let Some((until, _)) = Limiter::load(here.clone(), harness.rows.last().map_or(&[][..], |row| row), now, SKEW_MS).ok().and_then(|next| next.bury(now)) {
                prop_assert!(until >= now.wall);
            }
        }
    }
}
