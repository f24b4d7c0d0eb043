//! Writes the fields `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11).
//! They are structured lists of strings with parameters (RFC 9651), which `sfv` serialises.

use sfv::{Integer, KeyRef, ListSerializer, StringRef};
use std::borrow::Cow;

/// One limit in `RateLimit-Policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyItem<'a> {
    /// The limit's name.
    pub name: &'a str,
    /// The quota, in the unit.
    pub quota: u64,
    /// The window, seconds; `None` or 0 where there is none.
    pub window_seconds: Option<u64>,
    /// The unit, `content-bytes` or `concurrent-requests`; `None` stands for requests, the default.
    pub unit: Option<&'a str>,
}

/// One limit in `RateLimit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemainingItem<'a> {
    /// The limit's name.
    pub name: &'a str,
    /// How much is left, in the unit.
    pub remaining: u64,
    /// The seconds until more is available, where that is known.
    pub reset_seconds: Option<u64>,
}

/// Returns the field `RateLimit-Policy`. It is empty without limits, and then must not be sent.
pub fn policy_field<'a>(items: impl IntoIterator<Item = PolicyItem<'a>>) -> String {
    let mut list = ListSerializer::new();
    for item in items {
        let (name, unit) = (printable(item.name), item.unit.map(printable));
        let (Some(name), unit) = (string(&name), unit.as_deref().and_then(string)) else { continue };
        let mut written = list.bare_item(name).parameter(KeyRef::constant("q"), integer(item.quota));
        if let Some(unit) = unit {
            written = written.parameter(KeyRef::constant("qu"), unit);
        }
        if let Some(window) = item.window_seconds.filter(|window| *window > 0) {
            written.parameter(KeyRef::constant("w"), integer(window));
        }
    }
    list.finish().unwrap_or_default()
}

/// Returns the field `RateLimit`. It is empty without limits, and then must not be sent.
pub fn remaining_field<'a>(items: impl IntoIterator<Item = RemainingItem<'a>>) -> String {
    let mut list = ListSerializer::new();
    for item in items {
        let name = printable(item.name);
        let Some(name) = string(&name) else { continue };
        let written = list.bare_item(name).parameter(KeyRef::constant("r"), integer(item.remaining));
        if let Some(reset) = item.reset_seconds {
            written.parameter(KeyRef::constant("t"), integer(reset));
        }
    }
    list.finish().unwrap_or_default()
}

/// The prefix of our items' names beside a vendor's own, so that nobody confuses them.
const BESIDE: &str = "sluice-";

/// Prefixes the names of a field's items with `sluice-`.
pub fn prefixed(field: &str) -> String {
    let mut out = String::with_capacity(field.len().saturating_mul(2));
    let (mut quoted, mut escaped, mut parameters) = (false, false, false);
    for character in field.chars() {
        out.push(character);
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => {
                quoted = !quoted;
                if quoted && !parameters {
                    out.push_str(BESIDE);
                }
            }
            ';' if !quoted => parameters = true,
            ',' if !quoted => parameters = false,
            _ => {}
        }
    }
    out
}

/// Makes a text valid in a structured string: printable ASCII, with `?` for any other character.
fn printable(text: &str) -> Cow<'_, str> {
    match string(text) {
        Some(_) => Cow::Borrowed(text),
        None => text.chars().map(|character| if matches!(character, ' '..='~') { character } else { '?' }).collect(),
    }
}

fn string(text: &str) -> Option<&StringRef> {
    StringRef::from_str(text).ok()
}

/// Returns the number, bounded by the largest integer of a structured field (RFC 9651, section
/// 3.3.1).
fn integer(number: u64) -> Integer {
    Integer::try_from(number).unwrap_or(Integer::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sfv::{BareItem, List, ListEntry, Parser};

    /// The largest integer of a structured field.
    const LARGEST: u64 = 999_999_999_999_999;

    fn read(field: &str) -> Vec<(String, Vec<(String, BareItem)>)> {
        let list: List = Parser::new(field).parse().unwrap();
        let read = |entry| match entry {
            ListEntry::Item(item) => {
                let BareItem::String(name) = item.bare_item else { panic!("not a string") };
                let parameters = item.params.into_iter().map(|(key, value)| (key.as_str().to_owned(), value)).collect();
                (name.as_str().to_owned(), parameters)
            }
            ListEntry::InnerList(_) => panic!("an inner list"),
        };
        list.into_iter().map(read).collect()
    }

    #[test]
    fn the_drafts_own_example_is_written() {
        let field = policy_field([
            PolicyItem { name: "burst", quota: 100, window_seconds: Some(20), unit: None },
            PolicyItem { name: "conc", quota: 10, window_seconds: None, unit: Some("concurrent-requests") },
        ]);
        assert_eq!(field, r#""burst";q=100;w=20, "conc";q=10;qu="concurrent-requests""#);
        let field = remaining_field([
            RemainingItem { name: "burst", remaining: 12, reset_seconds: Some(3) },
            RemainingItem { name: "conc", remaining: 0, reset_seconds: None },
        ]);
        assert_eq!(field, r#""burst";r=12;t=3, "conc";r=0"#);
    }

    #[test]
    fn beside_a_vendors_items_ours_have_names_of_their_own() {
        let field = policy_field([
            PolicyItem { name: "a, \"b;", quota: 1, window_seconds: Some(2), unit: Some("content-bytes") },
            PolicyItem { name: "c", quota: 3, window_seconds: None, unit: None },
        ]);
        let names: Vec<_> = read(&prefixed(&field)).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["sluice-a, \"b;", "sluice-c"]);
        assert_eq!(prefixed(&field).len(), field.len() + 14);
        assert_eq!(prefixed(""), "");
    }

    #[test]
    fn no_limits_make_no_field() {
        assert_eq!(policy_field([]), "");
        assert_eq!(remaining_field([]), "");
    }

    proptest! {
        #[test]
        fn a_parser_reads_back_what_is_written(name in ".{0,20}", quota: u64, window in prop::option::of(any::<u64>()), reset in prop::option::of(any::<u64>())) {
            let shown: String = name.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect();
            let item = PolicyItem { name: &name, quota, window_seconds: window, unit: Some("content-bytes") };
            let policy = read(&policy_field([item, item]));
            prop_assert_eq!(policy.len(), 2);
            prop_assert_eq!(&policy[1].0, &shown);
            prop_assert_eq!(&policy[1].1[0], &("q".to_owned(), BareItem::Integer(i64::try_from(quota.min(LARGEST)).unwrap().try_into().unwrap())));
            let left = read(&remaining_field([RemainingItem { name: &name, remaining: quota, reset_seconds: reset }]));
            prop_assert_eq!(left[0].1.len(), 1 + usize::from(reset.is_some()));
        }
    }
}
