use super::waiting::MOST_WAITING;
use super::*;
use crate::keys::{Claims, Role};
use crate::policy::{Context, Credential, Policy};
use crate::protocol::{Admit, BodyLength};
use crate::tenant::replies::Ticket;

/// 2026-06-15 12:00 UTC.
const NOON: i64 = 1_781_524_800_000;
const HOUR: i64 = 3_600_000;

fn connection(base_url: &str, secret: &str) -> Connection {
    let policy = serde_json::json!({"connections": {"c": {"vendor": "generic", "base_url": base_url, "credential": {
        "type": "client_credentials", "client_id": "i", "client_secret": secret, "token_url": "https://t.example.com/token"}}}});
    let context = Context { zones: &sluice_testkit::no_zones, allow_loopback: false, previous: None };
    let (policy, _) = Policy::parse(&policy.to_string(), &context).unwrap();
    policy.connections["c"].clone()
}

#[test]
fn what_a_stored_refresh_token_is_known_by_stays_as_it_is() {
    let credential = Credential::RefreshToken {
        client_id: "i".into(),
        client_secret: "s".into(),
        refresh_token: "r".into(),
        token_url: "https://t.example.com/token".into(),
    };
    let access = TokenCache::of(&Connection { credential, ..connection("https://a.example.com", "s") }).unwrap();
    assert_eq!((access.whose, access.place), (13_745_486_045_573_957_066, 13_074_129_262_061_249_434));
}

fn access() -> TokenCache {
    TokenCache::of(&connection("https://a.example.com", "s")).unwrap()
}

fn token(text: &str) -> Issued {
    Issued { token: text.to_owned(), refresh_token: None, life_s: None }
}

impl TokenCache {
    fn gets(&mut self, now: i64, life_ms: i64, text: &str) -> bool {
        self.issued(now, self.whose, self.began, life_ms, token(text))
    }

    fn fails(&mut self, now: i64, failure: Failure) {
        self.failed(now, self.whose, self.began, failure);
    }

    fn holds(&self, now: i64) -> Option<&str> {
        self.current(now).map(|held| held.token.as_str())
    }
}

/// One that holds `t1`, fetched at noon for an hour.
fn holding() -> TokenCache {
    let mut access = access();
    assert_eq!(access.ask(NOON, None), TokenDecision::Fetch);
    assert!(access.gets(NOON, HOUR, "t1"));
    access
}

fn invalid_client() -> Failure {
    Failure::Refused { status: 401, code: Some("invalid_client".into()) }
}

#[test]
fn the_first_fetches_and_all_others_wait_for_it() {
    let mut access = access();
    assert_eq!(access.ask(NOON, None), TokenDecision::Fetch);
    for _ in 0..100 {
        assert_eq!(access.ask(NOON + 5, None), TokenDecision::Wait);
    }
    assert!(access.gets(NOON + 200, HOUR, "t1"));
    assert_eq!(access.ask(NOON + 201, None), TokenDecision::Nothing);
    assert_eq!(access.holds(NOON + 201), Some("t1"));
}

#[test]
fn a_token_is_renewed_a_minute_before_its_end_by_one_call_while_the_others_go_on() {
    let mut access = holding();
    assert_eq!(access.ask(NOON + HOUR - 60_001, None), TokenDecision::Nothing);
    assert_eq!(access.ask(NOON + HOUR - 60_000, None), TokenDecision::Fetch);
    assert_eq!(access.ask(NOON + HOUR - 60_000, None), TokenDecision::Nothing);
    assert_eq!(access.holds(NOON + HOUR - 1), Some("t1"));
    assert_eq!(access.ask(NOON + HOUR - 46_000, None), TokenDecision::Nothing, "the fetcher may still report");
}

#[test]
fn a_short_lived_token_is_renewed_when_a_tenth_of_its_life_is_left() {
    let mut access = access();
    access.ask(NOON, None);
    access.gets(NOON, 10_000, "t1");
    assert_eq!(access.ask(NOON + 8_999, None), TokenDecision::Nothing);
    assert_eq!(access.ask(NOON + 9_000, None), TokenDecision::Fetch);
}

#[test]
fn a_life_counts_from_the_asking_not_from_the_answer() {
    let mut access = access();
    access.ask(NOON, None);
    access.gets(NOON + 8_000, 20_000, "t1");
    assert_eq!(access.holds(NOON + 19_999), Some("t1"));
    assert_eq!(access.holds(NOON + 20_000), None);
}

