use super::{Decimal, Tree, scaled, text};
use proptest::prelude::*;

fn read(text: &str) -> Result<Tree, serde_json::Error> {
    serde_json::from_str(text)
}

/// The most levels of nested lists and objects.
const MAX_DEPTH: usize = 127;

/// Parses a text with `serde_json`'s own tree.
fn oracle(text: &str) -> Option<Tree> {
    serde_json::from_str::<serde_json::Value>(text).ok().as_ref().map(Tree::from)
}

/// Sorts the fields of every object by name and keeps the last of a repeated one.
fn sorted(value: Tree) -> Tree {
    match value {
        Tree::Object(fields) => {
            let fields: std::collections::BTreeMap<_, _> = fields.into_iter().collect();
            Tree::Object(fields.into_iter().map(|(name, value)| (name, sorted(value))).collect())
        }
        Tree::Array(items) => Tree::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

fn agrees(text: &str) {
    assert_eq!(read(text).ok().map(sorted), oracle(text).map(sorted), "{text}");
}

#[test]
fn what_is_json_is_read_as_others_read_it() {
    for text in [
        "null",
        " true ",
        "\t[\n]\r",
        "{}",
        "0",
        "-1",
        "18446744073709551615",
        "\"\"",
        r#""\"\\\/\b\f\n\r\t\u00e9\u20AC\ud83d\ude00""#,
        "\"é€😀\u{7f}\"",
        r#"{"a":{"b":[1,2,{"c":null}]},"a":2,"":[[],[[]]]}"#,
    ] {
        assert!(read(text).is_ok(), "{text}");
        agrees(text);
    }
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "",
        " ",
        "nul",
        "nulll",
        "tru e",
        "[1,]",
        "[1 2]",
        "[",
        "]",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "01",
        "-",
        "-01",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "1e999",
        "0x1",
        "NaN",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u+123\"",
        "\"\\ud800\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"\n\"",
        "\"\0\"",
        "1 2",
        "{} x",
        "\u{feff}1",
    ] {
        assert!(read(text).is_err(), "{text}");
        agrees(text);
    }
}

#[test]
fn a_fault_says_where_it_is() {
    let fault = read("{\n  \"a\": 1,\n  \"é\": x\n}").unwrap_err();
    assert_eq!(fault.to_string(), "expected value at line 3 column 9");
    assert_eq!(read("[1").unwrap_err().to_string(), "EOF while parsing a list at line 1 column 2");
}

#[test]
fn levels_are_bounded() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(read(&nested(MAX_DEPTH)).is_ok());
    assert!(read(&nested(MAX_DEPTH + 1)).is_err());
    assert!(read(&"[".repeat(100_000)).is_err());
}

#[test]
fn numbers_stay_exact_and_lose_their_exponent() {
    for (text, plain) in [
        ("0.1", "0.1"),
        ("1.50", "1.5"),
        ("-0", "-0"),
        ("1e3", "1000"),
        ("1.5E+3", "1500"),
        ("15e-1", "1.5"),
        ("-2.50e-3", "-0.0025"),
        ("0e5", "0"),
        ("0.00e-2", "0"),
        ("100e-2", "1"),
        ("123456789.123456", "123456789.123456"),
        ("18446744073709551615", "18446744073709551615"),
        ("-9223372036854775808", "-9223372036854775808"),
    ] {
        assert_eq!(read(text).unwrap(), Tree::Number(plain.to_owned()), "{text}");
    }
}

#[test]
fn a_decimal_is_a_whole_number_of_its_last_place() {
    for (text, amount) in [("0.5", 500_000), ("1", 1_000_000), ("0.000001", 1), ("1.10", 1_100_000)] {
        assert_eq!(scaled(text, 6), Some(amount), "{text}");
    }
    for text in ["0.0000001", "-1", "1.2.3", "18446744073709551615"] {
        assert_eq!(scaled(text, 6), None, "{text}");
    }
    for (amount, places, written) in [(1, 6, "0.000001"), (1_500_000, 6, "1.5"), (7, 0, "7"), (0, 3, "0")] {
        let decimal = Decimal(amount, places);
        assert_eq!((decimal.to_string().as_str(), text(&decimal).as_str()), (written, written));
    }
}

#[test]
fn of_a_repeated_name_the_last_is_found() {
    let value = read(r#"{"a":1,"b":2,"a":3}"#).unwrap();
    assert_eq!(value.get("a").and_then(Tree::as_u64), Some(3));
    assert_eq!(value.get("c"), None);
    assert_eq!(value.as_object().map(<[_]>::len), Some(3));
}

#[test]
fn what_is_written_has_no_blanks_and_keeps_its_order() {
    let written = concat!(
        r#"{"text":"a \"b\"\n\\ \u0001é","list":[1,[true,null],{"a":null},"x"],"empty":{},"nothing":[],"#,
        r#""nested":{"n":1},"pairs":[["a","b"]],"minus":-5,"small":0.000001,"last":null,"there":"x"}"#
    );
    assert_eq!(text(&read(written).unwrap()), written);
}

fn any_value() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        any::<i64>().prop_map(|number| Tree::Number(number.to_string())),
        any::<String>().prop_map(Tree::String),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::Array),
            prop::collection::vec((any::<String>(), inner), 0..6).prop_map(Tree::Object),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_here_and_elsewhere(value in any_value()) {
        let text = super::text(&value);
        prop_assert_eq!(read(&text).ok(), Some(value.clone()));
        prop_assert_eq!(oracle(&text).map(sorted), Some(sorted(value)));
    }

    #[test]
    fn any_text_is_json_here_if_it_is_elsewhere(text in r#"[\[\]{}",:\\ntrfalsu0-9eE+.\-a-f \n]{0,24}"#) {
        prop_assert_eq!(read(&text).is_ok(), serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn a_text_with_a_byte_changed_is_judged_as_elsewhere(value in any_value(), at in any::<prop::sample::Index>(), byte in 0_u8..128) {
        let mut bytes = text(&value).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert_eq!(read(&text).is_ok(), serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn a_double_in_any_notation_is_the_same_number(number in any::<f64>().prop_filter("finite", |n| n.is_finite())) {
        for text in [format!("{number:?}"), format!("{number:e}")] {
            let Ok(Tree::Number(plain)) = read(&text) else { panic!("{text} is not read") };
            prop_assert!(!plain.contains(['e', 'E']));
            prop_assert_eq!(plain.parse::<f64>().unwrap().to_bits(), number.to_bits(), "{}", text);
        }
    }
}
