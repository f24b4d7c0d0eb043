use super::*;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;

fn master(bytes: &[u8]) -> Master {
    let keys: Vec<String> = bytes.iter().map(|byte| STANDARD.encode([*byte; 32])).collect();
    Master::parse(&keys.join(",")).expect("a master key")
}

fn claims() -> Claims {
    Claims {
        tenant: "acme".to_owned(),
        id: "0123456789abcdef".to_owned(),
        role: Role::App,
        app: Some("crm-sync".to_owned()),
        expires: None,
    }
}

fn signed(claims: &Claims) -> String {
    claims.sign(&master(&[1])).expect("a key")
}

#[test]
fn a_key_says_what_was_signed() {
    let app = claims();
    let viewer = Claims { role: Role::Viewer, app: None, expires: Some(1_000), ..claims() };
    let operator = Claims { role: Role::Operator, app: None, ..claims() };
    for claims in [app, viewer, operator] {
        let key = signed(&claims);
        assert!(key.starts_with("slk_") && key.len() <= MAX_KEY_BYTES);
        assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        assert_eq!(open(&master(&[1]), &key, 999), Ok(claims));
    }
}

#[test]
fn the_longest_names_make_the_longest_key() {
    let long = "a".repeat(MAX_NAME_BYTES);
    let claims = Claims { tenant: long.clone(), app: Some(long), id: "f".repeat(MAX_ID_BYTES), ..claims() };
    assert_eq!(signed(&claims).len(), MAX_KEY_BYTES);
    assert_eq!(open(&master(&[1]), &signed(&claims), 0), Ok(claims));
}

#[test]
fn the_form_of_a_key_stays_as_it_is() {
    let key = signed(&Claims { expires: Some(1_800_000_000), ..claims() });
    assert_eq!(key, "slk_AQAAAAAAa0nSABAwMTIzNDU2Nzg5YWJjZGVmBGFjbWUIY3JtLXN5bmNLZuBhSbXK7KM20alq-vct");
}

#[test]
fn a_key_expires_at_its_second() {
    let key = signed(&Claims { expires: Some(1_000), ..claims() });
    assert!(open(&master(&[1]), &key, 999).is_ok());
    assert_eq!(open(&master(&[1]), &key, 1_000), Err(KeyFault::Expired));
}

#[test]
fn a_forged_key_that_would_have_expired_is_forged() {
    let key = signed(&Claims { expires: Some(1_000), ..claims() });
    assert_eq!(open(&master(&[2]), &key, 2_000), Err(KeyFault::Forged));
}

#[test]
fn every_master_is_accepted_and_the_first_signs() {
    let old = signed(&claims());
    assert!(open(&master(&[2, 1]), &old, 0).is_ok());
    let new = claims().sign(&master(&[2, 1])).expect("a key");
    assert!(open(&master(&[2]), &new, 0).is_ok());
    assert_eq!(open(&master(&[1]), &new, 0), Err(KeyFault::Forged));
}

#[test]
fn any_changed_bit_is_noticed() {
    let key = signed(&claims());
    let bytes = URL_SAFE_NO_PAD.decode(&key[PREFIX.len()..]).expect("base64");
    for bit in 0..bytes.len() * 8 {
        let mut altered = bytes.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let altered = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(altered));
        assert_eq!(open(&master(&[1]), &altered, 0), Err(KeyFault::Forged), "bit {bit}");
    }
    for length in 0..key.len() {
        assert_eq!(open(&master(&[1]), &key[..length], 0), Err(KeyFault::Forged), "cut to {length}");
    }
    assert_eq!(open(&master(&[1]), &format!("{key}A"), 0), Err(KeyFault::Forged));
    assert_eq!(open(&master(&[1]), &"slk_".repeat(10_000), 0), Err(KeyFault::Forged));
}

#[test]
fn what_no_key_may_say_is_not_signed() {
    let none = |claims: Claims| assert_eq!(claims.sign(&master(&[1])), None, "{claims:?}");
    none(Claims { tenant: "Acme".to_owned(), ..claims() });
    none(Claims { tenant: String::new(), ..claims() });
    none(Claims { tenant: "a".repeat(64), ..claims() });
    none(Claims { id: String::new(), ..claims() });
    none(Claims { id: "f".repeat(33), ..claims() });
    none(Claims { app: None, ..claims() });
    none(Claims { role: Role::Viewer, ..claims() });
    none(Claims { app: Some("-x".to_owned()), ..claims() });
    none(Claims { expires: Some(0), ..claims() });
}

