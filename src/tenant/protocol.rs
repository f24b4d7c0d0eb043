//! The wire between a Worker and a tenant's object: one pair of types, in their [`wire`] form in a POST. Both ends are of one release but for the
//! moments of a deploy, and then the other's words do not parse and are asked for again.

use crate::job::{self, Request};
use crate::key::{Claims, Role};
use crate::policy::Credential;
use crate::pool::{Borrow, Lent};
use crate::refusal::Refusal;
use crate::throttle::{Counted, Outcome, PermitId};
use crate::vendor::Profile;
use crate::vendor::grant::{Exchange, Failure, Issued};
use crate::wire::{self, Wire, wire};

/// What a Worker asks of a tenant's object.
#[derive(Debug)]
pub enum Ask {
    /// May this call go? Answered when it may, or with a refusal.
    Admit(Admit),
    /// Where a call would go, without asking to go: for a body whose length is not known before it is read.
    Describe(Admit),
    /// What became of a permit. Answered with [`Reply::Done`], also when repeated.
    Settle(Settle),
    /// What became of a call's permits, those told of before included. Answered with [`Reply::Done`], also when repeated, once all of
    /// it is stored; a life of the object that ends before does not answer, or with [`Reply::Again`].
    Account(Vec<Settle>),
    /// Keep this call and make it later. Answered with [`Reply::Kept`]; or with [`Reply::Answer`], if it ends in time.
    Keep(Box<Keep>),
    /// What became of a job's run: its permit is settled with it. Answered as [`Ask::Account`] is.
    Ran(Box<Ran>),
    /// Jobs, to be seen, replayed or deleted.
    Jobs(Box<JobsAsk>),
    /// What became of an exchange for an access token. Answered with [`Reply::Done`], also when repeated.
    Fetched(Fetched),
    /// What became of a message. Answered with [`Reply::Done`], also when repeated.
    Delivered(Delivered),
    /// The caller of this call has gone: if it still waits, it gives up its place. Its own ask is answered all the same,
    /// so that a permit already on its way is settled as unused. Heeded by the object's shell, which knows who waits.
    Gone(String),
    /// A connection borrows of a pool, whose object this is.
    Borrow(Borrow),
    /// `GET /status.json`. For the WebSocket the Worker passes the upgrade itself on, to `/live`.
    Status(Claims),
    /// The statistics.
    Figures(Claims, Figures),
    /// An administrator's call, already authorised.
    Admin(Admin),
    /// The list of tenants, which the object named `*` keeps.
    Directory(Directory),
}

wire!(enum Ask {
    0 Admit(a), 1 Describe(a), 2 Settle(a), 3 Keep(a), 4 Ran(a), 5 Jobs(a), 6 Fetched(a), 7 Delivered(a),
    8 Gone(a), 9 Borrow(a), 10 Status(a), 11 Figures(a, b), 12 Admin(a), 13 Directory(a), 14 Account(a),
});

/// Which statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Figures {
    /// Counts by day.
    Days {
        /// Errors by code, rather than calls by app.
        errors: bool,
        /// The last seven days, rather than today.
        week: bool,
        /// Of this connection, on its own quota days; without, of all, on UTC days.
        connection: Option<String>,
    },
    /// Everything, in Prometheus' text format.
    Metrics,
}

wire!(enum Figures { 0 Days { errors, week, connection }, 1 Metrics });

/// The list of tenants.
#[derive(Debug)]
pub enum Directory {
    /// Enters a name, before its tenant is created.
    Add(String),
    /// Strikes a name out, after its tenant was removed.
    Remove(String),
    /// All names.
    List,
}

wire!(enum Directory { 0 Add(a), 1 Remove(a), 2 List });

/// An administrator's call.
#[derive(Debug)]
pub enum Admin {
    /// Create or replace the policy; the text as sent.
    PutPolicy(String),
    /// Read it.
    GetPolicy,
    /// Remove the tenant.
    Delete,
    /// Issue a key.
    CreateKey(NewKey),
    /// List the keys.
    ListKeys,
    /// Revoke one.
    RevokeKey(String),
}

wire!(enum Admin { 0 PutPolicy(a), 1 GetPolicy, 2 Delete, 3 CreateKey(a), 4 ListKeys, 5 RevokeKey(a) });

/// The body of `POST …/keys`.
#[derive(Debug)]
pub struct NewKey {
    /// What the key may do.
    pub role: Role,
    /// The app, for `role: app` alone.
    pub app: Option<String>,
    /// How long it works, seconds; without, until revoked.
    pub expires_in_seconds: Option<u64>,
}

wire!(struct NewKey { role, app, expires_in_seconds });