#[test]
fn a_vendor_that_gives_the_same_token_again_is_not_asked_before_it_ends() {
    let mut access = holding();
    let late = NOON + HOUR - 30_000;
    assert_eq!(access.ask(late, None), TokenDecision::Fetch);
    assert!(access.gets(late, 30_000, "t1"));
    assert_eq!(access.ask(late + 29_999, None), TokenDecision::Nothing);
    assert_eq!(access.ask(late + 30_000, None), TokenDecision::Fetch);
}

#[test]
fn a_token_without_life_is_not_fetched_more_than_once_a_second() {
    let mut access = access();
    access.ask(NOON, None);
    access.gets(NOON, 0, "t1");
    assert_eq!(access.ask(NOON + 899, None), TokenDecision::Nothing);
    assert_eq!(access.ask(NOON + 1_000, None), TokenDecision::Fetch);
}

#[test]
fn a_dead_fetcher_is_replaced_by_the_next_and_two_are_enough() {
    let mut access = access();
    assert_eq!(access.ask(NOON, None), TokenDecision::Fetch);
    assert_eq!(access.ask(NOON + REPORT_MS - 1, None), TokenDecision::Wait);
    assert_eq!(access.ask(NOON + REPORT_MS, None), TokenDecision::Fetch);
    assert_eq!(access.ask(NOON + 2 * REPORT_MS, None), TokenDecision::Fail(Failure::Lost, 1));
    assert_eq!(access.ask(NOON + 2 * REPORT_MS + 1_000, None), TokenDecision::Fetch);
}

#[test]
fn a_fetcher_taken_for_dead_still_brings_its_token() {
    let mut access = access();
    access.ask(NOON, None);
    let first = access.began;
    assert_eq!(access.ask(NOON + REPORT_MS, None), TokenDecision::Fetch);
    assert!(access.issued(NOON + REPORT_MS + 1, access.whose, first, HOUR, token("t1")));
    assert_eq!(access.ask(NOON + REPORT_MS + 2, None), TokenDecision::Nothing);
    access.fails(NOON + REPORT_MS + 3, invalid_client());
    assert_eq!(
        access.ask(NOON + REPORT_MS + 4, None),
        TokenDecision::Nothing,
        "the second failed because of the first"
    );
}

/// An exchange took 10 s, in which nobody asked the object: it forgot that one was running, ignored
/// the report of its failure, and had the endpoint asked again at once.
#[test]
fn a_failure_counts_also_when_the_object_has_forgotten_the_exchange() {
    let mut access = access();
    assert_eq!(access.ask(NOON, None), TokenDecision::Fetch);
    let (whose, began) = (access.whose, access.began());
    let mut next_life = self::access();
    next_life.failed(NOON + 10_000, whose, began, Failure::Silent);
    assert_eq!(next_life.ask(NOON + 10_000, None), TokenDecision::Fail(Failure::Silent, 1));
    next_life.failed(NOON + 10_100, whose, began, Failure::Silent);
    assert_eq!(next_life.ask(NOON + 11_000, None), TokenDecision::Fetch, "a repeated report puts nothing off");
}

#[test]
fn of_two_reports_the_exchange_that_began_later_counts_in_either_order() {
    let mut access = access();
    access.ask(NOON, None);
    let first = access.began;
    access.ask(NOON + REPORT_MS, None);
    assert!(access.gets(NOON + REPORT_MS + 10, HOUR, "t2"));
    assert!(!access.issued(NOON + REPORT_MS + 20, access.whose, first, HOUR, token("t1")));
    assert_eq!(access.holds(NOON + REPORT_MS + 20), Some("t2"));
    assert!(!access.gets(NOON + REPORT_MS + 30, HOUR, "t2"), "a report that is repeated changes nothing");
}

#[test]
fn many_calls_refused_with_one_token_cause_one_renewal() {
    let mut access = holding();
    let old = Some(mark("t1"));
    assert_eq!(access.ask(NOON + 100, old), TokenDecision::Fetch);
    for _ in 0..50 {
        assert_eq!(access.ask(NOON + 101, old), TokenDecision::Wait);
    }
    assert!(access.gets(NOON + 200, HOUR, "t2"));
    for _ in 0..50 {
        assert_eq!(access.ask(NOON + 300, old), TokenDecision::Nothing, "its token is older than the one held");
    }
    assert_eq!(access.holds(NOON + 300), Some("t2"));
}

