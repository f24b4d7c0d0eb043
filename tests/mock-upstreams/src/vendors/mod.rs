//! One file a vendor: its limits and its words. A new vendor is a file with a [`Dialect`] and a line in [`ALL`].

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

/// How a vendor speaks.
#[derive(Debug)]
pub struct Dialect {
    /// Its name, as Sluice's policies have it.
    pub name: &'static str,
    /// Its limits.
    pub limits: fn() -> Vec<Limit>,
    /// Its own paths; `None` for those it has not.
    pub answer: fn(&Request) -> Option<Answer>,
    /// What it says to a call over a limit.
    pub refusal: fn(&Refusal) -> Answer,
    /// What it puts on every answer, such as how far the limits are used.
    pub decorate: fn(Answer, &Request, &Standings) -> Answer,
    /// Where the credential is in a call.
    pub credential: fn(&Head) -> Option<String>,
    /// What it says to a credential that does not hold.
    pub unauthorized: fn() -> Answer,
    /// Its token endpoint.
    pub token_path: Option<&'static str>,
    /// A token, and the seconds it has left.
    pub token: fn(&str, u64) -> Answer,
    /// What the token endpoint says to a wrong secret.
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

/// The vendor of a name.
pub fn find(name: &str) -> Option<&'static Dialect> {
    ALL.iter().find(|dialect| dialect.name == name).copied()
}

/// The vendors' names.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|dialect| dialect.name)
}

/// A call that is to be answered.
#[derive(Debug)]
pub struct Request<'a> {
    /// Its head.
    pub head: &'a Head,
    /// Its body.
    pub payload: &'a Payload,
    /// Its number in the journal.
    pub number: u64,
}

/// How far the limits are used when the answer leaves.
#[derive(Debug)]
pub struct Standings {
    /// Each limit.
    pub limits: Vec<Standing>,
    /// The vendor's calendar, Unix milliseconds.
    pub civil_ms: i64,
}

impl Request<'_> {
    /// The method and the path.
    pub fn is(&self, method: &str, path: &str) -> bool {
        self.head.method == method && self.head.path() == path
    }

    /// A field of the form body, or a query parameter.
    pub fn form(&self, name: &str) -> Option<String> {
        self.payload.form(name).or_else(|| self.head.query(name))
    }
}

/// What most vendors put on an answer: nothing.
fn plain(answer: Answer, _: &Request, _: &Standings) -> Answer {
    answer
}

/// `Authorization: Bearer …`.
fn bearer(head: &Head) -> Option<String> {
    let (scheme, token) = head.header("authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// OAuth's answer to a wrong secret (RFC 6749, 5.2).
fn invalid_client() -> Answer {
    Answer::json(
        401,
        &serde_json::json!({"error": "invalid_client", "error_description": "Invalid client credentials"}),
    )
}

/// OAuth's answer with a token (RFC 6749, 5.1).
fn oauth_token(token: &str, seconds: u64) -> Answer {
    Answer::json(200, &serde_json::json!({"access_token": token, "token_type": "Bearer", "expires_in": seconds}))
}

/// The same with a refresh token that changes each time, as Keap has it.
fn rotating_token(token: &str, seconds: u64) -> Answer {
    let refresh = format!("refresh-{token}");
    let body = serde_json::json!({"access_token": token, "refresh_token": refresh, "token_type": "bearer", "expires_in": seconds, "scope": "full|mock"});
    Answer::json(200, &body)
}

/// Whole seconds until a refusal's limit takes a call again, at least 1.
fn retry_seconds(refusal: &Refusal) -> u64 {
    refusal.retry_us.map_or(1, |us| us.div_ceil(1_000_000).max(1))
}

/// Whether a limit is of a day.
const fn daily(limit: &Limit) -> bool {
    matches!(limit.kind, Kind::Daily { .. })
}