/// A call that asks to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admit {
    /// The call's id: 128 random bits, hexadecimal. Asking twice with one id takes one permit.
    pub call: String,
    /// What the key says, its MAC and expiry already checked.
    pub claims: Claims,
    /// The connection's name.
    pub connection: String,
    /// The method, upper case.
    pub method: String,
    /// The vendor's path as sent, from its first `/`, without the query.
    pub path: String,
    /// Length of path and query as the vendor will see them, bytes.
    pub uri_bytes: u32,
    /// What is known of the body.
    pub body: BodyLength,
    /// The caller is a page in a browser (`Origin` or `Sec-Fetch-Site`).
    pub page: bool,
    /// The page's origin, where it is sent.
    pub origin: Option<String>,
    /// Sluice's own page asks.
    pub own_origin: bool,
    /// The key came in `Sluice-Key`.
    pub key_apart: bool,
    /// `Prefer: wait`, milliseconds.
    pub wait_ms: Option<u64>,
    /// RFC 9218 urgency, 0 first.
    pub urgency: u8,
    /// An earlier ask of this call may have been heard.
    pub again: bool,
    /// The version of the route the Worker remembers, so that it need not be sent again; 0: none.
    pub knows: u64,
    /// The mark of the access token that the Worker holds, so that it need not be sent again; 0: none.
    pub holds: u64,
    /// The mark of the access token with which the vendor has refused this call; 0: none. Then another is wanted.
    pub rejected: u64,
}

wire!(struct Admit {
    call, claims, connection, method, path, uri_bytes, body, page, origin, own_origin, key_apart, wait_ms,
    urgency, again, knows, holds, rejected,
});

/// A call to be kept and made later.
#[derive(Debug)]
pub struct Keep {
    /// What it would ask to go by.
    pub admit: Admit,
    /// What is to be sent.
    pub request: Request,
    /// When it came, Unix ms: with the call's id this makes the job's, so that asking twice keeps one.
    pub made: i64,
    /// Its `Idempotency-Key`.
    pub key: Option<String>,
    /// How long its caller waits for its end, milliseconds; 0: not at all.
    pub wait_ms: u64,
}

wire!(struct Keep { admit, request, made, key, wait_ms });

/// What became of a job's run.
#[derive(Debug, Clone)]
pub struct Ran {
    /// What becomes of the permit. With an outcome of `Unused` nothing was sent.
    pub settle: Settle,
    /// The job's id.
    pub job: String,
    /// Which of its runs.
    pub run: u32,
    /// Whether the vendor says that it took effect; none where that is not known.
    pub executed: Option<bool>,
    /// The same call might go well if made again.
    pub transient: bool,
    /// When the vendor says to ask again, milliseconds from the answer.
    pub retry_after_ms: Option<u64>,
    /// The mark of the access token that the vendor has refused; 0: none.
    pub rejected: u64,
    /// What the vendor answered, where all of it came.
    pub answer: Option<job::Answer>,
}

wire!(struct Ran { settle, job, run, executed, transient, retry_after_ms, rejected, answer });

/// An ask about jobs, by a key whose MAC and expiry are checked.
#[derive(Debug)]
pub struct JobsAsk {
    /// What the key says.
    pub claims: Claims,
    /// The caller is a page in a browser.
    pub page: bool,
    /// The page's origin, where it is sent.
    pub origin: Option<String>,
    /// Sluice's own page asks.
    pub own_origin: bool,
    /// What is asked.
    pub what: JobsWhat,
}

wire!(struct JobsAsk { claims, page, origin, own_origin, what });

/// What may be asked about jobs. Ids as they were written.
#[derive(Debug)]
pub enum JobsWhat {
    /// Which there are, the newest first.
    List {
        /// Dead letters alone.
        dead: bool,
        /// Those in this state alone.
        state: Option<job::State>,
        /// So many at most.
        limit: u32,
        /// Those made before this one.
        after: Option<String>,
    },
    /// One of them.
    Show(String),
    /// The vendor's answer to it.
    Answer(String),
    /// Forget it; with true, only if it is a dead letter.
    Delete(String, bool),
    /// Make a dead letter's call again.
    Replay(String),
    /// The same for all of them.
    ReplayAll,
}

wire!(enum JobsWhat {
    0 List { dead, state, limit, after }, 1 Show(a), 2 Answer(a), 3 Delete(a, b), 4 Replay(a), 5 ReplayAll,
});

impl JobsWhat {
    /// It changes nothing.
    pub const fn looks(&self) -> bool {
        matches!(self, Self::List { .. } | Self::Show(_) | Self::Answer(_))
    }
}

/// An access token to fetch: for whoever is told so, and nobody else.
#[derive(Debug)]
pub struct Fetch {
    /// What to send.
    pub exchange: Exchange,
    /// To report with.
    pub whose: u64,
    /// To report with.
    pub began: i64,
}

wire!(struct Fetch { exchange, whose, began });

