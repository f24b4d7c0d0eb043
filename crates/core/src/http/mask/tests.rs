use super::*;
use proptest::prelude::*;

const SECRET: &str = "s3cr3t/+=\"key";

fn mask() -> Mask {
    Mask::new([SECRET.to_owned()], None)
}

/// Returns a mask of a credential in this query parameter.
fn query(name: &str, value: &str) -> Mask {
    Mask::new([], Some((name.to_owned(), value.to_owned())))
}

fn percent(text: &str, upper: bool) -> String {
    text.bytes().map(|byte| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") }).collect()
}

#[test]
fn a_credential_is_found_however_it_is_written() {
    for written in [
        SECRET.to_owned(),
        percent(SECRET, true),
        percent(SECRET, false),
        "s3cr3t%2F%2B%3D%22key".to_owned(),
        percent(&percent(SECRET, false), true),
        "s3cr3t%252F%252b%253D%2522key".to_owned(),
        r#"s3cr3t\/+=\"key"#.to_owned(),
        r"\u00733cr3t\u002f\u002B=\u0022key".to_owned(),
        STANDARD_NO_PAD.encode(SECRET),
    ] {
        assert_eq!(mask().text(&format!("<{written}>")).as_deref(), Some("<***>"), "{written}");
        assert_eq!(mask().text(&written).as_deref(), Some("***"), "{written}");
    }
}

#[test]
fn base64_is_found_at_each_alignment_and_none_of_its_bits_stay() {
    for before in ["", "a", "ab", "abc", "user:"] {
        for after in ["", "z", "yz"] {
            let whole = format!("{before}{SECRET}{after}");
            for coded in [STANDARD_NO_PAD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
                let said = mask().text(&format!("id={coded}==;")).unwrap_or_default();
                assert!(said.contains(MASK) && said.len() < 20, "{said} of {coded}");
            }
        }
    }
}

#[test]
fn what_holds_no_credential_stays_as_it_is() {
    for value in ["", "text/html; charset=utf-8", "s3cr3t", "s3cr3t/+=\"ke", "%", "%2", "\\", "\\u", "a+b%zz"] {
        assert_eq!(mask().header("x", value), None, "{value}");
    }
    assert_eq!(Mask::default().text(SECRET), None);
}

#[test]
fn the_parameter_of_a_credential_is_taken_out_of_a_target() {
    let mask = query("api_key", SECRET);
    let coded = percent(SECRET, false);
    for (target, shorter) in [
        (format!("https://v.example/a?api_key={coded}"), "https://v.example/a"),
        (format!("/a?api_key={coded}&b=1#c"), "/a?b=1#c"),
        (format!("/a?b=1&api_key={coded}#c"), "/a?b=1#c"),
        (format!("/a?b=1&api_key={coded}&c=2"), "/a?b=1&c=2"),
        (format!("/a?api_key={coded}&api_key={coded}"), "/a"),
        (format!("/a?api%5Fkey={coded}"), "/a"),
        (format!("</a?api_key={coded}&page=2>; rel=\"next\""), "</a?page=2>; rel=\"next\""),
        (format!("3; url=/a?api_key={coded}"), "3; url=/a"),
    ] {
        assert_eq!(mask.header("Location", &target).as_deref(), Some(shorter), "{target}");
    }
    let other = format!("/a?xapi_key={coded}");
    assert_eq!(mask.header("Link", &other).as_deref(), Some("/a?xapi_key=***"));
    assert_eq!(mask.header("location", "/a?api_key=another"), None);
    assert_eq!(mask.header("x-url", &format!("/a?api_key={coded}")).as_deref(), Some("/a?api_key=***"));
}

#[test]
fn a_short_credential_goes_with_its_parameter_and_is_not_looked_for_alone() {
    let mask = query("k", "x1");
    assert_eq!(mask.header("location", "/x1?k=x1&y=x1").as_deref(), Some("/x1?y=x1"));
    assert_eq!(mask.header("content-type", "text/x1"), None);
}

#[test]
fn a_text_that_was_cut_within_a_credential_shows_no_beginning_of_it() {
    assert_eq!(mask().cut_text("no_such_key:s3cr3t/+=").as_deref(), Some("no_such_key:***"));
    assert_eq!(mask().cut_text("no_such_key:s3cr3t%2f").as_deref(), Some("no_such_key:***"));
    assert_eq!(mask().cut_text("s3cr"), None);
    assert_eq!(mask().text("no_such_key:s3cr3t/+="), None);
}

#[test]
fn a_body_keeps_its_length() {
    let mut body = format!("{{\"a\":\"{}\",\"é\":1}}", percent(SECRET, true)).into_bytes();
    let (length, found) = (body.len(), mask().star(&mut body));
    assert!(found && body.len() == length);
    assert!(String::from_utf8(body).unwrap().contains("{\"a\":\"***"));
    assert!(!mask().star(&mut b"nothing".to_vec()));
}

#[test]
fn a_name_with_the_credential_is_known_in_any_case() {
    let mask = Mask::new(["AbCdEf12".to_owned()], None);
    assert!(mask.is_in_name("x-abcdef12") && !mask.is_in_name("x-abcdef1"));
}

#[test]
fn what_a_caller_sends_of_its_own_is_known_by_its_header() {
    let headers = [
        ("cookie", "a=cookie-1; b=cookie-22"),
        ("authorization", "Bearer own-token"),
        ("x-api-key", "own-key-1"),
        ("accept", "application/json"),
    ];
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mask = Mask::of_callers_own(&headers);
    let said = mask.text("own-token cookie-1 cookie-22 own-key-1 application/json");
    assert_eq!(said.as_deref(), Some("*** *** *** *** application/json"));
}

#[test]
fn a_mask_is_not_shown() {
    assert_eq!(format!("{:?}", mask()), "Mask(***)");
}

proptest! {
    #[test]
    fn nothing_of_a_credential_stays_whatever_stands_around_it(
        secret in "[!-~]{6,24}", before in ".{0,12}", after in ".{0,12}", name in "[a-z_]{1,6}", place in 0_u8..7,
    ) {
        let written = match place {
            0 => secret.clone(),
            1 => percent(&secret, true),
            2 => percent(&secret, false),
            3 => STANDARD_NO_PAD.encode(format!("a{secret}")),
            4 => URL_SAFE_NO_PAD.encode(format!("ab{secret}c")),
            5 => percent(&percent(&secret, true), true),
            _ => secret.bytes().map(|byte| format!("\\u{byte:04x}")).collect(),
        };
        let mask = query(&name, &secret);
        for header in ["Location", "X-Other"] {
            let value = format!("{before}?{name}={written}&{after}");
            let said = mask.header(header, &value).unwrap_or(value);
            prop_assert!(!said.contains(&written), "{} in {}", written, said);
        }
    }

    #[test]
    fn any_text_is_read_without_panic(text in ".{0,60}", secret in ".{0,12}") {
        let mask = Mask::new([secret.clone()], Some(("k".to_owned(), secret)));
        mask.header("link", &text);
        mask.cut_text(&text);
        mask.star(&mut text.clone().into_bytes());
    }
}
