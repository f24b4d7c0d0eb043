//! Webhooks by the Standard Webhooks specification: payloads, signatures, and what follows on an
//! answer. [`book`] keeps the undelivered messages in memory, [`record`] defines what is stored.
//! The tenant state decides when they are sent.

#![expect(clippy::arithmetic_side_effects, reason = "a rest of at most some hours")]

pub mod book;
pub mod record;

pub use book::Outbox;
pub use record::Message;

use crate::document::text;
use crate::jobs::show::{self, Much};
use crate::jobs::{self, Answer, Record};
use crate::keys::hmac;
use crate::retry::spread;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Serialize;
use sluice_limiter::calendar::rfc3339;

/// The longest payload, bytes. The specification advises less than 20 kB.
pub const MOST_PAYLOAD: usize = 20_000;

/// The time limit from send to the answer's headers, milliseconds. The specification says 15 to 30
/// s.
pub const TIMEOUT_MS: u32 = 15_000;

/// The rest before each attempt, milliseconds: the specification's schedule over three days.
const SCHEDULE_MS: [u64; 10] =
    [0, 5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000, 86_400_000];

/// The beginning of a message's id.
const ID: &str = "msg_";

/// Writes a message's id. It contains no dot, which separates it from the time in the signed text.
pub fn id_text(id: u128) -> String {
    [ID, &jobs::id_text(id)].concat()
}

/// Reads a message's id; `None` for any other text.
pub fn parse_id(text: &str) -> Option<u128> {
    jobs::parse_id(text.strip_prefix(ID)?)
}

/// Returns the value of `webhook-signature`, or `None` if the secret does not have the
/// specification's form. `seconds`: Unix time of the attempt.
pub fn sign(secret: &str, id: &str, seconds: i64, body: &str) -> Option<String> {
    let secret = secret.strip_prefix("whsec_")?;
    let key = STANDARD.decode(secret).or_else(|_| STANDARD_NO_PAD.decode(secret)).ok()?;
    let mac = hmac(&key, [id, ".", &seconds.to_string(), ".", body].concat().as_bytes());
    Some(["v1,", &STANDARD.encode(mac)].concat())
}

/// Hashes the receiver of a message (scheme, host and port) to a number with 32-bit FNV-1a. Two
/// receivers that collide share their bound on messages in flight, and nothing else.
pub fn receiver(url: &str) -> u32 {
    let origin = url.splitn(4, '/').take(3).flat_map(str::bytes);
    origin.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The message is delivered.
    Delivered,
    /// The next attempt comes after this many milliseconds.
    After(u64),
    /// The message becomes a dead letter with this error.
    Dead(&'static str),
}

/// Decides what follows an answer with that status (0: there was none) after this many `attempts`.
/// `random` covers all of `u64`.
pub fn next(status: u16, attempts: u32, retry_after_ms: Option<u64>, random: u64) -> Next {
    match status {
        200..=299 => return Next::Delivered,
        410 => return Next::Dead("gone"),
        _ => {}
    }
    match SCHEDULE_MS.get(attempts as usize) {
        // A tenth more or less keeps messages that failed together from coming back together.
        Some(rest) => {
            Next::After((rest - rest / 10).saturating_add(spread(random, rest / 5)).max(retry_after_ms.unwrap_or(0)))
        }
        None => Next::Dead("attempts-spent"),
    }
}

/// Returns the type and the payload of the message about a job's end. If it is too long, parts are
/// left out: first the body of the vendor's answer, then the answer, then all but what identifies
/// the job.
pub fn outcome(
    tenant: &str,
    id: &str,
    record: &Record,
    path: &str,
    answer: Option<&Answer>,
    now: i64,
) -> (String, String) {
    let kind = ["job.", record.state.as_str()].concat();
    // A body takes at least its own bytes.
    let short = answer.is_none_or(|answer| answer.body.0.len() <= MOST_PAYLOAD);
    for (answer, much) in [(answer, Much::Whole), (answer, Much::NoBody), (None, Much::NoBody)] {
        if much == Much::Whole && !short {
            continue;
        }
        let mut document = show::document(id, record, path, answer, much, now);
        document.tenant = Some(tenant);
        let whole = payload(&kind, now, document);
        if whole.len() <= MOST_PAYLOAD {
            return (kind, whole);
        }
    }
    let short = ShortDocument {
        id,
        state: record.state.as_str(),
        connection: &record.connection,
        app: &record.app,
        error: record.error.as_deref(),
        tenant,
    };
    let whole = payload(&kind, now, short);
    (kind, whole)
}

/// The payload of a message in the form of Standard Webhooks.
#[derive(Serialize)]
struct Payload<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    timestamp: String,
    data: T,
}

/// Writes the payload of a message of that type as JSON.
pub fn payload(kind: &str, now: i64, data: impl Serialize) -> String {
    text(&Payload { kind, timestamp: rfc3339(now), data })
}

/// What identifies a job.
#[derive(Serialize)]
struct ShortDocument<'a> {
    id: &'a str,
    state: &'static str,
    connection: &'a str,
    app: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    tenant: &'a str,
}

#[cfg(test)]
mod tests;
