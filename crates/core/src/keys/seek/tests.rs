use super::*;
use crate::keys::{Claims, Role, open};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

fn master(first: u8) -> Master {
    Master::parse(&STANDARD.encode([first; 32])).unwrap()
}

fn key(app: Option<&str>, expires: Option<u64>) -> String {
    let role = if app.is_some() { Role::App } else { Role::Operator };
    let (tenant, id) = ("acme".to_owned(), "k1".to_owned());
    Claims { tenant, id, role, app: app.map(str::to_owned), expires }.sign(&master(1)).unwrap()
}

/// Finds the keys of a text, and gives each as it is written there.
fn found(text: &str) -> Vec<&str> {
    seek(&master(1), text.as_bytes()).iter().map(|stands| &text[stands.from..stands.to]).collect()
}

fn encoded(key: &str, of: impl Fn(u8) -> String) -> String {
    key.bytes().map(of).collect()
}

#[test]
fn a_key_is_found_wherever_it_stands() {
    let key = key(Some("crm"), None);
    for text in [
        key.clone(),
        format!("/oauth/v1/access-tokens/{key}"),
        format!("/x/y{key}-z/w"),
        format!("{key}{key}"),
        format!("slk_slk_{key}_AQ"),
        format!("{{\"tokenKey\":\"{key}\"}}"),
        format!("<sessionId>{key}</sessionId>"),
        format!("a=1&token={key}&b=2"),
        format!("\r\n\r\n{key}\r\n--boundary--"),
    ] {
        let all = found(&text);
        assert!(!all.is_empty() && all.iter().all(|found| *found == key), "{text}");
        assert!(!without(&text, &seek(&master(1), text.as_bytes())).contains(&key));
    }
    assert_eq!(found(&format!("{key} {key}")).len(), 2);
}

#[test]
fn a_key_is_found_as_it_is_escaped() {
    let key = key(Some("crm"), None);
    for text in [
        key.replace('_', "%5F"),
        key.replace('_', "%5f"),
        key.replace('_', "%255F"),
        key.replace('_', "%25255F"),
        encoded(&key, |byte| format!("%{byte:02x}")),
        key.replace('_', "\\u005f"),
        encoded(&key, |byte| format!("\\u{byte:04X}")),
        key.replace('_', "&#95;"),
        key.replace('s', "&#x73;"),
    ] {
        let text = format!("x={text}&");
        let stands = seek(&master(1), text.as_bytes());
        assert_eq!(stands.iter().map(|stands| stands.key.as_str()).collect::<Vec<_>>(), [key.as_str()], "{text}");
        assert_eq!(without(&text, &stands), "x=***&");
    }
}

#[test]
fn keys_of_every_role_are_found_and_expired_ones_too() {
    for key in [key(None, None), key(Some("a"), Some(1)), key(Some(&"a".repeat(63)), Some(u64::MAX))] {
        assert_eq!(found(&key), [key.as_str()]);
    }
}

#[test]
fn what_begins_alike_and_does_not_hold_is_no_key() {
    let key = key(Some("crm"), None);
    let other =
        Claims { tenant: "acme".to_owned(), id: "k1".to_owned(), role: Role::Operator, app: None, expires: None };
    let other = other.sign(&master(2)).unwrap();
    for text in
        ["slk_", "slk_x", "slk_AAAA.BBB", &other, &key[..key.len() - 1], &key.to_uppercase(), "%73lk_", "&#x;", "\\u00"]
    {
        assert!(found(text).is_empty(), "{text}");
    }
}

#[test]
fn a_long_text_of_beginnings_is_searched_in_a_time_that_grows_with_its_length() {
    // Each is followed to where it cannot be a key: a few characters, or no more than a key has.
    for beginning in ["slk_", "slk_AQAA", "%73%6c%6b%5f", "&#115;"] {
        let text = beginning.repeat(1_048_576 / beginning.len());
        assert!(seek(&master(1), text.as_bytes()).is_empty());
    }
}

proptest! {
    #[test]
    fn no_place_hides_a_key(before in "[ -~]{0,40}", after in "[ -~]{0,40}", escape in 0..4_u8, which in any::<u64>()) {
        let key = key(Some("crm"), None);
        let escaped = encoded_some(&key, escape, which);
        let text = format!("{before}{escaped}{after}");
        let stands = seek(&master(1), text.as_bytes());
        prop_assert!(stands.iter().any(|stands| stands.key == key), "{}", text);
        prop_assert!(open(&master(1), &stands[0].key, 0).is_ok());
        prop_assert!(seek(&master(1), without(&text, &stands).as_bytes()).is_empty());
    }

    #[test]
    fn no_text_upsets_the_search(text in any::<Vec<u8>>()) {
        prop_assert!(seek(&master(1), &text).is_empty());
    }
}

/// Some of its characters escaped.
fn encoded_some(key: &str, escape: u8, which: u64) -> String {
    let one = |(at, byte): (usize, u8)| match escape {
        _ if which >> (at % 64) & 1 == 0 => char::from(byte).to_string(),
        0 => char::from(byte).to_string(),
        1 => format!("%{byte:02X}"),
        2 => format!("\\u{byte:04x}"),
        _ => format!("&#{byte};"),
    };
    key.bytes().enumerate().map(one).collect()
}