/// What became of an exchange.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The connection's name.
    pub connection: String,
    /// From [`Fetch`].
    pub whose: u64,
    /// From [`Fetch`].
    pub began: i64,
    /// A token, or why there is none.
    pub result: Result<Issued, Failure>,
}

wire!(struct Fetched { connection, whose, began, result });

/// What became of a message that was sent.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// Its id, as it was sent.
    pub id: String,
    /// From [`super::errand::Delivery`].
    pub attempt: u32,
    /// The receiver's status, or 0.
    pub status: u16,
    /// Why there is none: `timeout` or `unreachable`.
    pub error: Option<String>,
    /// When the receiver says to try again, milliseconds from its answer.
    pub retry_after_ms: Option<u64>,
}

wire!(struct Delivered { id, attempt, status, error, retry_after_ms });

/// An access token. Its `Debug` shows only which one it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The token.
    pub token: String,
    /// Its mark.
    pub mark: u64,
}

wire!(struct Bearer { token, mark });

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bearer").field("mark", &self.mark).finish_non_exhaustive()
    }
}

/// What is known of a request's body before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// No body, or this many bytes.
    Bytes(u64),
    /// Chunked.
    Unknown,
}

wire!(enum BodyLength { 0 Bytes(a), 1 Unknown });

/// What became of a permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settle {
    /// The connection's name.
    pub connection: String,
    /// The permit.
    pub permit: PermitId,
    /// 1 for the first try to report, then 2, 3 …
    pub attempt: u32,
    /// Its end.
    pub outcome: Outcome,
    /// How long ago the vendor's headers came, milliseconds, where they did.
    pub since_headers_ms: u64,
    /// Bytes of the answer's body as received.
    pub response_bytes: u64,
    /// The vendor's status, or 0.
    pub status: u16,
    /// What the answer told of the vendor's own counts.
    pub counts: Vec<Counted>,
    /// The code for the error statistics: in the vendor's body, else the status, else `timeout` or `unreachable`; none for a good answer.
    pub error_code: Option<String>,
    /// What the statistics count; none for a permit that was not used.
    pub sent: Option<Sent>,
}

wire!(struct Settle {
    connection, permit, attempt, outcome, since_headers_ms, response_bytes, status, counts, error_code, sent,
});

/// A vendor call that was made, as the statistics see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The app that called.
    pub app: String,
    /// The method, upper case.
    pub method: String,
    /// The vendor's path with its ids folded ([`crate::usage::fold`]), without the query.
    pub path: String,
    /// Which vendor call this was of the caller's one: 1, and more for its repeats.
    pub nth: u32,
    /// How long ago it was sent, milliseconds.
    pub ago_ms: u64,
}

wire!(struct Sent { app, method, path, nth, ago_ms });

/// What the object answers.
#[derive(Debug)]
pub enum Reply {
    /// The call may go, once, within the permit's slack.
    Go(Go),
    /// It may not.
    No(No),
    /// An access token is wanted first: fetch it, report it, ask again.
    Fetch(Box<Fetch>),
    /// No better token than the refused one is to be had now: the vendor's answer stands.
    Stands,
    /// [`Ask::Describe`].
    Route(Box<Route>),
    /// [`Ask::Borrow`].
    Lent(Lent),
    /// The id of a job that is kept.
    Kept(String),
    /// A job's answer.
    Answer(Box<job::Answer>),
    /// Done.
    Done,
    /// An administrator's answer, or the status: an HTTP status and a JSON document.
    Document {
        /// HTTP status.
        status: u16,
        /// JSON; empty with 204.
        body: String,
        /// What holds but may not be meant, one sentence each.
        warnings: Vec<String>,
    },
    /// A document that is not valid: 400, with every fault by its JSON pointer.
    Invalid(Vec<(String, String)>),
    /// The object lost its memory or its storage between: ask again, with the same call id.
    Again,
}

wire!(enum Reply {
    0 Go(a), 1 No(a), 2 Fetch(a), 3 Stands, 4 Route(a), 5 Lent(a), 6 Kept(a), 7 Answer(a), 8 Done,
    9 Document { status, body, warnings }, 10 Invalid(a), 11 Again,
});

/// Leave to send once.
#[derive(Debug)]
pub struct Go {
    /// What to settle with.
    pub permit: PermitId,
    /// How long the call waited in the object, milliseconds.
    pub waited_ms: u64,
    /// The Worker's age of the permit over which it hands it back unused: elapsed since it asked, less `waited_ms`.
    pub slack_ms: u64,
    /// Where to, unless the Worker knows.
    pub route: Option<Box<Route>>,
    /// Its version.
    pub route_version: u64,
    /// The access token, where one is needed and the Worker does not hold it.
    pub bearer: Option<Bearer>,
    /// The mark of the token to use; 0 where none is needed, or none works any more.
    pub mark: u64,
    /// The `RateLimit` field.
    pub rate_limit: String,
    /// `Sluice-Would`, in observe mode, where the call would not have gone at once.
    pub would: Option<String>,
}