#[test]
fn a_vendor_that_refuses_every_token_is_asked_for_another_less_and_less() {
    let mut access = holding();
    assert_eq!(access.ask(NOON, Some(mark("t1"))), TokenDecision::Fetch);
    access.gets(NOON, HOUR, "t2");
    assert_eq!(access.ask(NOON + 4_999, Some(mark("t2"))), TokenDecision::Stands);
    assert_eq!(access.ask(NOON + 4_999, None), TokenDecision::Nothing, "other calls go on with it");
    assert_eq!(access.ask(NOON + 5_000, Some(mark("t2"))), TokenDecision::Fetch);
    access.gets(NOON + 5_000, HOUR, "t3");
    assert_eq!(access.ask(NOON + 14_999, Some(mark("t3"))), TokenDecision::Stands);
    assert_eq!(access.ask(NOON + 15_000, Some(mark("t3"))), TokenDecision::Fetch);
}

#[test]
fn a_token_refused_after_a_good_while_is_renewed_at_once_whatever_was_before() {
    let mut access = holding();
    access.ask(NOON, Some(mark("t1")));
    access.gets(NOON, HOUR, "t2");
    assert_eq!(access.ask(NOON + YOUNG_MS, Some(mark("t2"))), TokenDecision::Fetch);
    access.gets(NOON + YOUNG_MS, HOUR, "t3");
    assert_eq!(access.ask(NOON + YOUNG_MS + 10, Some(mark("t3"))), TokenDecision::Fetch);
}

#[test]
fn a_wrong_secret_is_tried_after_5_10_20_seconds_up_to_5_minutes() {
    let mut access = access();
    let (mut now, mut pauses) = (NOON, Vec::new());
    for _ in 0..9 {
        assert_eq!(access.ask(now, None), TokenDecision::Fetch);
        access.fails(now, invalid_client());
        let TokenDecision::Fail(failure, seconds) = access.ask(now, None) else { panic!("it is tried again at once") };
        assert_eq!(failure, invalid_client());
        pauses.push(seconds);
        now += i64::try_from(seconds).unwrap() * 1_000;
        assert!(matches!(access.ask(now - 1, None), TokenDecision::Fail(_, 1)));
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
    assert_eq!(access.ask(now, None), TokenDecision::Fetch);
    access.gets(now, HOUR, "t1");
    access.ask(now + HOUR, None);
    access.fails(now + HOUR, invalid_client());
    assert!(matches!(access.ask(now + HOUR, None), TokenDecision::Fail(_, 5)), "a success ends the row");
}

fn invalid_grant() -> Failure {
    Failure::Refused { status: 400, code: Some("invalid_grant".into()) }
}

#[test]
fn a_first_refusal_is_waited_through_by_calls_that_have_the_time_and_told_to_others_as_one_that_may_pass() {
    let passing = [
        invalid_grant(),
        Failure::Refused { status: 400, code: None },
        Failure::Refused { status: 403, code: None },
        Failure::Refused { status: 401, code: Some("unauthorized_client".into()) },
    ];
    for failure in passing {
        let mut access = access();
        assert_eq!(access.ask(NOON, None), TokenDecision::Fetch);
        access.fails(NOON, failure.clone());
        assert!(access.may_pass());
        assert_eq!(access.ask_within(NOON, None, 499), TokenDecision::Fail(failure.clone(), 1), "it waits for less");
        assert_eq!(access.ask_within(NOON, None, 500), TokenDecision::Wait);
        assert!(access.wait(Waiter { ticket: Ticket(1), admit: Box::new(admit()), since: NOON, weight: 1 }));
        assert_eq!(access.next_wakeup(), Some(NOON + 500));
        assert_eq!(access.ask_within(NOON + 500, None, 0), TokenDecision::Fetch);
        access.gets(NOON + 600, HOUR, "t1");
        assert_eq!(access.ask(NOON + 600, None), TokenDecision::Nothing);
        assert!(!access.may_pass());
    }
}

#[test]
fn an_endpoint_that_asks_for_rest_of_a_second_at_most_is_waited_for_and_a_longer_one_is_told() {
    for (rest, waits) in [(None, true), (Some(900), true), (Some(1_500), false)] {
        let mut access = access();
        access.ask(NOON, None);
        access.fails(NOON, Failure::Unwell { status: 429, retry_after_ms: rest });
        assert_eq!(access.ask_within(NOON, None, 10_000) == TokenDecision::Wait, waits, "{rest:?}");
    }
    for failure in
        [invalid_client(), Failure::Redirected, Failure::Key, Failure::Unwell { status: 503, retry_after_ms: None }]
    {
        let mut access = access();
        access.ask(NOON, None);
        access.fails(NOON, failure);
        assert!(matches!(access.ask_within(NOON, None, 10_000), TokenDecision::Fail(..)));
        assert!(!access.may_pass());
    }
}

#[test]
fn a_grant_that_is_dead_is_tried_after_half_a_second_and_then_after_5_10_20_seconds() {
    let mut access = access();
    let (mut now, mut pauses) = (NOON, Vec::new());
    assert_eq!(access.ask(now, None), TokenDecision::Fetch);
    access.fails(now, invalid_grant());
    now += 500;
    for _ in 0..8 {
        assert_eq!(access.ask_within(now, None, 60_000), TokenDecision::Fetch);
        access.fails(now, invalid_grant());
        assert!(!access.may_pass(), "now it lasts");
        let TokenDecision::Fail(_, seconds) = access.ask_within(now, None, 60_000) else { panic!("it is waited for") };
        pauses.push(seconds);
        now += i64::try_from(seconds).unwrap() * 1_000;
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300]);
}

