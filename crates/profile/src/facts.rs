//! The facts of a vendor's profile.

use crate::document::Tree;
use serde::{Deserialize, Serialize};

/// A vendor as data: a file of the core, or a connection's inline `profile`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The name of the built-in profile, or `inline`.
    pub name: String,
    /// The name that people use for the vendor.
    pub title: String,
    /// What shows that two connections belong to one account, which shares its limits.
    pub account: Account,
    /// The base URL of connections that give none, without a trailing slash.
    pub base_url: Option<String>,
    /// The limits in the form of a policy's `limits`, before any share.
    pub limits: Vec<Tree>,
    /// The share of connections that give none, parts per million.
    pub share_ppm: u32,
    /// The time limit from send to last byte, seconds, of connections that give none.
    pub timeout_seconds: u32,
    /// How long the vendor may go on working after a call was cut off, seconds.
    pub ceiling_seconds: u32,
    /// Whether the vendor counts a call when it ends rather than when it arrives.
    pub counts_at_completion: bool,
    /// Where the key may be besides `Sluice-Key`: where the vendor's clients put a credential.
    pub key_in: Vec<KeyPlace>,
    /// Where the vendor's clients give another method than the request line's, each on some routes;
    /// an empty list stands for all.
    pub method_in: Vec<(MethodPlace, Vec<String>)>,
    /// Where a token goes, be it of `bearer` or one that was fetched.
    pub token_in: TokenPlace,
    /// Headers in which a token goes too: on some routes, and wherever the key came in that header.
    pub token_also_in: Vec<AlsoIn>,
    /// Where the vendor's clients fetch a token.
    pub token_endpoint: Option<TokenEndpoint>,
    /// The longest path and query together that the vendor takes, by route; the first that matches
    /// counts.
    pub uri_bytes: Vec<SizeLimit>,
    /// The largest bodies that the vendor takes, by route; the first that matches counts.
    pub bodies: Vec<SizeLimit>,
    /// The most records that one call may have, by route; the first that matches counts.
    pub batches: Vec<Batch>,
    /// How the bodies of the vendor's answers are read.
    pub reading: Reading,
    /// What the vendor's answers mean. The first rule that matches counts, then the rules of HTTP.
    pub answers: Vec<Rule>,
    /// Whether the vendor honours `Idempotency-Key`.
    pub idempotency_key: bool,
    /// The routes of calls that may be repeated whatever became of them, besides GET, HEAD and
    /// OPTIONS.
    pub repeatable: Vec<String>,
    /// Whether GET, HEAD and OPTIONS change nothing at the vendor.
    pub safe_methods: bool,
    /// The wording of refusals.
    pub dialect: Dialect,
    /// The answers that may be cached, by route.
    pub cache: Vec<Cache>,
    /// Where the vendor's answers tell how much of a limit it has counted.
    pub counts: Vec<VendorCount>,
    /// The text of an inline profile, so that it can be passed on.
    pub text: Option<String>,
}

/// What identifies an account at a vendor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Account {
    /// Each account has its own host.
    Host,
    /// Each account has its own credentials.
    Credential,
    /// Nothing that a policy has identifies it.
    #[default]
    Unknown,
}

/// A place for the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// `Authorization`, under any scheme, Basic included.
    Authorization,
    /// The header of this name.
    Header(String),
    /// The query parameter of this name.
    Query(String),
    /// The last segment of a path on this route, which ends with `*`: a token is looked up. The
    /// real token replaces the key.
    Path(String),
    /// The string at this pointer of a JSON body, on these routes. The real token replaces the key.
    Json(String, Vec<String>),
}

/// A place where a request gives another method than its first line's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MethodPlace {
    /// The header of this name.
    Header(String),
    /// The query parameter of this name.
    Query(String),
    /// The form field of this name.
    Form(String),
}

impl MethodPlace {
    /// Returns the name of the header, parameter or field.
    pub fn name(&self) -> &str {
        match self {
            Self::Header(name) | Self::Query(name) | Self::Form(name) => name,
        }
    }
}

