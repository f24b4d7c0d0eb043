//! Fuzzes stored rows. Nobody outside writes them, but a row that is torn or of another version
//! must not end the object that loads it.

use sluice_core::codec;
use sluice_core::jobs::record::{Answer, Record, from_row, to_row};
use sluice_core::protocol::{Ask, Reply, to_wire};
use sluice_core::usage::{Flight, Usage};
use sluice_core::webhooks::Message;
use sluice_limiter::calendar::{Reset, Zone};
use sluice_limiter::pool::{LoanRequest, Pool};
use sluice_limiter::{
    AdaptiveRule, AppRule, Call, Kind, Limit, Limiter, Mode, Now, Outcome, PermitId, Plan, QueueRule, SKEW_MS,
    Settlement, Unit,
};

/// 2026-06-15 12:00 UTC.
const NOON: i64 = 1_781_524_800_000;

const fn at(wall: i64) -> Now<'static> {
    Now { wall, zones: &sluice_testkit::no_zones }
}

fn utc() -> Reset {
    Reset { minute: 0, zones: vec![Zone::Fixed(0)] }
}

/// Returns a plan with a limit of every kind.
fn plan() -> Plan {
    let kinds = [
        Kind::TokenBucket { rate_micro: 10_000_000, burst: 5 },
        Kind::RollingWindow { calls: 20, window_ms: 10_000, guard_ms: 0 },
        Kind::RollingDay { calls: 1_000 },
        Kind::Daily { amount: 500, reset: utc(), unit: Unit::Calls },
        Kind::Concurrency { calls: 4, after_ms: 0 },
    ];
    let limit = |(at, kind): (usize, Kind)| Limit {
        name: format!("l{at}"),
        kind,
        of: 0,
        per_app: at == 1,
        pool: None,
        routes: 0,
    };
    Plan {
        limits: kinds.into_iter().enumerate().map(limit).collect(),
        queue: QueueRule { size: 20, max_wait_ms: 5_000 },
        adaptive: AdaptiveRule::USUAL,
        mode: Mode::Enforce,
        apps: vec![AppRule { name: "a".to_owned(), weight: 1, daily_calls: None }],
        ceiling_ms: 9_000,
        day: utc(),
    }
}

/// Checks that a row is refused, or reads the same after it has been written. The first byte of the
/// input chooses the kind of row.
pub fn row(data: &[u8]) {
    let Some((whose, row)) = data.split_first() else { return };
    match whose % 8 {
        0 | 1 => limiter(row),
        2 => pool(row),
        3 => drop(
            Usage::unpack(row)
                .map(|mut usage| Usage::unpack(&usage.pack(&Flight::default())).expect("what was packed unpacks")),
        ),
        4 => drop(Record::from_row(row).map(|read| assert_eq!(Record::from_row(&read.to_row()), Some(read)))),
        5 => drop(from_row::<Answer>(row).map(|read| assert_eq!(from_row::<Answer>(&to_row(&read)), Some(read)))),
        6 => drop(from_row::<Message>(row).map(|read| assert_eq!(from_row::<Message>(&to_row(&read)), Some(read)))),
        _ => drop((
            codec::read::<Ask>(row).map(|ask| to_wire(&ask)),
            codec::read::<Reply>(row).map(|reply| to_wire(&reply)),
        )),
    }
}

/// Checks that a limiter that loads serves a few calls, and that its next snapshot loads too.
fn limiter(row: &[u8]) {
    let Ok(mut limiter) = Limiter::load(plan(), row, at(NOON), SKEW_MS) else { return };
    for n in 0..4_u32 {
        let now = at(NOON + i64::from(n) * 700);
        let call = Call {
            app: "a",
            mask: u32::MAX,
            id: u128::from(n),
            again: false,
            waited_ms: 0,
            wait_ms: Some(3_000),
            urgency: 3,
        };
        let _ = limiter.admit(now, call);
        let permit = PermitId { epoch: limiter.epoch(), lane: 0, seq: u64::from(n), slot: 0 };
        limiter.settle(
            now,
            Settlement { permit, attempt: 1, outcome: Outcome::Answered, since_headers_ms: 0, response_bytes: 10 },
        );
        let _ = (limiter.next_wakeup(), limiter.next_ready());
        limiter.wake(now);
        if let Some(row) = limiter.snapshot_due() {
            assert!(Limiter::load(plan(), &row, now, SKEW_MS).is_ok(), "its own row does not load");
        }
    }
}

fn pool(row: &[u8]) {
    let Ok(mut pool) = Pool::load(row) else { return };
    for turn in 1..4 {
        let ask = LoanRequest {
            who: "a".to_owned(),
            epoch: 1,
            turn,
            want: 3,
            unused: 1,
            owes: 0,
            amount: 300,
            reset: utc(),
            vendor: 0,
            life_ms: 9_000,
        };
        pool.borrow(at(NOON + i64::try_from(turn).unwrap_or(0)), &ask);
        assert!(Pool::load(&pool.row()).is_ok(), "its own row does not load");
    }
}
