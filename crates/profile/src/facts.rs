//! What is known of a vendor.

use crate::document::Tree;
use serde::{Deserialize, Serialize};

/// A vendor, as data: a file of the core's, or a connection's inline `profile`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The built-in's name, or `inline`.
    pub name: String,
    /// What people call the vendor.
    pub title: String,
    /// By what it is seen that two connections are of one account, which shares its limits.
    pub account: Account,
    /// Where its calls go when the connection does not say; without a trailing slash.
    pub base_url: Option<String>,
    /// Its limits, in the form of a policy's `limits`, before any share.
    pub limits: Vec<Tree>,
    /// The part of its limits that a connection takes when it does not say, parts per million.
    pub share_ppm: u32,
    /// From send to last byte, seconds, when the connection does not say.
    pub timeout_seconds: u32,
    /// How long the vendor may go on working after a call was cut off, seconds.
    pub ceiling_seconds: u32,
    /// It counts a call when the call ends, rather than when it comes.
    pub counts_at_completion: bool,
    /// Where the key may stand beside `Sluice-Key`: where its clients put a credential.
    pub key_in: Vec<KeyPlace>,
    /// Where its clients say another method than the request line's, each on some routes; empty for all.
    pub method_in: Vec<(MethodPlace, Vec<String>)>,
    /// Where a token (`bearer`, or one that was fetched) goes.
    pub token_in: TokenPlace,
    /// Headers that it goes in too: on some routes, and wherever the key came in that header.
    pub token_also_in: Vec<AlsoIn>,
    /// Where its clients fetch a token.
    pub token_endpoint: Option<TokenEndpoint>,
    /// The longest path and query together it takes, by route; the first that matches counts.
    pub uri_bytes: Vec<SizeLimit>,
    /// The largest bodies it takes, by route; the first that matches counts.
    pub bodies: Vec<SizeLimit>,
    /// The most that one call may be about, by route; the first that matches counts.
    pub batches: Vec<Batch>,
    /// How its answers' bodies are read.
    pub reading: Reading,
    /// What its answers mean; the first rule that matches counts, then the rules of HTTP.
    pub answers: Vec<Rule>,
    /// It honours `Idempotency-Key`.
    pub idempotency_key: bool,
    /// Calls that may be repeated whatever became of them, as routes; beside GET, HEAD and OPTIONS.
    pub repeatable: Vec<String>,
    /// GET, HEAD and OPTIONS change nothing there.
    pub safe_methods: bool,
    /// How a refusal is said.
    pub dialect: Dialect,
    /// Answers that may be kept, by route.
    pub cache: Vec<Cache>,
    /// Where its answers tell how much of a limit it has counted.
    pub counts: Vec<VendorCount>,
    /// An inline profile's own text, so that it can travel.
    pub text: Option<String>,
}

/// By what an account at a vendor is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Account {
    /// Each has a host of its own.
    Host,
    /// Each has credentials of its own.
    Credential,
    /// By nothing that a policy has.
    #[default]
    Unknown,
}

/// A place for the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// `Authorization`, under any scheme, Basic included.
    Authorization,
    /// This header.
    Header(String),
    /// This query parameter.
    Query(String),
    /// The last segment of a path of this route, which ends with `*`: a token is looked up. The real one goes in its place.
    Path(String),
    /// The string at this pointer of a JSON body, on these routes: the same.
    Json(String, Vec<String>),
}

/// A place where a request says another method than its first line's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MethodPlace {
    /// This header.
    Header(String),
    /// This query parameter.
    Query(String),
    /// This field of a form.
    Form(String),
}

impl MethodPlace {
    /// The name of the header, parameter or field.
    pub fn name(&self) -> &str {
        match self {
            Self::Header(name) | Self::Query(name) | Self::Form(name) => name,
        }
    }
}

/// A header that a token goes in beside its usual place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlsoIn {
    /// Its name.
    pub header: String,
    /// What stands before the token.
    pub prefix: String,
    /// On these; empty for none but those on which the key came there.
    pub routes: Vec<String>,
}

/// A place for a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenPlace {
    /// A header, and what stands in it before the token.
    Header {
        /// Its name.
        name: String,
        /// `Bearer `, with its space.
        prefix: String,
    },
    /// A query parameter.
    Query(String),
}

impl Default for TokenPlace {
    fn default() -> Self {
        Self::Header { name: "Authorization".to_owned(), prefix: "Bearer ".to_owned() }
    }
}

/// Where a vendor's clients fetch a token; Sluice answers in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenEndpoint {
    /// Its path, as it follows the base URL: where Sluice itself fetches a token.
    pub path: String,
    /// Further paths of it that clients use, as routes without a method.
    pub paths: Vec<String>,
    /// Routes on which clients give a token back. A key is not given back: it is answered that it was.
    pub revoke: Vec<String>,
    /// Routes on which clients ask about a token. What is so of a key Sluice answers (RFC 7662).
    pub introspect: Vec<String>,
    /// Whose answer it is.
    pub shape: TokenShape,
    /// How long the token is said to work, seconds.
    pub expires_in: u32,
    /// It wants client and secret as Basic authentication, not in the form.
    pub basic: bool,
}