/// A header in which a token goes besides its usual place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlsoIn {
    /// The header's name.
    pub header: String,
    /// The text before the token.
    pub prefix: String,
    /// The routes on which it goes there. If there are none, it does so only where the key came in
    /// that header.
    pub routes: Vec<String>,
}

/// A place for a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenPlace {
    /// A header, with the text before the token.
    Header {
        /// The header's name.
        name: String,
        /// The text before the token, such as `Bearer ` with its space.
        prefix: String,
    },
    /// The query parameter of this name.
    Query(String),
}

impl Default for TokenPlace {
    fn default() -> Self {
        Self::Header { name: "Authorization".to_owned(), prefix: "Bearer ".to_owned() }
    }
}

/// The endpoint at which a vendor's clients fetch a token; Sluice answers in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenEndpoint {
    /// The path below the base URL, where Sluice itself fetches a token.
    pub path: String,
    /// Further paths that clients use for it, as routes without a method.
    pub paths: Vec<String>,
    /// The routes on which clients revoke a token. Sluice answers that it was revoked, and the key
    /// stays valid.
    pub revoke: Vec<String>,
    /// The routes on which clients ask about a token. Sluice answers for the key (RFC 7662).
    pub introspect: Vec<String>,
    /// The shape of the answer.
    pub shape: TokenShape,
    /// The lifetime that the answer gives, seconds.
    pub expires_in: u32,
    /// Whether the endpoint wants client and secret as Basic authentication rather than in the
    /// form.
    pub basic: bool,
}

/// The shapes of a token endpoint's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenShape {
    /// The shape of RFC 6749.
    OAuth,
    /// Marketo's, with `scope`.
    Marketo,
    /// Salesforce's, with `instance_url`, `id` and `issued_at`, and without `expires_in`.
    Salesforce,
    /// One with `refresh_token` and `scope`: the clients of Keap and HubSpot keep it for the next
    /// exchange.
    Refreshing,
}

/// A bound on bytes for some routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeLimit {
    /// The routes; an empty list stands for all.
    pub routes: Vec<String>,
    /// The most bytes.
    pub bytes: u64,
}

/// A bound on the records of one call for some routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The routes.
    pub routes: Vec<String>,
    /// The most records.
    pub most: u32,
    /// Where the records are.
    pub items: Items,
}

/// Where the records of a call are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Items {
    /// They are the JSON array at this pointer of the body.
    Body(String),
    /// They are listed with commas in this parameter of the query, or of a form.
    List(String),
    /// This parameter of the query is their number.
    Number(String),
}

/// How the bodies of a vendor's answers are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Whether bodies of answers below 400 are read too, since the vendor reports errors with HTTP
    /// 200.
    pub every: bool,
    /// The call succeeded where this pointer leads to this scalar.
    pub good: Vec<(String, String)>,
    /// The call also succeeded where this pointer leads to any value.
    pub good_where: Vec<String>,
    /// Where the error's code is, the best place first.
    pub codes: Vec<String>,
    /// Where the error's message is, the best place first, for rules that use it.
    pub message: Vec<String>,
    /// Where the time of the next try is, the best place first: seconds, or a duration such as
    /// `7s`.
    pub wait: Vec<String>,
    /// The XML elements that hold an error's code, the best first, by their names without a
    /// namespace's prefix.
    pub xml_codes: Vec<String>,
    /// The XML elements that hold an error's message, the best first.
    pub xml_message: Vec<String>,
    /// The words that rules look for in the head of a body of any form, in lower case.
    pub words: Vec<String>,
    /// Where good answers give the vendor's own counts.
    pub counts: Vec<String>,
}

