//! Decides what a vendor's answer means for the limiter, for the statistics and for a retry: first
//! by the profile's rules, then by HTTP's own.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions and lengths in a text, which is shorter than the address space"
)]

use super::body::BodyFacts;
use super::profile::{CountPlace, Executed, Meaning, Profile, Rule, TotalPlace, VendorCount};
use crate::http::{retry_after_ms, value, wait_in_body_ms};
use sluice_limiter::{Counted, Outcome, ThrottledBy};

/// A vendor's answer without its body.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: &'a [(String, String)],
    /// What the body says, where it was read.
    pub said: Option<&'a BodyFacts>,
    /// Unix time, milliseconds.
    pub now: i64,
}

/// The classification of a call's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classification {
    /// The outcome for the limiter.
    pub outcome: Outcome,
    /// The code for the statistics: the one in the body, else the status, else `timeout` or
    /// `unreachable`; `None` for a good answer.
    pub error_code: Option<String>,
    /// Whether the vendor executed the call.
    pub executed: Executed,
    /// Whether the same call may succeed on another try, after `retry_after_ms` or a backoff.
    pub transient: bool,
    /// Whether the credential has expired: it is renewed, and the call is sent once more.
    pub expired: bool,
    /// When the vendor allows another try, milliseconds from the answer. It is never 0.
    pub retry_after_ms: Option<u64>,
}

/// Why a call has no answer, or only part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// `timeout_seconds` ran out.
    Timeout,
    /// No connection could be made, or it was lost.
    Unreachable,
}

/// Classifies an answer.
pub fn classify(profile: &Profile, answer: &Answered) -> Classification {
    let rule = profile.answers.iter().find(|rule| applies(rule, answer));
    let date = value(answer.headers, "date");
    let asked = value(answer.headers, "retry-after").and_then(|field| retry_after_ms(field, date, answer.now));
    let means = rule.map_or_else(|| by_http(answer, asked.is_some()), |rule| rule.means);
    // The header field is HTTP's own, so it has precedence over the body.
    let asked = asked.filter(|ms| *ms > 0).or_else(|| {
        let wait = answer.said?.wait.as_deref()?;
        wait_in_body_ms(wait, date, answer.now)
    });
    let usual = rule.and_then(|rule| rule.retry_after_seconds).map(|seconds| u64::from(seconds) * 1_000);
    // A Retry-After of 0 does not say how long a pause should be, so the profile's usual time
    // applies.
    let retry_after_ms = asked.filter(|ms| *ms > 0).or(usual);
    let throttled = |by| Outcome::Throttled { by, retry_after_ms };
    let outcome = match means {
        Meaning::Rate => throttled(ThrottledBy::Rate),
        Meaning::Concurrency => throttled(ThrottledBy::Concurrency),
        Meaning::Day => throttled(ThrottledBy::Day),
        Meaning::Lost => Outcome::Unknown,
        Meaning::Good | Meaning::Final | Meaning::Transient | Meaning::Expired => Outcome::Answered,
    };
    let code = || answer.said.and_then(|said| said.code.clone()).unwrap_or_else(|| answer.status.to_string());
    Classification {
        outcome,
        error_code: (means != Meaning::Good).then(code),
        executed: rule.and_then(|rule| rule.executed).unwrap_or_else(|| executed(means, answer.status)),
        transient: matches!(means, Meaning::Transient | Meaning::Rate | Meaning::Concurrency | Meaning::Lost),
        expired: means == Meaning::Expired,
        retry_after_ms,
    }
}

/// Classifies a call without an answer. The vendor may still be at work on it.
pub fn unanswered(why: Unanswered) -> Classification {
    let code = match why {
        Unanswered::Timeout => "timeout",
        Unanswered::Unreachable => "unreachable",
    };
    Classification {
        outcome: Outcome::Unknown,
        error_code: Some(code.to_owned()),
        executed: Executed::Maybe,
        transient: true,
        expired: false,
        retry_after_ms: None,
    }
}

/// Whether another try may succeed and does no harm. `idempotency_key`: the call carries one.
pub fn may_repeat(
    profile: &Profile,
    method: &str,
    path: &str,
    idempotency_key: bool,
    verdict: &Classification,
) -> bool {
    verdict.transient
        && (verdict.executed == Executed::No
            || profile.is_repeatable(method, path)
            || (idempotency_key && profile.idempotency_key))
}

/// Reads the vendor's own counts from an answer. Blank fields, as Keap sends them to unknown
/// callers, tell nothing.
pub fn vendor_counts(profile: &Profile, answer: &Answered) -> Vec<Counted> {
    let mut found = Vec::new();
    for count in &profile.counts {
        found.extend(vendor_count(count, answer));
    }
    found
}