#[test]
fn a_master_key_is_32_bytes_of_base64() {
    let bytes = [0xfb_u8; 32];
    for text in
        [STANDARD.encode(bytes), STANDARD_NO_PAD.encode(bytes), URL_SAFE.encode(bytes), URL_SAFE_NO_PAD.encode(bytes)]
    {
        assert!(Master::parse(&format!(" {text}\n")).is_ok());
    }
    let fault = |text: &str| Master::parse(text).expect_err("a fault");
    assert_eq!(fault(" "), MasterFault::Missing);
    assert_eq!(fault("not base64!"), MasterFault::NotBase64(1));
    assert_eq!(fault(&format!("{},{}", STANDARD.encode(bytes), STANDARD.encode([0; 31]))), MasterFault::Length(2));
    assert_eq!(fault(&format!("{},", STANDARD.encode(bytes))), MasterFault::Length(2));
    assert_eq!(fault(&vec![STANDARD.encode(bytes); 9].join(",")), MasterFault::TooMany);
}

#[test]
fn no_secret_is_in_debug_output() {
    let key = signed(&claims());
    let shown = format!(
        "{:?} {:?} {:?}",
        master(&[1]),
        AdminTokens::parse("hush-hush-hush-hush").expect("tokens"),
        search(&master(&[1]), [("sluice-key", key.as_str())], "", "").caller
    );
    assert_eq!(shown, "Master(***) AdminTokens(***) Some(Found { place: Apart, .. })");
}

#[test]
fn any_of_several_admin_tokens_is_accepted_with_its_name_or_without() {
    let tokens = AdminTokens::parse("old-token-old-token, ann@ops:new-token:new-token").expect("tokens");
    assert_eq!(tokens.accept("old-token-old-token"), Some("admin"));
    assert_eq!(tokens.accept("new-token:new-token"), Some("ann@ops"));
    assert_eq!(tokens.accept("ann@ops:new-token:new-token"), Some("ann@ops"));
    for presented in [
        "",
        "old-token-old-toke",
        "old-token-old-token,",
        " old-token-old-token",
        "admin:old-token-old-token",
        "bob:new-token:new-token",
        "ann@ops",
        "new-token",
        "new-token:new-tokeN",
    ] {
        assert_eq!(tokens.accept(presented), None, "{presented:?}");
    }
}

#[test]
fn an_admin_token_that_is_too_short_or_malformed_is_named_by_its_place_and_never_repeated() {
    let long = "0123456789abcdef";
    assert!(AdminTokens::parse(long).is_ok() && AdminTokens::parse(&format!("ann:{long}")).is_ok());
    for (text, expected) in [
        (String::new(), AdminFault::Missing),
        (" ".to_owned(), AdminFault::Missing),
        (format!("{long},,{long}"), AdminFault::Characters(2)),
        (format!("{long},"), AdminFault::Characters(2)),
        (format!("{long} x"), AdminFault::Characters(1)),
        (format!("{long}é"), AdminFault::Characters(1)),
        (long[1..].to_owned(), AdminFault::Short(1)),
        (format!("{long},ann:{}", &long[1..]), AdminFault::Short(2)),
        // The name is no part of the secret.
        ("a-long-name:0123456789".to_owned(), AdminFault::Short(1)),
        (format!(":{long}"), AdminFault::Name(1)),
        (format!("a/b:{long}"), AdminFault::Name(1)),
        (format!("{}:{long}", "n".repeat(64)), AdminFault::Name(1)),
    ] {
        let fault = AdminTokens::parse(&text).expect_err("it is refused");
        assert_eq!(fault, expected, "{text:?}");
        assert!(text.trim().is_empty() || !fault.to_string().contains(&text), "{fault}");
        assert!(fault.to_string().contains("ADMIN_TOKEN"));
    }
}

fn found<'a>(headers: &[(&'a str, &'a str)], query: &'a str) -> Option<(String, Place<'a>)> {
    let found = search(&master(&[1]), headers.iter().copied(), "/x", query).caller;
    found.map(|found| (found.key.into_owned(), found.place))
}