#[test]
fn no_pause_spans_the_end_of_a_token_that_still_works() {
    let mut access = holding();
    let mut now = NOON + HOUR - 60_000;
    let mut asked = 0;
    while now < NOON + HOUR {
        if access.ask(now, None) == TokenDecision::Fetch {
            asked += 1;
            access.fails(
                now,
                if asked % 2 == 0 {
                    invalid_client()
                } else {
                    Failure::Unwell { status: 429, retry_after_ms: Some(900_000) }
                },
            );
        }
        assert_eq!(access.holds(now), Some("t1"));
        now += 100;
    }
    assert!((2..8).contains(&asked), "{asked}");
    assert_eq!(access.ask(NOON + HOUR, None), TokenDecision::Fetch, "at its end it is asked for again");
}

#[test]
fn a_token_refused_when_its_life_is_over_is_fetched_again_however_often() {
    let mut access = access();
    let mut now = NOON;
    for n in 0..6 {
        assert_eq!(access.ask(now, Some(mark(&format!("t{}", n - 1)))), TokenDecision::Fetch, "{n}");
        assert!(access.gets(now, 2_000, &format!("t{n}")));
        now += 2_050;
    }
}

#[test]
fn an_endpoint_rests_five_minutes_at_most_whatever_it_asks_for() {
    for asked in [300_000, 3_600_000, 86_400_000, u64::MAX] {
        let mut access = access();
        access.ask(NOON, None);
        access.fails(NOON, Failure::Unwell { status: 429, retry_after_ms: Some(asked) });
        assert!(matches!(access.ask(NOON, None), TokenDecision::Fail(_, 300)));
    }
}

#[test]
fn an_endpoint_that_is_down_is_tried_after_a_second_and_left_alone_as_long_as_it_asks() {
    let mut down = access();
    down.ask(NOON, None);
    down.fails(NOON, Failure::Unreachable);
    assert_eq!(down.ask(NOON, None), TokenDecision::Fail(Failure::Unreachable, 1));
    let mut resting = access();
    resting.ask(NOON, None);
    resting.fails(NOON, Failure::Unwell { status: 429, retry_after_ms: Some(90_000) });
    assert!(matches!(resting.ask(NOON, None), TokenDecision::Fail(_, 90)));
}

#[test]
fn while_the_token_works_a_failed_renewal_is_nobodys_business() {
    let mut access = holding();
    let late = NOON + HOUR - 60_000;
    assert_eq!(access.ask(late, None), TokenDecision::Fetch);
    access.fails(late, Failure::Silent);
    assert_eq!(access.ask(late, None), TokenDecision::Nothing);
    assert_eq!(access.ask(late + 1_000, None), TokenDecision::Fetch);
}

#[test]
fn another_credential_drops_the_token_and_what_was_under_way() {
    let old = holding();
    let whose = old.whose;
    let mut new = old.for_another(&connection("https://a.example.com", "other")).unwrap();
    assert_eq!(new.ask(NOON, None), TokenDecision::Fetch);
    assert!(!new.issued(NOON, whose, new.began, HOUR, token("t1")), "bought with the old one");
    assert_eq!(new.ask(NOON, None), TokenDecision::Wait);
}