/// The shapes of a token endpoint's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenShape {
    /// RFC 6749.
    OAuth,
    /// With `scope`.
    Marketo,
    /// With `instance_url`, `id`, `issued_at`, no `expires_in`.
    Salesforce,
    /// With `refresh_token` and `scope`: Keap's and HubSpot's clients keep it for the next exchange.
    Refreshing,
}

/// The most bytes of something on some routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeLimit {
    /// For these; empty for all.
    pub routes: Vec<String>,
    /// Bytes.
    pub bytes: u64,
}

/// The most that one call of some routes may be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// For these.
    pub routes: Vec<String>,
    /// Records, or whatever is listed.
    pub most: u32,
    /// Where they are.
    pub items: Items,
}

/// Where the records of a call are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Items {
    /// The JSON array at this pointer of the body.
    Body(String),
    /// Listed with commas in this parameter of the query, or of a form.
    List(String),
    /// Asked for by number in this parameter of the query.
    Number(String),
}

/// How the bodies of a vendor's answers are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Also those of answers below 400: the vendor says errors in HTTP 200.
    pub every: bool,
    /// A call went well where this pointer leads to this scalar.
    pub good: Vec<(String, String)>,
    /// … or where this pointer leads to anything.
    pub good_where: Vec<String>,
    /// Where the error's code is, the best first.
    pub codes: Vec<String>,
    /// Where its words are, the best first, for rules that go by them.
    pub message: Vec<String>,
    /// Where it says when to ask again, the best first: seconds, or a duration such as `7s`.
    pub wait: Vec<String>,
    /// The XML elements that hold an error's code, the best first, by their names without a namespace's prefix.
    pub xml_codes: Vec<String>,
    /// The XML elements that hold an error's words, the best first.
    pub xml_message: Vec<String>,
    /// Words that rules look for in the head of a body of any form, in lower case.
    pub words: Vec<String>,
    /// Where good answers tell the vendor's own counts.
    pub counts: Vec<String>,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// One of these statuses, or ranges of them; empty for any.
    pub status: Vec<(u16, u16)>,
    /// One of these codes in the body; empty for any.
    pub codes: Vec<String>,
    /// One of these in the body's message, whatever the case of their ASCII letters; empty for any.
    pub message: Vec<String>,
    /// One of these in the head of the body, whatever its form and the case of ASCII letters; empty for any.
    pub text: Vec<String>,
    /// This header, and, where given, with this value.
    pub header: Option<(String, Option<String>)>,
    /// With a JSON body, or without one.
    pub json: Option<bool>,
    /// What it means.
    pub means: Meaning,
    /// Whether the call was executed, where that differs from what the meaning implies.
    pub executed: Option<Executed>,
    /// When to ask again where the answer does not say, seconds.
    pub retry_after_seconds: Option<u32>,
}

/// The meaning of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// It went well.
    Good,
    /// It did not, and would not the next time.
    Final,
    /// It did not, and might the next time.
    Transient,
    /// The credential has expired: renew it, ask once more.
    Expired,
    /// Throttled by a rate or window.
    Rate,
    /// Throttled by a limit on calls at once.
    Concurrency,
    /// Throttled by the day's quota.
    Day,
    /// Answered by something on the way: the vendor may still be at work.
    Lost,
}

/// Whether a call took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Executed {
    /// It did.
    Yes,
    /// It did not: it may be repeated, whatever its method.
    No,
    /// It may have.
    Maybe,
}

/// Whose shapes a refusal has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dialect {
    /// Problem documents.
    #[default]
    Generic,
    /// Errors in HTTP 200.
    Marketo,
    /// `policyName`.
    HubSpot,
    /// 403 for the day, 503 for the rest, an array.
    Salesforce,
    /// A bare message.
    Aprimo,
    /// Problem documents of its own.
    Mailchimp,
    /// `Request Throttled`.
    Keap,
    /// `RESOURCE_EXHAUSTED`.
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

    /// Its name.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(_, dialect)| *dialect == self).map_or("generic", |(name, _)| name)
    }

    /// The dialect of that name; none named is problem documents.
    pub fn named(name: &str) -> Self {
        Self::NAMES.iter().find(|(known, _)| *known == name).map_or(Self::Generic, |(_, dialect)| *dialect)
    }
}

/// Answers that may be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// Of this route.
    pub route: String,
    /// For so long.
    pub seconds: u32,
}

/// Where a vendor tells how much it has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorCount {
    /// Of the limit of this name.
    pub limit: String,
    /// In this header, or at this JSON pointer of a good answer's body.
    pub place: CountPlace,
    /// The number that follows this text in it; empty for the first.
    pub after: String,
    /// The number is what is left.
    pub left: bool,
    /// The number is what is left, and this header has the whole.
    pub left_of: Option<String>,
    /// Where its total stands, if not in `left_of`.
    pub total: Option<TotalPlace>,
    /// There are several, with a bar between them: that one whose part of this header has this value.
    pub among: Option<(String, String)>,
}

/// Where the total of a count stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TotalPlace {
    /// In this header, among several as the count is.
    Header(String),
    /// Right after the count and this text.
    After(String),
}

/// Where a count stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CountPlace {
    /// In this header.
    Header(String),
    /// At this pointer of the body, which is `Reading::counts` of this index.
    Body(usize),
}
