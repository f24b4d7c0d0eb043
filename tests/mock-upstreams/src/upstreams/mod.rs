//! The vendors, one file each, with their limits and answers. To add one, write a file with a
//! [`Dialect`] and a line in [`ALL`].

mod aprimo;
mod ga4;
mod generic;
mod hubspot;
mod keap;
mod mailchimp;
mod marketo;
mod salesforce;

use crate::gate::{Refusal, Standing};
use crate::limit::{Kind, Limit};
use crate::wire::{Answer, Head, Payload};

/// The behaviour of a vendor.
#[derive(Debug)]
pub struct Dialect {
    /// The name, as Sluice's policies have it.
    pub name: &'static str,
    /// The limits.
    pub limits: fn() -> Vec<Limit>,
    /// Answers the vendor's own paths; `None` for others.
    pub answer: fn(&Request) -> Option<Answer>,
    /// Answers a call over a limit.
    pub refusal: fn(&Refusal) -> Answer,
    /// Adds what every answer has, such as how much of the limits is used.
    pub decorate: fn(Answer, &Request, &Standings) -> Answer,
    /// Finds the credential in a call.
    pub credential: fn(&Head) -> Option<String>,
    /// Answers a credential that is not valid.
    pub unauthorized: fn() -> Answer,
    /// The path of the token endpoint.
    pub token_path: Option<&'static str>,
    /// Answers with a token and the seconds that it has left.
    pub token: fn(&str, u64) -> Answer,
    /// Answers a wrong secret at the token endpoint.
    pub token_refused: fn() -> Answer,
}

/// Every vendor.
const ALL: &[&Dialect] = &[
    &marketo::MARKETO,
    &hubspot::HUBSPOT,
    &aprimo::APRIMO,
    &salesforce::SALESFORCE,
    &mailchimp::MAILCHIMP,
    &ga4::MEASUREMENT,
    &ga4::DATA,
    &keap::KEY,
    &keap::OAUTH,
    &generic::GENERIC,
];

/// Returns the vendor of a name.
pub fn find(name: &str) -> Option<&'static Dialect> {
    ALL.iter().find(|dialect| dialect.name == name).copied()
}

/// Yields the vendors' names.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|dialect| dialect.name)
}

/// A call that must be answered.
#[derive(Debug)]
pub struct Request<'a> {
    /// Its head.
    pub head: &'a Head,
    /// Its body.
    pub payload: &'a Payload,
    /// Its number in the journal.
    pub number: u64,
}

/// How much of the limits is used when the answer leaves.
#[derive(Debug)]
pub struct Standings {
    /// Each limit.
    pub limits: Vec<Standing>,
    /// The vendor's calendar, Unix milliseconds.
    pub civil_ms: i64,
}

impl Request<'_> {
    /// Whether it has this method and path.
    pub fn is(&self, method: &str, path: &str) -> bool {
        self.head.method == method && self.head.path() == path
    }

    /// Returns a field of the form body, or a query parameter.
    pub fn form(&self, name: &str) -> Option<String> {
        self.payload.form(name).or_else(|| self.head.query(name))
    }
}

/// Adds nothing to an answer, as most vendors do.
fn plain(answer: Answer, _: &Request, _: &Standings) -> Answer {
    answer
}

/// Returns the token of `Authorization: Bearer …`.
fn bearer(head: &Head) -> Option<String> {
    let (scheme, token) = head.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// Returns OAuth's answer to a wrong secret (RFC 6749, section 5.2).
fn invalid_client() -> Answer {
    Answer::json(
        401,
        &serde_json::json!({"error": "invalid_client", "error_description": "Invalid client credentials"}),
    )
}

/// Returns OAuth's answer with a token (RFC 6749, section 5.1).
fn oauth_token(token: &str, seconds: u64) -> Answer {
    Answer::json(200, &serde_json::json!({"access_token": token, "token_type": "Bearer", "expires_in": seconds}))
}

/// Returns OAuth's answer with a refresh token that changes each time, as Keap's does.
fn rotating_token(token: &str, seconds: u64) -> Answer {
    let refresh = format!("refresh-{token}");
    let body = serde_json::json!({"access_token": token, "refresh_token": refresh, "token_type": "bearer", "expires_in": seconds, "scope": "full|mock"});
    Answer::json(200, &body)
}

/// Returns the whole seconds until the limit of a refusal takes a call again, at least 1.
fn retry_seconds(refusal: &Refusal) -> u64 {
    refusal.retry_us.map_or(1, |us| us.div_ceil(1_000_000).max(1))
}

/// Whether a limit is for a day.
const fn daily(limit: &Limit) -> bool {
    matches!(limit.kind, Kind::Daily { .. })
}
