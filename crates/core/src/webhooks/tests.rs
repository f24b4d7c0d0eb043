use super::book::{Entry, FOR_ALERTS, MOST_AT_ONCE, MOST_DEAD, MOST_TO_ONE, MOST_WAITING, Stage};
use super::*;
use crate::jobs::sealed::{Path, Sealer};
use crate::jobs::{Attempt, Bytes, State, digest};
use proptest::prelude::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn a_signature_is_that_of_the_specifications_own_libraries() {
    let signed = sign(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
    assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
}

#[test]
fn the_specifications_example_is_signed_as_another_implementation_signs_it() {
    let body = r#"{"type":"contact.created","timestamp":"2022-11-03T20:26:10.344522Z","data":{"id":"1f81eb52-5198-4599-803e-771906343485"}}"#;
    let signed = |secret| sign(secret, "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", 1_674_087_231, body);
    assert_eq!(signed(SECRET).as_deref(), Some("v1,ARw42xaAApl/nxRo+iPGYwSaMQaOwMo2eyH5JBRA+bQ="));
    let other = signed("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    assert_eq!(other.as_deref(), Some("v1,Inw/unYkpAh6Njpdz4O+hnN82xYMXQ6NjnZIQN/mzIQ="));
    assert_eq!(signed("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), None);
}

#[test]
fn an_id_has_no_dot_and_reads_back() {
    let text = id_text(7);
    assert_eq!((text.as_str(), text.len()), ("msg_00000000000000000000000000000007", 36));
    assert_eq!(parse_id(&text), Some(7));
    assert_eq!(parse_id(&text[4..]), None, "a job's");
}

#[test]
fn only_2xx_is_a_success_and_410_is_the_end() {
    for status in [200, 202, 204, 299] {
        assert_eq!(next(status, 10, None, 0), Next::Delivered);
    }
    assert_eq!(next(410, 1, Some(1), 0), Next::Dead("gone"));
    for status in [0, 199, 301, 302, 304, 307, 400, 404, 429, 500, 502, 504] {
        assert!(matches!(next(status, 1, None, 0), Next::After(_)), "{status}");
        assert_eq!(next(status, 10, Some(1), 0), Next::Dead("attempts-spent"), "{status}");
    }
}

#[test]
fn attempts_go_over_three_days_and_the_receiver_may_ask_for_longer_rests() {
    let rests: Vec<u64> = (1..10)
        .map(|attempts| match next(500, attempts, None, u64::MAX / 2) {
            Next::After(ms) => (ms + 500) / 1_000,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(rests, [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]);
    assert_eq!(next(503, 1, Some(60_000), 0), Next::After(60_000));
    assert_eq!(next(503, 2, Some(1_000), u64::MAX), Next::After(330_000), "no sooner than it would be");
}

fn record() -> Record {
    Record {
        app: "sync".to_owned(),
        connection: "crm".to_owned(),
        method: "POST".to_owned(),
        path: Path::Clear(String::new()),
        urgency: 5,
        created: 1,
        since: 1,
        updated: 2,
        due: 3,
        state: State::Done,
        run: 1,
        tries: 1,
        token_refused: false,
        attempts: vec![Attempt { at: 1, status: 200, error: None }],
        error: None,
        key: 0,
        fingerprint: digest(&[]),
        callback: true,
        bytes: 1,
        answered: true,
    }
}

fn answer(bytes: usize) -> Answer {
    let headers = vec![("X-Seen".to_owned(), "1".to_owned())];
    Answer { status: 200, headers, body: Bytes(vec![b'x'; bytes]), truncated: false }
}

fn said(record: &Record, answer: Option<&Answer>) -> serde_json::Value {
    said_of("/x", record, answer)
}

fn said_of(path: &str, record: &Record, answer: Option<&Answer>) -> serde_json::Value {
    let (kind, body) = outcome("acme", "1f", record, path, answer, 1_781_524_800_000);
    assert!(body.len() <= MOST_PAYLOAD, "{}", body.len());
    let said: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(said["type"], kind);
    said
}

#[test]
fn an_outcome_is_the_jobs_document_with_as_much_of_the_answer_as_has_room() {
    let whole = said(&record(), Some(&answer(19_000)));
    assert_eq!(
        (whole["type"].as_str(), whole["timestamp"].as_str()),
        (Some("job.done"), Some("2026-06-15T12:00:00.000Z"))
    );
    assert_eq!(whole["data"]["response"]["body"].as_str().unwrap().len(), 19_000);
    assert_eq!((whole["data"]["tenant"].as_str(), whole["data"]["id"].as_str()), (Some("acme"), Some("1f")));
    for bytes in [19_950, 1_000_000] {
        let short = said(&record(), Some(&answer(bytes)));
        assert_eq!(short["data"]["response"]["status"], 200);
        assert_eq!(short["data"]["response"].get("body"), None);
    }
    let long = Answer { headers: vec![("x".to_owned(), "y".repeat(20_000))], ..answer(1) };
    assert_eq!(said(&record(), Some(&long))["data"].get("response"), None);
    let dead = Record { state: State::Dead, error: Some("refused".to_owned()), ..record() };
    let least = said_of(&"/".repeat(30_000), &dead, None);
    assert_eq!((least["type"].as_str(), least["data"]["error"].as_str()), (Some("job.dead"), Some("refused")));
    assert_eq!(least["data"].get("path"), None);
}

#[test]
fn the_stored_form_of_a_message_stays_as_it_is() {
    let message = Message {
        kind: "job.done".to_owned(),
        job: Some("1f".to_owned()),
        app: "a".to_owned(),
        connection: "c".to_owned(),
        to: "sealed:x".to_owned(),
        receiver: 5,
        created: 1,
        updated: 2,
        due: 3,
        tries: 1,
        attempts: vec![Attempt { at: 1, status: 500, error: Some("500".to_owned()) }],
        error: None,
    };
    let row = jobs::record::to_row(&message);
    let shown: String = row.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(shown, "01086a6f622e646f6e650102316601610163087365616c65643a7805020406010102f403010335303000");
    assert_eq!(jobs::record::from_row(&row), Some(message));
}

#[test]
fn an_address_opens_for_its_own_message_alone() {
    let master = crate::keys::Master::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
    let sealed = record::seal_to(&master, [7; 12], "acme", "msg_1", "https://h.example/?t=hush").unwrap();
    assert!(!sealed.contains("hush"));
    assert_eq!(record::open_to(&master, "acme", "msg_1", &sealed).as_deref(), Some("https://h.example/?t=hush"));
    assert_eq!(record::open_to(&master, "acme", "msg_2", &sealed), None);
}

#[test]
fn a_payload_is_stored_sealed_and_one_that_an_earlier_release_has_stored_in_clear_is_read() {
    let master = crate::keys::Master::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
    let sealer = Sealer { master: &master, tenant: "acme", random: &|bytes| bytes.fill(7) };
    let row = record::seal_body(&sealer, "msg_1", "{\"hush\":1}").unwrap();
    assert!(!String::from_utf8_lossy(&row).contains("hush"));
    assert_eq!(record::open_body(&sealer, "msg_1", &row).as_deref(), Some("{\"hush\":1}"));
    assert_eq!(record::open_body(&sealer, "msg_2", &row), None);
    assert_eq!(record::open_body(&sealer, "msg_2", b"{}").as_deref(), Some("{}"));
}

/// Returns a message of app 7.
fn of(id: u128, receiver: u32, stage: Stage, at: i64) -> Entry {
    Entry { id, app: 7, connection: 1, receiver, stage, at }
}

/// Sends all messages that may go now; returns each with its receiver.
fn send_all(book: &mut Outbox) -> Vec<(u128, u32)> {
    let mut sent = Vec::new();
    while let Some(id) = book.next() {
        book.move_on(id, Stage::Sending, 9);
        sent.push((id, book.get(id).unwrap().receiver));
    }
    sent
}

#[test]
fn so_many_are_sent_at_once_and_the_rest_wait() {
    let mut book = Outbox::default();
    (0..100).for_each(|id| book.put(of(id, (id % 4) as u32, Stage::Ready, 0)));
    let sent: Vec<u128> = send_all(&mut book).iter().map(|(id, _)| *id).collect();
    assert_eq!(sent, (0..MOST_AT_ONCE as u128).collect::<Vec<_>>(), "the first first");
    book.remove(3);
    assert_eq!(book.next(), Some(MOST_AT_ONCE as u128 + 3), "the receiver that has fewest to do");
    assert_eq!(book.counts(), (99, 0));
}

#[test]
fn a_receiver_that_does_not_answer_holds_up_no_other() {
    let mut book = Outbox::default();
    (0..1_000).for_each(|id| book.put(of(id, 1, Stage::Ready, 0)));
    assert_eq!(send_all(&mut book).len(), MOST_TO_ONE, "half of the places");
    (1_000..1_050).for_each(|id| book.put(of(id, 2, Stage::Ready, 0)));
    let sent = send_all(&mut book);
    assert_eq!(sent.first(), Some(&(1_000, 2)), "before hundreds that came earlier");
    assert_eq!(sent.len(), MOST_AT_ONCE - MOST_TO_ONE);
    for (id, _) in sent {
        book.remove(id);
    }
    assert_eq!(book.next(), Some(1_010));
}

#[test]
fn a_receiver_is_known_by_scheme_host_and_port() {
    let one = receiver("https://hooks.example.com/a/b?c=d");
    assert_eq!(receiver("https://hooks.example.com/other"), one);
    assert_eq!(receiver("https://hooks.example.com"), one);
    for other in ["https://hooks.example.org/a", "http://hooks.example.com/a", "https://hooks.example.com:8443/a"] {
        assert_ne!(receiver(other), one, "{other}");
    }
}

#[test]
fn of_too_many_dead_letters_the_oldest_go() {
    let mut book = Outbox::default();
    (0..MOST_DEAD as u128).for_each(|id| book.put(of(id, 1, Stage::Dead, 1)));
    assert_eq!(book.too_many_dead(), [0_u128; 0]);
    book.put(of(MOST_DEAD as u128, 1, Stage::Dead, 1));
    assert_eq!(book.too_many_dead(), (0..101).collect::<Vec<u128>>());
}

proptest! {
    #[test]
    fn a_rest_is_within_a_tenth_of_the_schedule(attempts in 1_u32..10, random: u64) {
        let Next::After(ms) = next(0, attempts, None, random) else { panic!() };
        let rest = SCHEDULE_MS[attempts as usize];
        prop_assert!((rest - rest / 10..=rest + rest / 10).contains(&ms));
    }

    #[test]
    fn what_is_signed_tells_id_time_and_body_apart(a in "[a-z0-9]{1,5}", b in "[a-z0-9.]{0,5}", at in 0_i64..100, other in 0_i64..100) {
        let (one, two) = (sign(SECRET, &a, at, &b), sign(SECRET, &a, other, &b));
        prop_assert!(one.is_some());
        prop_assert_eq!(one == two, at == other);
    }

    /// Compares the outbox with a plain list of what was put in.
    #[test]
    fn the_book_agrees_with_a_list(moves in proptest::collection::vec((0_u128..8, 0_u8..5, 0_i64..20), 0..60)) {
        let mut book = Outbox::default();
        let mut list: Vec<(u128, Stage, i64)> = Vec::new();
        for (id, stage, at) in moves {
            list.retain(|(known, ..)| *known != id);
            let stage = match stage {
                0 => Stage::Ready,
                1 => Stage::Later,
                2 => Stage::Sending,
                3 => Stage::Dead,
                _ => {
                    book.remove(id);
                    continue;
                }
            };
            book.put(of(id, 1, stage, at));
            list.push((id, stage, at));
        }
        let dead = list.iter().filter(|(_, stage, _)| *stage == Stage::Dead).count();
        prop_assert_eq!(book.counts(), (list.len() - dead, dead));
        let timed = list.iter().filter(|(_, stage, _)| *stage != Stage::Ready);
        prop_assert_eq!(book.next_due(), timed.map(|(_, _, at)| *at).min());
        // The message that was put in first goes first.
        let sending = list.iter().filter(|(_, stage, _)| *stage == Stage::Sending).count();
        prop_assert!(sending < MOST_TO_ONE);
        prop_assert_eq!(book.next(), list.iter().find(|(_, stage, _)| *stage == Stage::Ready).map(|(id, ..)| *id));
        for (id, stage, at) in list {
            prop_assert_eq!(book.get(id).map(|entry| (entry.stage, entry.at)), Some((stage, at)));
        }
    }
}

/// Adds messages of an app while there is room; returns how many.
fn fill(book: &mut Outbox, app: u64, from: u128) -> usize {
    let mut taken = 0;
    while book.has_room(app) {
        book.put(Entry { app, ..of(from + taken, 1, Stage::Ready, 0) });
        taken += 1;
    }
    taken as usize
}

#[test]
fn an_app_holds_half_of_the_places_that_others_leave_and_alerts_have_some_of_their_own() {
    let mut book = Outbox::default();
    let places = MOST_WAITING - FOR_ALERTS;
    assert_eq!(fill(&mut book, 1, 0), places / 2);
    assert_eq!(fill(&mut book, 2, 1 << 20), places / 4);
    assert_eq!(fill(&mut book, 0, 2 << 20), MOST_WAITING - places / 2 - places / 4);
    assert!(!book.has_room(1) && !book.has_room(3), "alerts have taken all");
    (0..100).for_each(|id| book.remove(id));
    assert!(book.has_room(0) && !book.has_room(1), "it holds more than is free");
    assert_eq!(fill(&mut book, 3, 3 << 20), 50);
    let counts = book.counts();
    (0..places as u128 / 2).for_each(|id| book.move_on(id, Stage::Dead, 9));
    assert_eq!(book.counts(), (counts.0 + 100 - places / 2, places / 2 - 100));
    assert!(book.has_room(1));
}

#[test]
fn when_there_are_too_many_dead_letters_the_app_that_has_most_loses_its_oldest() {
    let mut book = Outbox::default();
    (0..9).for_each(|id| book.put(Entry { app: 1, ..of(id, 1, Stage::Dead, 1) }));
    (9..=MOST_DEAD as u128).for_each(|id| book.put(Entry { app: 2, ..of(id, 1, Stage::Dead, 1) }));
    assert_eq!(book.too_many_dead(), (9..110).collect::<Vec<u128>>());
    assert_eq!(book.dead(Some(1), None).count(), 9);
}
