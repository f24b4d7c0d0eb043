//! What is stored of a job: a small record that changes, its request, and the vendor's answer, each in a table of its own,
//! so that a job's state can be read without its bodies.
//!
//! Each begins with the version of its form; the rest is its [`wire`] form.

use super::Bytes;
use crate::json::Items;
use crate::key::Master;
use crate::seal::{self, NONCE_BYTES, Place};
use crate::wire::{self, Wire, wire};

const VERSION: u8 = 1;

/// Attempts that a job remembers; of more the first are forgotten. Ten in a row at most, but a job may be replayed, and
/// restarts use up none.
pub const MOST_ATTEMPTS: usize = 50;

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It waits: for its time, or for admission.
    Queued,
    /// It was handed to a Worker, which may have sent it.
    Running,
    /// The vendor has answered, and well.
    Done,
    /// It is a dead letter.
    Dead,
}

wire!(enum State { 0 Queued, 1 Running, 2 Done, 3 Dead });

impl State {
    /// All, by their names.
    pub const NAMES: [(&str, Self); 4] =
        [("queued", Self::Queued), ("running", Self::Running), ("done", Self::Done), ("dead", Self::Dead)];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(_, state)| *state == self).map_or("", |(name, _)| name)
    }
}

/// One attempt. Times are Unix ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it was handed to a Worker.
    pub at: i64,
    /// The vendor's status, or 0.
    pub status: u16,
    /// What was wrong: the code in the vendor's body, else its status, else `timeout`, `unreachable` or `outcome-unknown`.
    pub error: Option<String>,
}

wire!(struct Attempt { at, status, error });

/// A job as it stands. Times are Unix ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who has asked for it.
    pub app: String,
    /// The connection.
    pub connection: String,
    /// The methods that the vendor may read, as [`crate::vendor::methods`] writes them: that of the request line first.
    pub method: String,
    /// The vendor's path as sent, without the query.
    pub path: String,
    /// RFC 9218, 0 first.
    pub urgency: u8,
    /// When it was taken.
    pub created: i64,
    /// When it last changed.
    pub updated: i64,
    /// When it may next go, while it is queued.
    pub due: i64,
    /// Where it is.
    pub state: State,
    /// How often it was handed to a Worker.
    pub run: u32,
    /// Attempts whose outcome counts against `retry.attempts`, since it was made or replayed.
    pub tries: u32,
    /// The token was refused in its last run: another one is refused for good.
    pub token_refused: bool,
    /// All attempts.
    pub attempts: Vec<Attempt>,
    /// Why it is dead.
    pub error: Option<String>,
    /// Digest of app and `Idempotency-Key`; 0 for none.
    pub key: u128,
    /// Digest of what was asked.
    pub fingerprint: u128,
    /// It is to be called back about.
    pub callback: bool,
    /// Bytes of its request and its answer, as stored.
    pub bytes: u32,
    /// The vendor's answer is stored.
    pub answered: bool,
}

wire!(struct Record {
    app, connection, method, path, urgency, created, updated, due, state, run, tries, token_refused, attempts,
    error, key, fingerprint, callback, bytes, answered,
});

/// What a job asks of the vendor: what would go out, less the credential. Its `Debug` shows no header and no query.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Upper case.
    pub method: String,
    /// As it came, without a key.
    pub url: String,
    /// Those that go on to the vendor.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Bytes,
    /// Where the outcome is sent.
    pub callback: Option<String>,
}

wire!(struct Request { method, url, headers, body, callback });

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("method", &self.method).field("body", &self.body).finish_non_exhaustive()
    }
}

/// What the vendor answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// As a caller would have got them.
    pub headers: Vec<(String, String)>,
    /// As received.
    pub body: Bytes,
    /// There was more of it.
    pub truncated: bool,
}

wire!(struct Answer { status, headers, body, truncated });

/// A request as it is stored: everything in which a caller may have put a secret of the vendor's is sealed, as a list of
/// URL, headers and callback.
struct Stored {
    method: String,
    sealed: String,
    body: Bytes,
}

