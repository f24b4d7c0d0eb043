use super::*;
use crate::document::Tree;
use crate::policy::Credential;
use crate::upstream::Profile;
use crate::upstream::grant::{Exchange, Failure, Issued, Signing};
use serde_json::json;

fn route(profile: Profile, credential: Option<Credential>) -> Route {
    Route {
        version: RouteVersion(u64::MAX),
        profile,
        base_url: "https://a.example".to_owned(),
        credential,
        timeout_ms: 60_000,
        attempts: 3,
        max_wait_ms: 10_000,
        max_pause_ms: 3_600_000,
        unhurried: true,
        rate_limit_policy: String::new(),
    }
}

#[test]
fn a_route_crosses_the_wire_with_a_built_in_profile_or_one_of_the_tenants_own() {
    let own =
        Profile::inline(&Tree::from(&json!({"title": "own", "answers": [{"status": 429, "means": "rate"}]}))).unwrap();
    for profile in [Profile::built_in("marketo").unwrap(), own] {
        for credential in [Some(Credential::Passthrough), Some(Credential::Bearer { token: "t".to_owned() }), None] {
            let sent = route(profile.clone(), credential);
            let Some(Reply::Route(came)) = from_wire(&to_wire(&Reply::Route(Box::new(sent.clone())))) else {
                panic!("it did not parse")
            };
            assert_eq!((came.profile, came.credential), (sent.profile, sent.credential));
        }
    }
}

#[test]
fn a_fetch_and_what_came_of_it_cross_the_wire() {
    let exchange = Exchange {
        url: "https://a.example/token".to_owned(),
        basic: None,
        form: "grant_type=x".to_owned(),
        sign: Some(Signing { key: "k".to_owned(), input: "i".to_owned() }),
        timeout_ms: 10_000,
    };
    let fetch = Fetch { exchange: exchange.clone(), whose: u64::MAX, began: 1 };
    let Some(Reply::Fetch(came)) = from_wire(&to_wire(&Reply::Fetch(Box::new(fetch)))) else {
        panic!("it did not parse")
    };
    assert_eq!((came.exchange, came.whose), (exchange, u64::MAX));
    let issued = Issued { token: "t".to_owned(), refresh_token: None, life_s: Some(60) };
    let refused = Failure::Refused { status: 401, code: Some("invalid_client".to_owned()) };
    for result in [Ok(issued), Err(refused), Err(Failure::Unwell { status: 503, retry_after_ms: None })] {
        let sent = TokenReport { connection: "c".to_owned(), whose: 1, began: -1, result: result.clone() };
        let Some(Ask::TokenReport(came)) = from_wire(&to_wire(&Ask::TokenReport(sent))) else {
            panic!("it did not parse")
        };
        assert_eq!(came.result, result);
    }
}

#[test]
fn words_of_another_release_do_not_parse() {
    assert!(from_wire::<Ask>(b"{\"Admit\":{}}").is_none());
    assert!(from_wire::<Ask>(&[]).is_none());
    let message = to_wire(&Ask::Readable);
    assert!(matches!(from_wire(&message), Some(Ask::Readable)));
    assert!(from_wire::<Ask>(&message[1..]).is_none(), "a message without a version is another release's");
    assert!(codec::read::<Ask>(&message).is_none(), "a release without versions takes none for its own");
}