/// A rule for the meaning of answers. It applies if all its conditions are met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The status is one of these, or in one of these ranges; an empty list stands for any.
    pub status: Vec<(u16, u16)>,
    /// The code in the body is one of these; an empty list stands for any.
    pub codes: Vec<String>,
    /// The message in the body contains one of these, in any case of ASCII letters; an empty list
    /// stands for any.
    pub message: Vec<String>,
    /// The head of the body, of any form, contains one of these, in any case of ASCII letters; an
    /// empty list stands for any.
    pub text: Vec<String>,
    /// The answer has this header and, where one is given, with this value.
    pub header: Option<(String, Option<String>)>,
    /// Whether the body must be JSON, or must not be.
    pub json: Option<bool>,
    /// The meaning.
    pub means: Meaning,
    /// Whether the call was executed, where that differs from what the meaning implies.
    pub executed: Option<Executed>,
    /// When to try again if the answer does not say, seconds.
    pub retry_after_seconds: Option<u32>,
}

/// The meaning of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The call succeeded.
    Good,
    /// The call failed, and would fail again.
    Final,
    /// The call failed, and may succeed the next time.
    Transient,
    /// The credential has expired: it is renewed, and the call is sent once more.
    Expired,
    /// The vendor throttled the call by a rate or window.
    Rate,
    /// The vendor throttled the call by a limit on concurrent calls.
    Concurrency,
    /// The vendor throttled the call by the day's quota.
    Day,
    /// Something on the way answered, and the vendor may still be at work.
    Lost,
}

/// Whether the vendor executed a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Executed {
    /// It executed the call.
    Yes,
    /// It did not execute the call, which may be repeated whatever its method.
    No,
    /// It may have executed the call.
    Maybe,
}

/// The vendor in whose form a refusal is worded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dialect {
    /// None: refusals are problem documents.
    #[default]
    Generic,
    /// Marketo: errors with HTTP 200.
    Marketo,
    /// HubSpot: 429 with a `policyName`.
    HubSpot,
    /// Salesforce: 403 for the day, 503 for the rest, with an array.
    Salesforce,
    /// Aprimo: 429 with a bare message.
    Aprimo,
    /// Mailchimp: its own problem documents.
    Mailchimp,
    /// Keap: 429 with `Request Throttled`.
    Keap,
    /// Google: 429 with `RESOURCE_EXHAUSTED`.
    Google,
}

impl Dialect {
    /// The dialects by the names that profiles give them.
    pub(crate) const NAMES: [(&'static str, Self); 8] = [
        ("generic", Self::Generic),
        ("marketo", Self::Marketo),
        ("hubspot", Self::HubSpot),
        ("salesforce", Self::Salesforce),
        ("aprimo", Self::Aprimo),
        ("mailchimp", Self::Mailchimp),
        ("keap", Self::Keap),
        ("google", Self::Google),
    ];

    /// Returns the dialect's name.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(_, dialect)| *dialect == self).map_or("generic", |(name, _)| name)
    }

    /// Returns the dialect of that name, or that of problem documents if there is none.
    pub fn named(name: &str) -> Self {
        Self::NAMES.iter().find(|(known, _)| *known == name).map_or(Self::Generic, |(_, dialect)| *dialect)
    }
}

/// A rule for answers that may be cached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// The route of the calls.
    pub route: String,
    /// How long an answer is kept, seconds.
    pub seconds: u32,
}

/// Where a vendor gives its own count of a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorCount {
    /// The name of the limit.
    pub limit: String,
    /// The place of the count.
    pub place: CountPlace,
    /// The count is the number that follows this text; an empty one stands for the first number.
    pub after: String,
    /// Whether the number is what is left.
    pub left: bool,
    /// The header with the whole of which the number is what is left.
    pub left_of: Option<String>,
    /// Where the total is, unless in `left_of`.
    pub total: Option<TotalPlace>,
    /// The place has several parts, separated by bars. The count is in the part whose counterpart
    /// in this header has this value.
    pub among: Option<(String, String)>,
}

/// Where the total of a count is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TotalPlace {
    /// It is in this header, which has as many parts as the count's.
    Header(String),
    /// It follows the count and this text.
    After(String),
}

/// Where a count is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CountPlace {
    /// It is in this header.
    Header(String),
    /// It is at this pointer of the body, given as an index into `Reading::counts`.
    Body(usize),
}