#[test]
fn another_place_drops_the_token_and_keeps_the_refresh_token() {
    let mut old = access();
    old.ask(NOON, None);
    let issued = Issued { refresh_token: Some("r2".into()), ..token("t1") };
    old.issued(NOON, old.whose, old.began, HOUR, issued);
    let same = old.clone().for_another(&connection("https://a.example.com", "s")).unwrap();
    assert_eq!(same.holds(NOON), Some("t1"));
    let moved = old.for_another(&connection("https://b.example.com", "s")).unwrap();
    assert_eq!((moved.holds(NOON), moved.refresh.as_deref()), (None, Some("r2")));
}

/// A call of an app that asks to wait under that ticket; whether it may.
fn waits(access: &mut TokenCache, app: &str, weight: u32, tenant: u64) -> bool {
    assert_eq!(access.ask(NOON, None), TokenDecision::Wait);
    let mut admit = admit();
    admit.claims.app = Some(app.to_owned());
    access.wait(Waiter { ticket: Ticket(tenant), admit: Box::new(admit), since: NOON, weight })
}

fn tickets(waiting: Vec<Waiter>) -> Vec<u64> {
    waiting.iter().map(|waiter| waiter.ticket.0).collect()
}

#[test]
fn no_more_wait_than_there_is_room_for() {
    let (mut access, most) = (access(), u64::from(MOST_WAITING));
    access.ask(NOON, None);
    assert!((0..most).all(|tenant| waits(&mut access, "a", 1, tenant)));
    assert!(!waits(&mut access, "a", 1, most));
    assert!(
        access.cancel(Ticket(7)).is_some_and(|waiter| waiter.ticket == Ticket(7)) && access.cancel(Ticket(7)).is_none()
    );
    assert!(waits(&mut access, "a", 1, most + 1));
    assert_eq!(tickets(access.take_waiting()), (0..7).chain(8..most).chain([most + 1]).collect::<Vec<u64>>());
    assert!(access.next_displaced().is_none() && access.take_waiting().is_empty());
}

#[test]
fn a_quiet_app_takes_its_part_of_the_places_from_the_last_calls_of_the_one_that_is_over_its_own() {
    let (mut access, most) = (access(), u64::from(MOST_WAITING));
    access.ask(NOON, None);
    assert!((0..most).all(|tenant| waits(&mut access, "noisy", 1, tenant)));
    access.cancel(Ticket(most - 1));
    assert!(waits(&mut access, "noisy", 1, most));
    let quiet: Vec<u64> = (most + 1..most + 1_000).filter(|tenant| waits(&mut access, "quiet", 4, *tenant)).collect();
    assert_eq!(quiet.len(), 800, "4 of 5 parts");
    let displaced: Vec<Waiter> = std::iter::from_fn(|| access.next_displaced()).collect();
    let mut gone = tickets(displaced);
    gone.sort_unstable();
    assert_eq!(gone, (200..most - 1).chain([most]).collect::<Vec<u64>>());
    assert!(!waits(&mut access, "noisy", 1, 5_000) && !waits(&mut access, "quiet", 4, 5_001));
    assert_eq!(tickets(access.take_waiting()), (0..200).chain(quiet).collect::<Vec<u64>>());
}

#[test]
fn callers_that_come_and_go_leave_nothing_behind() {
    let mut access = access();
    access.ask(NOON, None);
    assert!(waits(&mut access, "a", 1, 0));
    for tenant in 1..10_000 {
        assert!(waits(&mut access, "a", 1, tenant));
        access.cancel(Ticket(tenant));
    }
    assert!(access.waiting.remembered() < 100);
    assert_eq!(tickets(access.take_waiting()), [0]);
}

fn admit() -> Admit {
    let claims = Claims {
        tenant: "t".to_owned(),
        id: "i".to_owned(),
        role: Role::App,
        app: Some("a".to_owned()),
        expires: None,
    };
    Admit {
        call: "00".to_owned(),
        claims,
        connection: "c".to_owned(),
        method: "GET".to_owned(),
        path: "/".to_owned(),
        uri_bytes: 1,
        body: BodyLength::Bytes(0),
        from_browser: false,
        origin: None,
        own_origin: false,
        key_in_header: true,
        wait_ms: None,
        urgency: 3,
        repeated: false,
        known_route: None,
        known_token: None,
        rejected_token: None,
    }
}
