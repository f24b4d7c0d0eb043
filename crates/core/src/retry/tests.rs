use super::*;
use crate::upstream::outcome::{Answered, Unanswered, classify, unanswered};
use proptest::prelude::*;
use serde_json::json;
use sluice_limiter::PermitId;

fn profile(value: serde_json::Value) -> Profile {
    Profile::inline(&crate::document::Tree::from(&value)).unwrap()
}

fn plain() -> Profile {
    profile(json!({"title": "plain"}))
}

fn honouring() -> Profile {
    profile(json!({"title": "honouring", "idempotency_key": true}))
}

fn judged(profile: &Profile, status: u16, retry_after: Option<&str>) -> Classification {
    let headers: Vec<_> = retry_after.map(|after| ("Retry-After".to_owned(), after.to_owned())).into_iter().collect();
    classify(profile, &Answered { status, headers: &headers, said: None, now: 0 })
}

fn lost() -> Classification {
    unanswered(Unanswered::Timeout)
}

fn tried<'a>(profile: &'a Profile, method: &'a str) -> RetryContext<'a> {
    RetryContext {
        profile,
        method,
        path: "/x",
        idempotency_key: false,
        unattended: false,
        made: 1,
        most: 3,
        left_ms: Some(10_000),
        max_pause_ms: 3_600_000,
        random: 0,
    }
}

fn is_again(next: Next) -> bool {
    matches!(next, Next::After(_))
}

const METHODS: [&str; 7] = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"];

#[test]
fn a_call_that_the_vendor_did_not_execute_is_sent_again_whatever_its_method() {
    let plain = plain();
    for method in METHODS {
        assert!(is_again(next(&tried(&plain, method), &judged(&plain, 429, None))), "{method}");
    }
}

#[test]
fn a_call_of_unknown_outcome_is_sent_again_only_if_its_method_is_safe() {
    let plain = plain();
    for verdict in [lost(), judged(&plain, 504, None), judged(&plain, 500, None), judged(&plain, 503, Some("0"))] {
        for method in METHODS {
            let safe = matches!(method, "GET" | "HEAD" | "OPTIONS");
            let expected = if safe { Next::After(0) } else { Next::Stop(StopReason::OutcomeUnknown) };
            assert_eq!(next(&tried(&plain, method), &verdict), expected, "{method} {verdict:?}");
        }
    }
}

#[test]
fn a_job_of_unknown_outcome_is_run_again_if_its_method_is_idempotent() {
    let plain = plain();
    for method in METHODS {
        let job = RetryContext { unattended: true, left_ms: None, ..tried(&plain, method) };
        assert_eq!(is_again(next(&job, &lost())), !matches!(method, "POST" | "PATCH"), "{method}");
    }
    let counting = profile(json!({"title": "counts hits", "safe_methods": false}));
    for method in METHODS {
        let job = RetryContext { unattended: true, left_ms: None, ..tried(&counting, method) };
        assert_eq!(next(&job, &lost()), Next::Stop(StopReason::OutcomeUnknown), "{method}");
    }
}

#[test]
fn an_idempotency_key_helps_where_the_vendor_honours_it() {
    let (plain, honouring) = (plain(), honouring());
    let keyed = |profile| RetryContext { idempotency_key: true, ..tried(profile, "POST") };
    assert!(is_again(next(&keyed(&honouring), &lost())));
    assert_eq!(next(&keyed(&plain), &lost()), Next::Stop(StopReason::OutcomeUnknown));
    assert_eq!(next(&tried(&honouring, "POST"), &lost()), Next::Stop(StopReason::OutcomeUnknown));
}

#[test]
fn what_went_well_or_would_not_go_better_is_final() {
    let plain = plain();
    for status in [200, 204, 304, 400, 401, 404, 501] {
        let stop = Next::Stop(StopReason::Final);
        assert_eq!(next(&tried(&plain, "GET"), &judged(&plain, status, None)), stop, "{status}");
    }
}

#[test]
fn a_spent_day_is_final_for_a_caller_and_waited_for_by_a_job() {
    let daily = profile(json!({"title": "daily", "answers": [{"status": 429, "means": "day"}]}));
    let spent = judged(&daily, 429, None);
    assert_eq!(next(&tried(&daily, "POST"), &spent), Next::Stop(StopReason::Final));
    assert!(is_again(next(&RetryContext { unattended: true, left_ms: None, ..tried(&daily, "POST") }, &spent)));
}