#[test]
fn a_key_is_found_wherever_a_vendor_has_its_credential() {
    let key = signed(&claims());
    let basic = |pair: String| format!("Basic {}", STANDARD.encode(pair));
    let (password, user) = (basic(format!("any:{key}")), basic(format!("{key}:")));
    let unpadded = format!("basic {}", STANDARD_NO_PAD.encode(format!("a:{key}")));
    let with = |before: &str| format!("{before}{key}");
    let cases: [(&str, String, String, Place<'_>); 14] = [
        ("Sluice-Key", with(""), String::new(), Place::Apart),
        ("sluice-key", format!(" {key} "), String::new(), Place::Apart),
        ("Authorization", with("Bearer "), String::new(), Place::Authorization("Bearer")),
        ("authorization", with("bearer   "), String::new(), Place::Authorization("bearer")),
        ("authorization", with("OAuth "), String::new(), Place::Authorization("OAuth")),
        ("authorization", with("token "), String::new(), Place::Authorization("token")),
        ("authorization", with(""), String::new(), Place::Authorization("")),
        ("authorization", password, String::new(), Place::Authorization("Basic")),
        ("authorization", user, String::new(), Place::Authorization("Basic")),
        ("authorization", unpadded, String::new(), Place::Authorization("basic")),
        ("X-Keap-API-Key", with(""), String::new(), Place::Header("X-Keap-API-Key")),
        ("accept", "*/*".to_owned(), with("measurement_id=G-1&api_secret="), Place::Query("api_secret")),
        (
            "accept",
            "*/*".to_owned(),
            format!("access_token={}&x=1", key.replace('_', "%5F")),
            Place::Query("access_token"),
        ),
        ("authorization", "Bearer other".to_owned(), with("a&b=&hapikey="), Place::Query("hapikey")),
    ];
    for (name, value, query, place) in cases {
        assert_eq!(found(&[("host", "h"), (name, &value)], &query), Some((key.clone(), place)), "{name}: {value}");
    }
}

#[test]
fn what_is_no_key_is_not_taken_for_one() {
    let basic = format!("Basic {}", STANDARD.encode("user:pass"));
    let long = format!("Basic {}", STANDARD.encode(format!("{}:slk_k", "u".repeat(5_000))));
    for value in
        ["", "Bearer", "Bearer ", "Bearer xslk_k", "Basic !", "Basic ", basic.as_str(), "Bearer SLK_k", long.as_str()]
    {
        assert_eq!(found(&[("authorization", value), ("x-api-key", "slk_k")], "slk_k&x=slk_k&=y"), None, "{value}");
    }
}

#[test]
fn sluice_key_wins_then_authorization_then_other_headers_then_the_query() {
    let key = signed(&claims());
    let query = format!("access_token={key}");
    let all = [("x-api-key", key.as_str()), ("authorization", "Bearer slk_auth"), ("sluice-key", "slk_apart")];
    let place = |headers: &[(&'static str, &'static str)]| found(headers, "").expect("a key").0;
    assert_eq!(place(&[("authorization", "Bearer slk_auth"), ("sluice-key", "slk_apart")]), "slk_apart");
    // One that is no key at all is still the one that counts.
    assert_eq!(place(&[("sluice-key", "nonsense"), ("authorization", "Bearer slk_auth")]), "nonsense");
    assert_eq!(found(&all[..2], &query).expect("a key").1, Place::Authorization("Bearer"));
    assert_eq!(found(&all[..1], &query).expect("a key").1, Place::Header("x-api-key"));
    assert_eq!(found(&[], &query).expect("a key").1, Place::Query("access_token"));
}

#[test]
fn every_other_place_of_a_key_is_told() {
    let key = signed(&claims());
    let authorization = format!("Bearer {key}");
    let elsewhere = |headers: &[(&str, &str)], path: &str, query: &str| {
        let found = search(&master(&[1]), headers.iter().copied(), path, query);
        (format!("{:?}", found.elsewhere), found.taken)
    };
    let none = Taken::default();
    assert_eq!(
        elsewhere(&[("authorization", &authorization)], "/x", "a=slk_k"),
        ("[]".to_owned(), Taken { headers: vec!["authorization".to_owned()], ..none })
    );
    let all = [("sluice-key", key.as_str()), ("authorization", &authorization), ("Cookie", &format!("a={key}"))];
    let query = format!("a=1&b={key}&c=x{key}");
    let (places, taken) = elsewhere(&all, &format!("/y/{key}"), &query);
    assert_eq!(places, "[Authorization(\"Bearer\"), InHeader(\"Cookie\"), Query(\"b\"), InQuery, Path]");
    assert_eq!(taken, Taken { headers: vec!["authorization".to_owned(), "cookie".to_owned()], query: vec![1, 2] });
    assert_eq!(without_parameters(&query, &taken.query), "a=1");
    assert_eq!(without_parameters("a=%2F&k=1&&b", &[1]), "a=%2F&&b");
}

#[test]
fn a_page_offers_its_key_among_the_websockets_protocols() {
    assert_eq!(in_protocols("sluice.v1, slk_k"), Some("slk_k"));
    assert_eq!(in_protocols("slk_k,sluice.v1"), Some("slk_k"));
    assert_eq!(in_protocols("slk_k"), None);
    assert_eq!(in_protocols("sluice.v1"), None);
}

#[test]
fn names_have_their_grammar() {
    for name in ["a", "0", "crm-sync", "a--", &"z".repeat(63)] {
        assert!(is_name(name), "{name}");
    }
    for name in ["", "-a", "A", "a_b", "a.b", "é", "a b", &"z".repeat(64)] {
        assert!(!is_name(name), "{name}");
    }
}

proptest! {
    #[test]
    fn no_text_is_taken_for_a_key(text in "(slk_)?[A-Za-z0-9_-]{0,300}", raw in any::<String>()) {
        prop_assert_eq!(open(&master(&[1]), &text, 0), Err(KeyFault::Forged));
        prop_assert_eq!(open(&master(&[1]), &raw, 0), Err(KeyFault::Forged));
    }

    #[test]
    fn no_request_upsets_the_search(name in "authorization|sluice-key|x", value in "(Basic |Bearer )?.{0,40}", query in ".{0,60}") {
        let found = search(&master(&[1]), [(name.as_str(), value.as_str())], &query, &query);
        prop_assert!(found.elsewhere.is_empty() && found.path.is_empty() && found.taken == Taken::default());
    }
}
