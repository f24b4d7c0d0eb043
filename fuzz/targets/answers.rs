//! Fuzzes the bodies of vendors' answers.

use sluice_core::http::LONGEST_RETRY_AFTER_MS;
use sluice_core::upstream::body::{BodySniffer, HEAD_BYTES, counts_over};
use sluice_core::upstream::outcome::{Answered, classify, vendor_counts};
use sluice_core::upstream::{Profile, grant};

const ENCODINGS: [Option<&str>; 4] = [None, Some("gzip"), Some("deflate"), Some("UTF-8")];

/// Checks that what is read from a body does not depend on the pieces in which it comes. The first
/// three bytes of the input choose vendor, encoding and size of the pieces; the rest is the body.
pub fn body(data: &[u8]) {
    let [vendor, encoding, piece, body @ ..] = data else { return };
    let names: Vec<_> = Profile::names().collect();
    let Some(profile) = Profile::built_in(names[usize::from(*vendor) % names.len()]) else { return };
    let encoding = ENCODINGS[usize::from(*encoding) % ENCODINGS.len()];
    for status in [200, 400, 429] {
        let read = |size: usize| {
            let mut peek = BodySniffer::new(&profile.reading, status, encoding)?;
            for chunk in body.chunks(size) {
                peek.feed(chunk);
            }
            Some(peek.said())
        };
        let whole = read(HEAD_BYTES.max(body.len()).max(1));
        let pieces = read(usize::from(*piece).max(1));
        assert_eq!(whole, pieces, "in pieces of {piece} it says something else");
        let headers = [("Retry-After".to_owned(), super::text(body.get(..20).unwrap_or(body)).to_owned())];
        let answered = Answered { status, headers: &headers, said: whole.as_ref(), now: 1_781_524_800_000 };
        let verdict = classify(&profile, &answered);
        assert!(verdict.retry_after_ms.is_none_or(|ms| ms <= LONGEST_RETRY_AFTER_MS));
        let _ = vendor_counts(&profile, &answered);
        if let Ok(text) = std::str::from_utf8(body) {
            let _ = grant::read(status, None, text);
        }
    }
    let most = u32::from(*piece);
    let members = serde_json::from_slice::<serde_json::Value>(body)
        .ok()
        .and_then(|value| value["input"].as_array().map(Vec::len));
    if let Some(members) = members.filter(|_| unique(body)) {
        assert_eq!(counts_over(body, "/input", most), members > most as usize, "{members} members, at most {most}");
    }
}

/// Returns whether a body has one list at most: of two, one reader takes the first, another the
/// last.
fn unique(body: &[u8]) -> bool {
    body.windows(7).filter(|window| window == b"\"input\"").count() == 1 && !body.contains(&b'\\')
}