#[test]
fn attempts_count_the_first() {
    let plain = plain();
    let throttled = judged(&plain, 429, None);
    for (made, most, again) in [(1, 1, false), (1, 2, true), (2, 2, false), (2, 3, true), (3, 3, false), (4, 3, false)]
    {
        let call = RetryContext { made, most, ..tried(&plain, "GET") };
        assert_eq!(is_again(next(&call, &throttled)), again, "{made} of {most}");
    }
}

#[test]
fn the_backoff_is_anywhere_up_to_1_2_4_seconds_and_no_further_than_256() {
    let plain = plain();
    let throttled = judged(&plain, 429, None);
    for (made, longest) in [(1, 1_000), (2, 2_000), (3, 4_000), (4, 8_000), (9, 256_000), (60, 256_000)] {
        let at = |random| {
            next(&RetryContext { made, most: u32::MAX, left_ms: None, random, ..tried(&plain, "GET") }, &throttled)
        };
        assert_eq!(at(0), Next::After(0));
        assert_eq!(at(u64::MAX), Next::After(longest), "after {made}");
        let Next::After(middle) = at(u64::MAX / 2) else { panic!("it stopped") };
        assert!(middle.abs_diff(longest / 2) <= 1, "{middle}");
    }
}

#[test]
fn the_vendors_own_time_comes_first_and_its_pause_is_over_by_then() {
    let plain = plain();
    for (said, earliest) in [("0", 0), ("1", 1_100), ("5", 5_500), ("60", 61_000)] {
        let at = |random| {
            let call = RetryContext { left_ms: None, random, ..tried(&plain, "GET") };
            next(&call, &judged(&plain, 429, Some(said)))
        };
        assert_eq!((at(0), at(u64::MAX)), (Next::After(earliest), Next::After(earliest + 1_000)), "{said}");
    }
}

#[test]
fn a_job_waits_for_no_longer_than_the_vendor_may_stop_its_connection() {
    let plain = plain();
    for (said, earliest) in [("59", 60_000), ("60", 60_000), ("86400", 60_000)] {
        let job = RetryContext { unattended: true, left_ms: None, max_pause_ms: 60_000, ..tried(&plain, "GET") };
        assert_eq!(next(&job, &judged(&plain, 429, Some(said))), Next::After(earliest), "{said}");
    }
}

#[test]
fn a_retry_that_would_come_after_the_callers_time_is_not_waited_for() {
    let plain = plain();
    let throttled = judged(&plain, 429, Some("5"));
    let left = |left_ms| next(&RetryContext { left_ms: Some(left_ms), ..tried(&plain, "GET") }, &throttled);
    assert_eq!(left(5_499), Next::Stop(StopReason::Late));
    assert_eq!(left(5_500), Next::After(5_500));
}

proptest! {
    #[test]
    fn it_never_comes_before_the_vendors_time_nor_after_the_callers(
        made in 0_u32..20, most in 0_u32..20, seconds in prop::option::of(0_u64..200_000), left in prop::option::of(0_u64..100_000),
        random: u64, method in 0_usize..7, unattended: bool,
    ) {
        let plain = plain();
        let verdict = judged(&plain, 429, seconds.map(|s| s.to_string()).as_deref());
        let call = RetryContext { made, most, left_ms: left, random, unattended, ..tried(&plain, METHODS[method]) };
        match next(&call, &verdict) {
            Next::After(wait) => {
                prop_assert!(made < most);
                prop_assert!(wait >= verdict.retry_after_ms.unwrap_or(0).min(call.max_pause_ms));
                prop_assert!(left.is_none_or(|left| wait <= left));
            }
            Next::Stop(why) => prop_assert!(matches!(why, StopReason::Spent | StopReason::Late)),
        }
    }

    #[test]
    fn calls_throttled_together_come_back_evenly(seq in 0_u64..u64::MAX / 2, lane: u32, epoch: u32, whose in "[a-z]{1,8}", n in 50_u64..400) {
        let permit = |seq| PermitId { epoch, lane, seq, slot: 0 };
        let mut waits: Vec<_> = (seq..seq + n).map(|seq| spread(place_of(permit(seq), &whose), 1_000)).collect();
        waits.sort_unstable();
        let fullest = waits.iter().map(|first| waits.iter().filter(|wait| (*first..first + 100).contains(*wait)).count()).max();
        // A tenth of the time holds a tenth of them, and a few for the ends.
        prop_assert!(fullest.unwrap() as u64 <= n / 10 + 4, "{:?} of {}", fullest, n);
    }

    #[test]
    fn a_place_keeps_its_order_and_its_range(a: u64, b: u64, most: u64) {
        prop_assert!(spread(a, most) <= most);
        prop_assert!((a <= b) <= (spread(a, most) <= spread(b, most)));
    }
}