wire!(struct Stored { method, sealed, body });

impl Request {
    /// To be stored; none if URL and headers are longer than can be sealed ([`seal::MAX_SECRET_BYTES`]).
    pub fn to_row(&self, master: &Master, nonce: [u8; NONCE_BYTES], tenant: &str, id: &str) -> Option<Vec<u8>> {
        let head = crate::json!([self.url, self.headers, self.callback]).to_string();
        let sealed = seal::seal(master, nonce, &Place { tenant, field: &field(id) }, &head).ok()?;
        Some(to_row(&Stored { method: self.method.clone(), sealed, body: self.body.clone() }))
    }

    /// From storage; none for what was sealed under a master key that is no longer listed, or is of another release.
    pub fn from_row(row: &[u8], master: &Master, tenant: &str, id: &str) -> Option<Self> {
        let Stored { method, sealed, body } = from_row(row)?;
        let head = seal::open(master, &Place { tenant, field: &field(id) }, &sealed).ok()?;
        let mut items = Items::of(&head)?;
        let (url, headers) = (items.text()?, items.pairs()?);
        Some(Self { method, url, headers, body, callback: items.text() })
    }
}

/// A place that no policy has.
fn field(id: &str) -> String {
    let mut field = "/jobs/".to_owned();
    field.push_str(id);
    field
}

/// To be stored.
pub fn to_row(value: &impl Wire) -> Vec<u8> {
    wire::write(vec![VERSION], value)
}

/// From storage; none for another release's.
pub fn from_row<T: Wire>(row: &[u8]) -> Option<T> {
    let (version, rest) = row.split_first()?;
    if *version == VERSION { wire::read(rest) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(first: u8) -> Master {
        use base64::Engine;
        Master::parse(&base64::engine::general_purpose::STANDARD.encode([first; 32])).unwrap()
    }

    fn request() -> Request {
        Request {
            method: "POST".to_owned(),
            url: "https://s.example/v/c/x?api_secret=hush-query".to_owned(),
            headers: vec![("cookie".to_owned(), "hush-cookie".to_owned())],
            body: Bytes(vec![0, 255, 10]),
            callback: Some("https://h.example/?t=hush-callback".to_owned()),
        }
    }

    #[test]
    fn a_request_is_stored_without_its_secrets_in_clear_and_opens_for_its_own_job_alone() {
        let row = request().to_row(&master(1), [7; 12], "acme", "1f").unwrap();
        assert!(!String::from_utf8_lossy(&row).contains("hush"));
        assert_eq!(Request::from_row(&row, &master(1), "acme", "1f"), Some(request()));
        assert_eq!(Request::from_row(&row, &master(1), "acme", "20"), None);
        assert_eq!(Request::from_row(&row, &master(2), "acme", "1f"), None);
        assert!(!format!("{:?}", request()).contains("hush"));
    }

    #[test]
    fn a_request_with_more_headers_than_can_be_sealed_is_not_stored() {
        let long = Request { headers: vec![("x".to_owned(), "y".repeat(65_536))], ..request() };
        assert_eq!(long.to_row(&master(1), [7; 12], "acme", "1f"), None);
    }

    #[test]
    fn the_stored_form_of_a_record_stays_as_it_is() {
        let record = Record {
            app: "a".to_owned(),
            connection: "c".to_owned(),
            method: "PUT".to_owned(),
            path: "/p".to_owned(),
            urgency: 5,
            created: 1,
            updated: 2,
            due: 3,
            state: State::Dead,
            run: 2,
            tries: 1,
            token_refused: false,
            attempts: vec![Attempt { at: 1, status: 503, error: Some("503".to_owned()) }],
            error: Some("x".to_owned()),
            key: 0,
            fingerprint: 300,
            callback: true,
            bytes: 128,
            answered: false,
        };
        let row = to_row(&record);
        let shown: String = row.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(shown, "010161016303505554022f7005020406030201000102f703010335303301017800ac0201800100");
        assert_eq!(from_row::<Record>(&row), Some(record));
        assert_eq!(from_row::<Record>(&[2, 0]), None);
    }
}