fn vendor_count(count: &VendorCount, answer: &Answered) -> Option<Counted> {
    let field = match &count.place {
        CountPlace::Header(name) => value(answer.headers, name)?,
        CountPlace::Body(index) => answer.said?.counts.get(*index)?.as_deref()?,
    };
    let part = match &count.among {
        Some((header, wanted)) => among(field, value(answer.headers, header).unwrap_or_default(), wanted)?,
        None => field,
    };
    // The text must not be the end of a longer word: `api-usage=` is not `per-app-api-usage=`.
    let begins = |at: usize| {
        !part.get(..at).unwrap_or_default().ends_with(|c: char| c == '-' || c.is_ascii_alphanumeric() || !c.is_ascii())
    };
    let (at, _) = part.match_indices(&count.after).find(|(at, _)| count.after.is_empty() || begins(*at))?;
    let figure = part.get(at + count.after.len()..)?;
    let n = leading_number(figure)?;
    // A total of 0 is as good as none, since no vendor serves it.
    let known = |total: Option<u64>| total.filter(|total| *total > 0);
    let limit = count.limit.clone();
    if let Some(whole) = &count.left_of {
        let whole = leading_number(value(answer.headers, whole)?)?;
        return Some(Counted { limit, n: whole.checked_sub(n)?, left: false, total: known(Some(whole)) });
    }
    let total = count.total.as_ref().and_then(|total| match total {
        TotalPlace::Header(name) => {
            let field = value(answer.headers, name)?;
            leading_number(count.among.as_ref().map_or(Some(field), |(header, wanted)| {
                among(field, value(answer.headers, header).unwrap_or_default(), wanted)
            })?)
        }
        TotalPlace::After(text) => {
            let figure = figure.trim_start();
            let rest = figure.trim_start_matches(|c: char| c.is_ascii_digit());
            leading_number(rest.strip_prefix(text.as_str())?)
        }
    });
    Some(Counted { limit, n, left: count.left, total: known(total) })
}

/// Returns the part of a `|`-separated field at the position at which another such field has
/// `wanted`. A field with a single part needs no other.
fn among<'a>(field: &'a str, kinds: &str, wanted: &str) -> Option<&'a str> {
    let mut kinds = kinds.split('|').map(str::trim);
    let mut parts = field.split('|');
    if !field.contains('|') {
        let kind = kinds.next().unwrap_or_default();
        return (kind.is_empty() || kind.eq_ignore_ascii_case(wanted)).then_some(field);
    }
    parts.nth(kinds.position(|kind| kind.eq_ignore_ascii_case(wanted))?)
}

/// Returns the `Accept-Encoding` for the vendor. If the body of an answer, be it only an error's,
/// may have to be read, only encodings that can be decoded here are asked for; otherwise the
/// caller's value stays.
pub fn accept_encoding(profile: &Profile, callers: Option<&str>) -> Option<String> {
    let reading = &profile.reading;
    let says = [&reading.codes, &reading.counts, &reading.wait, &reading.xml_codes, &reading.words];
    if !reading.every && says.iter().all(|places| places.is_empty()) {
        return callers.map(str::to_owned);
    }
    let known = |coding: &&str| {
        let name = coding.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        matches!(name.as_str(), "gzip" | "x-gzip" | "deflate" | "identity")
    };
    let kept: Vec<_> = callers.unwrap_or_default().split(',').map(str::trim).filter(known).collect();
    Some(if kept.is_empty() { "identity".to_owned() } else { kept.join(", ") })
}

fn applies(rule: &Rule, answer: &Answered) -> bool {
    let any = |list: bool, matches: bool| list || matches;
    let code = answer.said.and_then(|said| said.code.as_deref());
    let header = || {
        rule.header.as_ref().is_none_or(|(name, expected)| {
            value(answer.headers, name)
                .is_some_and(|value| expected.as_ref().is_none_or(|expected| value.trim() == expected))
        })
    };
    any(rule.status.is_empty(), rule.status.iter().any(|(low, high)| (*low..=*high).contains(&answer.status)))
        && any(rule.codes.is_empty(), code.is_some_and(|code| rule.codes.iter().any(|known| known == code)))
        && any(rule.message.is_empty(), has_words(rule, answer))
        && any(
            rule.text.is_empty(),
            answer.said.is_some_and(|said| rule.text.iter().any(|text| said.words.contains(text))),
        )
        && rule.json.is_none_or(|expected| expected == is_json(answer))
        && header()
}

fn has_words(rule: &Rule, answer: &Answered) -> bool {
    let message = answer.said.and_then(|said| said.message.as_deref()).unwrap_or_default().to_ascii_lowercase();
    rule.message.iter().any(|words| message.contains(&words.to_ascii_lowercase()))
}

fn is_json(answer: &Answered) -> bool {
    value(answer.headers, "content-type").is_some_and(|kind| kind.to_ascii_lowercase().contains("json"))
}

/// Interprets the status by HTTP (RFC 9110, RFC 6585), unless the body says otherwise.
/// `retry_after`: there is a Retry-After that can be read.
fn by_http(answer: &Answered, retry_after: bool) -> Meaning {
    match answer.status {
        ..=399 if answer.said.is_some_and(|said| said.bad) => Meaning::Final,
        ..=399 => Meaning::Good,
        401 => Meaning::Expired,
        429 => Meaning::Rate,
        // A 503 that gives a time to come back asks for a pause.
        503 if retry_after => Meaning::Rate,
        408 | 425 | 500 | 503 => Meaning::Transient,
        // A gateway answered. 520 to 527 are Cloudflare's own, for an origin that broke off or did
        // not answer.
        502 | 504 | 520..=527 => Meaning::Lost,
        _ => Meaning::Final,
    }
}

/// Says what a meaning implies where the profile does not say it.
const fn executed(means: Meaning, status: u16) -> Executed {
    match means {
        Meaning::Good => Executed::Yes,
        Meaning::Expired => Executed::No,
        // A server that failed half way also answers 503.
        Meaning::Rate | Meaning::Concurrency | Meaning::Day if status != 503 => Executed::No,
        Meaning::Final if status >= 400 && status < 500 => Executed::No,
        // By RFC 8470 the request was not processed.
        Meaning::Transient if status == 425 => Executed::No,
        _ => Executed::Maybe,
    }
}

fn leading_number(text: &str) -> Option<u64> {
    let text = text.trim_start();
    text.get(..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))?.parse().ok()
}

#[cfg(test)]
mod tests;