wire!(struct Go { permit, waited_ms, slack_ms, route, route_version, bearer, mark, rate_limit, would });

/// A refusal, with what is needed to say it in the vendor's dialect.
#[derive(Debug)]
pub struct No {
    /// The refusal.
    pub refusal: Refusal,
    /// The profile whose dialect it is said in; none: a problem document.
    pub vendor: Option<String>,
    /// The fields `RateLimit-Policy` and `RateLimit`, where there is a connection.
    pub rate_limit: Option<(String, String)>,
}

wire!(struct No { refusal, vendor, rate_limit });

/// Where a connection's calls go, and how. The same for every call of one version.
#[derive(Clone)]
pub struct Route {
    /// Differs whenever anything in it does, over all lives of all tenants.
    pub version: u64,
    /// The profile.
    pub profile: Profile,
    /// Scheme, host and base path, without a trailing slash.
    pub base_url: String,
    /// What is put in the key's place; none where an access token is, which comes with the permit.
    pub credential: Option<Credential>,
    /// From send to last byte, milliseconds.
    pub timeout_ms: u64,
    /// Vendor calls that may be made for one call, the first included.
    pub attempts: u32,
    /// The most that a call may wait for its permits, milliseconds.
    pub max_wait_ms: u64,
    /// The `RateLimit-Policy` field.
    pub rate_limit_policy: String,
}

wire!(struct Route {
    version, profile, base_url, credential, timeout_ms, attempts, max_wait_ms, rate_limit_policy,
});

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Route")
            .field("version", &self.version)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

/// What goes over the wire.
pub fn to_wire(message: &impl Wire) -> Vec<u8> {
    wire::write(Vec::new(), message)
}

/// What came over the wire; none for the words of another release.
pub fn from_wire<T: Wire>(bytes: &[u8]) -> Option<T> {
    wire::read(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use crate::vendor::grant::Signing;

    fn route(profile: Profile, credential: Option<Credential>) -> Route {
        Route {
            version: u64::MAX,
            profile,
            base_url: "https://a.example".to_owned(),
            credential,
            timeout_ms: 60_000,
            attempts: 3,
            max_wait_ms: 10_000,
            rate_limit_policy: String::new(),
        }
    }

    #[test]
    fn a_route_crosses_the_wire_with_a_built_in_profile_or_one_of_the_tenants_own() {
        let own = Profile::inline(&json!({"title": "own", "answers": [{"status": 429, "means": "rate"}]})).unwrap();
        for profile in [Profile::built_in("marketo").unwrap(), own] {
            for credential in [Some(Credential::Passthrough), Some(Credential::Bearer { token: "t".to_owned() }), None]
            {
                let sent = route(profile.clone(), credential);
                let Some(Reply::Route(came)) = from_wire(&to_wire(&Reply::Route(Box::new(sent.clone())))) else {
                    panic!("it did not parse")
                };
                assert_eq!((came.profile, came.credential), (sent.profile, sent.credential));
            }
        }
    }

    #[test]
    fn a_fetch_and_what_came_of_it_cross_the_wire() {
        let exchange = Exchange {
            url: "https://a.example/token".to_owned(),
            basic: None,
            form: "grant_type=x".to_owned(),
            sign: Some(Signing { key: "k".to_owned(), input: "i".to_owned() }),
            timeout_ms: 10_000,
        };
        let fetch = Fetch { exchange: exchange.clone(), whose: u64::MAX, began: 1 };
        let Some(Reply::Fetch(came)) = from_wire(&to_wire(&Reply::Fetch(Box::new(fetch)))) else {
            panic!("it did not parse")
        };
        assert_eq!((came.exchange, came.whose), (exchange, u64::MAX));
        let issued = Issued { token: "t".to_owned(), refresh_token: None, life_s: Some(60) };
        let refused = Failure::Refused { status: 401, code: Some("invalid_client".to_owned()) };
        for result in [Ok(issued), Err(refused), Err(Failure::Unwell { status: 503, retry_after_ms: None })] {
            let sent = Fetched { connection: "c".to_owned(), whose: 1, began: -1, result: result.clone() };
            let Some(Ask::Fetched(came)) = from_wire(&to_wire(&Ask::Fetched(sent))) else { panic!("it did not parse") };
            assert_eq!(came.result, result);
        }
    }

    #[test]
    fn words_of_another_release_do_not_parse() {
        assert!(from_wire::<Ask>(b"{\"Admit\":{}}").is_none());
        assert!(from_wire::<Ask>(&[]).is_none());
    }
}
