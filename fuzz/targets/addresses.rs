//! Fuzzes addresses and header fields.

use sluice_core::http::{
    Address, LONGEST_RETRY_AFTER_MS, Placed, Prefer, Sending, accepts_problem, is_preflight, outgoing, outgoing_query,
    parse_target, retry_after_ms, rewritten_location, urgency,
};
use sluice_core::keys;
use sluice_core::upstream::token;

/// 2026-06-15 12:00 UTC, Unix milliseconds.
const NOW: i64 = 1_781_524_800_000;

/// Checks that a path that is accepted has no dot segment, however often it is decoded, and goes to
/// the vendor as it came. The input is a URL.
pub fn address(data: &[u8]) {
    let url = super::text(data);
    for suffix in [None, Some(".api.example.com")] {
        let Ok(target) = parse_target(url, suffix) else { continue };
        let mut path = target.path.as_bytes().to_vec();
        for _ in 0..6 {
            let dotted = path.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| matches!(segment, b"." | b".."));
            assert!(!dotted, "{url} holds a dot segment: {}", String::from_utf8_lossy(&path));
            path = decoded(&path);
        }
        if let Address::Vendor(vendor) = target.address {
            let sent = vendor.url("https://vendor.example", vendor.query);
            let tail = sent.strip_prefix("https://vendor.example").expect("the vendor's host stays");
            assert!(url.ends_with(tail), "{url} went out as {sent}");
            assert!(tail.is_empty() || tail.starts_with(['/', '?']), "{url} changes the host: {sent}");
        }
        let _ = (target.connection_url(), target.sluice_origin());
    }
    let _ = rewritten_location(url, "https://vendor.example/base", "https://sluice.example/v/c");
}

/// Percent-decodes a path once.
fn decoded(path: &[u8]) -> Vec<u8> {
    let hex = |byte: u8| char::from(byte).to_digit(16);
    let (mut out, mut rest) = (Vec::new(), path);
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'%', [high, low, tail @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                let code = hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0);
                out.push(u8::try_from(code).unwrap_or(0));
                rest = tail;
            }
            _ => out.push(*first),
        }
    }
    out
}

/// Checks what is read from header fields, and what is sent to the vendor of them. The first line
/// of the input is a query, and each other line a field, `name: value`.
pub fn headers(data: &[u8]) {
    let mut lines = super::text(data).lines();
    let query = lines.next().unwrap_or_default();
    let pair = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let fields: Vec<(String, String)> = lines.filter_map(pair).collect();

    let prefer = Prefer::read(&fields);
    // One field only, since the platform joins several: two fields that each end within quotes mean
    // something else when they are joined.
    let one = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("prefer")).cloned();
    if let Some(rest) = &Prefer::read(&Vec::from_iter(one)).rest {
        let again = Prefer::read(&[("prefer".to_owned(), rest.clone())]);
        assert_eq!((again.wait_ms, again.respond_async), (None, false), "«{rest}» still asks something of sluice");
        assert_eq!(again.rest.as_deref(), Some(rest.as_str()), "what is left reads the same");
    }
    for (_, value) in &fields {
        let found = urgency(Some(value));
        assert!(found.is_none_or(|urgency| urgency <= 7), "urgency {found:?} of «{value}»");
        if let Some(known) = known_urgency(value) {
            assert_eq!(found, Some(known), "«{value}»");
        }
        for date in [None, Some(value.as_str())] {
            assert!(retry_after_ms(value, date, NOW).is_none_or(|ms| ms <= LONGEST_RETRY_AFTER_MS), "«{value}»");
        }
        let _ = (accepts_problem(Some(value)), keys::in_protocols(value));
    }
    let _ = is_preflight("OPTIONS", &fields);
    let pairs = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let found = keys::search(super::master(), pairs, query, query);
    let _ = token::read(&fields, Some(query), query.as_bytes(), &found);
    let taken = &found.taken;
    let sending = Sending {
        passthrough: false,
        placed: &Placed::default(),
        also: &[],
        taken,
        prefer: &prefer,
        accept_encoding: None,
    };
    for (name, value) in outgoing(&fields, &sending) {
        let lower = name.to_ascii_lowercase();
        let kept = ["sluice-", "cf-", "x-forwarded-", "sec-"].iter().any(|prefix| lower.starts_with(prefix));
        assert!(!kept && lower != "cookie", "{name} goes to the vendor");
        assert!(keys::seek(super::master(), value.as_bytes()).is_empty(), "a key in {name} goes to the vendor");
    }
    if let Some(sent) = outgoing_query(Some(query), &Placed::default(), taken) {
        assert!(keys::seek(super::master(), sent.as_bytes()).is_empty(), "a key in «{sent}» goes to the vendor");
    }
}

/// Returns the urgency as another parser reads it, if the field is a dictionary that has one.
fn known_urgency(field: &str) -> Option<u8> {
    let fields: sfv::Dictionary = sfv::Parser::new(field).parse().ok()?;
    match fields.get("u")? {
        sfv::ListEntry::Item(item) => u8::try_from(i64::from(item.bare_item.as_integer()?)).ok().filter(|n| *n <= 7),
        sfv::ListEntry::InnerList(_) => None,
    }
}
