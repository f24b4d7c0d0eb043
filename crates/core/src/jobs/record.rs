//! The stored form of a job: a small record that changes, its request and the vendor's answer. Each
//! is in a table of its own, so that a job's state can be read without its bodies.
//!
//! Each row begins with the version of its form; the rest is its [binary form](codec). Path,
//! request and answer are sealed, since they may be secret. Rows of version 1, which have paths,
//! bodies and answers in clear, can still be read.

use super::Bytes;
use super::sealed::{Path, Sealer, field};
use crate::codec;
use crate::sealed::{self, Place};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The form of rows without sealed parts, and of all rows of an earlier release.
const VERSION: u8 = 1;
/// The form of rows in which path, request and answer are sealed.
const SEALED: u8 = 2;

/// The most bytes of a job's URL and headers. A task that carries them, a body of 1 MB and a route
/// has at most 2 MB.
pub const MOST_HEAD: usize = 131_072;

/// How many attempts a job remembers; beyond that the first are forgotten. A job makes at most ten
/// in a row, but it may be replayed, and restarts use up none.
pub const MOST_ATTEMPTS: usize = 50;

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// The job waits for its time or for admission.
    Queued,
    /// The job was handed to a Worker, which may have sent it.
    Running,
    /// The vendor has answered, and the call succeeded.
    Done,
    /// The job is a dead letter.
    Dead,
}

impl State {
    /// All states with their names.
    pub const NAMES: [(&str, Self); 4] =
        [("queued", Self::Queued), ("running", Self::Running), ("done", Self::Done), ("dead", Self::Dead)];

    /// Returns the state's name.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(_, state)| *state == self).map_or("", |(name, _)| name)
    }
}

/// One attempt. Times are Unix ms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When the job was handed to a Worker.
    pub at: i64,
    /// The vendor's status, or 0 for none.
    pub status: u16,
    /// What failed: the code in the vendor's body, else its status, else `timeout`, `unreachable`
    /// or `outcome-unknown`.
    pub error: Option<String>,
}

/// The current record of a job. Times are Unix ms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The app that submitted it.
    pub app: String,
    /// The connection.
    pub connection: String,
    /// All methods that the vendor may read, in the form of [`crate::upstream::methods`]: that of
    /// the request line first.
    pub method: String,
    /// The vendor's path as sent, without the query.
    pub path: Path,
    /// The urgency by RFC 9218, 0 first.
    pub urgency: u8,
    /// When it was submitted.
    pub created: i64,
    /// When it was queued: submitted, or last replayed.
    pub since: i64,
    /// When it last changed.
    pub updated: i64,
    /// When it may next run, while it is queued.
    pub due: i64,
    /// The state in which the job is.
    pub state: State,
    /// How often it was handed to a Worker.
    pub run: u32,
    /// How many attempts have counted against `retry.attempts` since it was made or replayed.
    pub tries: u32,
    /// Whether its token was refused in its last run. A second refusal is final.
    pub token_refused: bool,
    /// The latest attempts to make the call, oldest first.
    pub attempts: Vec<Attempt>,
    /// Why it is a dead letter.
    pub error: Option<String>,
    /// The digest of app and `Idempotency-Key`, 0 for none.
    pub key: u128,
    /// The digest of the request.
    pub fingerprint: u128,
    /// Whether its result is sent to a callback.
    pub callback: bool,
    /// How many bytes its request and its answer have in storage.
    pub bytes: u32,
    /// Whether the vendor's answer is stored.
    pub answered: bool,
}

/// A record of version 1.
#[derive(Serialize, Deserialize)]
struct Before {
    app: String,
    connection: String,
    method: String,
    path: String,
    urgency: u8,
    created: i64,
    updated: i64,
    due: i64,
    state: State,
    run: u32,
    tries: u32,
    token_refused: bool,
    attempts: Vec<Attempt>,
    error: Option<String>,
    key: u128,
    fingerprint: u128,
    callback: bool,
    bytes: u32,
    answered: bool,
}

impl From<Before> for Record {
    fn from(before: Before) -> Self {
        let Before { app, connection, method, path, urgency, created, updated, due, state, run, tries, .. } = before;
        let Before { token_refused, attempts, error, key, fingerprint, callback, bytes, answered, .. } = before;
        // For a job that was never sent this is when it was submitted or replayed.
        let (path, since) = (Path::Clear(path), updated);
        Self {
            app,
            connection,
            method,
            path,
            urgency,
            created,
            since,
            updated,
            due,
            state,
            run,
            tries,
            token_refused,
            attempts,
            error,
            key,
            fingerprint,
            callback,
            bytes,
            answered,
        }
    }
}

impl Record {
    /// Writes the row that is stored.
    pub fn to_row(&self) -> Vec<u8> {
        codec::write(vec![SEALED], self)
    }

    /// Reads a stored row; `None` for one of a later release.
    pub fn from_row(row: &[u8]) -> Option<Self> {
        match row.split_first()? {
            (&VERSION, rest) => codec::read::<Before>(rest).map(Self::from),
            (&SEALED, rest) => codec::read(rest),
            _ => None,
        }
    }

    /// Whether an attempt has been made since the job was queued.
    pub fn has_begun(&self) -> bool {
        self.attempts.last().is_some_and(|attempt| attempt.at >= self.since)
    }
}

/// The request of a job: what would go to the vendor, without the credential. `Debug` shows neither
/// headers nor query.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The method in upper case.
    pub method: String,
    /// The URL as it came, without a key.
    pub url: String,
    /// The headers that are forwarded to the vendor.
    pub headers: Vec<(String, String)>,
    /// The body, empty for none.
    pub body: Bytes,
    /// The URL to which the result is sent.
    pub callback: Option<String>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("method", &self.method).field("body", &self.body).finish_non_exhaustive()
    }
}

/// The vendor's answer to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers as a caller would have got them.
    pub headers: Vec<(String, String)>,
    /// The body as received.
    pub body: Bytes,
    /// Whether the body was longer.
    pub truncated: bool,
}

impl Answer {
    /// Removes the cookies, which only a waiting caller of a passthrough connection may have; they
    /// are neither kept nor shown.
    #[must_use]
    pub fn without_cookies(mut self) -> Self {
        self.headers
            .retain(|(name, _)| !["set-cookie", "set-cookie2"].iter().any(|own| own.eq_ignore_ascii_case(name)));
        self
    }
}

impl Answer {
    /// Writes the row that is stored, sealed for its job; `None` if there is no key to seal with.
    pub fn to_row(&self, sealer: &Sealer<'_>, id: &str) -> Option<Vec<u8>> {
        let sealed = sealer.seal(&field(id, "/answer"), &codec::write(Vec::new(), self))?;
        Some([&[SEALED], sealed.as_slice()].concat())
    }

    /// Reads a stored row; `None` for one of a later release, or one that was sealed under a master
    /// key that is no longer listed.
    pub fn from_row(row: &[u8], sealer: &Sealer<'_>, id: &str) -> Option<Self> {
        match row.split_first()? {
            (&VERSION, rest) => codec::read(rest),
            (&SEALED, sealed) => codec::read(&sealer.open(&field(id, "/answer"), sealed)?),
            _ => None,
        }
    }
}

/// A request as it is stored. In version 1 `head` is the text of a list of URL, headers and
/// callback, and the body is in clear.
#[derive(Serialize, Deserialize)]
struct Stored<T> {
    method: String,
    head: T,
    body: Bytes,
}

/// The part of a request that is sealed apart from its body, so that a callback's address is read
/// without the body.
#[derive(Serialize, Deserialize)]
struct Head {
    url: String,
    headers: Vec<(String, String)>,
    callback: Option<String>,
}

impl Head {
    fn open(sealed: &Bytes, sealer: &Sealer<'_>, id: &str) -> Option<Self> {
        codec::read(&sealer.open(&field(id, "/head"), &sealed.0)?)
    }
}

impl Request {
    /// Writes the row that is stored; `None` if URL and headers have more than [`MOST_HEAD`] bytes,
    /// or if there is no key to seal with.
    pub fn to_row(&self, sealer: &Sealer<'_>, id: &str) -> Option<Vec<u8>> {
        let head = Head { url: self.url.clone(), headers: self.headers.clone(), callback: self.callback.clone() };
        let head = Some(codec::write(Vec::new(), &head)).filter(|head| head.len() <= MOST_HEAD)?;
        let body = match self.body.0.as_slice() {
            [] => Vec::new(),
            body => sealer.seal(&field(id, "/body"), body)?,
        };
        let head = Bytes(sealer.seal(&field(id, "/head"), &head)?);
        Some(codec::write(vec![SEALED], &Stored { method: self.method.clone(), head, body: Bytes(body) }))
    }

    /// Reads a stored row; `None` for one of a later release, or one that was sealed under a master
    /// key that is no longer listed.
    pub fn from_row(row: &[u8], sealer: &Sealer<'_>, id: &str) -> Option<Self> {
        match row.split_first()? {
            (&VERSION, rest) => Self::from_before(rest, sealer, id),
            (&SEALED, rest) => {
                let Stored { method, head, body } = codec::read::<Stored<Bytes>>(rest)?;
                let Head { url, headers, callback } = Head::open(&head, sealer, id)?;
                let body = match body.0.as_slice() {
                    [] => Vec::new(),
                    sealed => sealer.open(&field(id, "/body"), sealed)?,
                };
                Some(Self { method, url, headers, body: Bytes(body), callback })
            }
            _ => None,
        }
    }

    /// Returns where the result of a stored request is sent, if anywhere.
    pub fn callback_of(row: &[u8], sealer: &Sealer<'_>, id: &str) -> Option<String> {
        match row.split_first()? {
            (&SEALED, rest) => Head::open(&codec::read::<Stored<Bytes>>(rest)?.head, sealer, id)?.callback,
            _ => Self::from_row(row, sealer, id)?.callback,
        }
    }

    fn from_before(rest: &[u8], sealer: &Sealer<'_>, id: &str) -> Option<Self> {
        let Stored { method, head, body } = codec::read::<Stored<String>>(rest)?;
        let head = sealed::open(sealer.master, &Place { tenant: sealer.tenant, field: &field(id, "") }, &head).ok()?;
        let (url, headers, callback) = serde_json::from_str(&head).ok()?;
        Some(Self { method, url, headers, body, callback })
    }
}

/// Writes the row of a value that has no sealed parts.
pub fn to_row(value: &impl Serialize) -> Vec<u8> {
    codec::write(vec![VERSION], value)
}

/// Reads the row of a value without sealed parts; `None` for one of another release.
pub fn from_row<T: DeserializeOwned>(row: &[u8]) -> Option<T> {
    let (version, rest) = row.split_first()?;
    if *version == VERSION { codec::read(rest) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Master;
    use crate::sealed::NONCE_BYTES;

    fn master(first: u8) -> Master {
        use base64::Engine;
        Master::parse(&base64::engine::general_purpose::STANDARD.encode([first; 32])).unwrap()
    }

    fn sealer(master: &Master) -> Sealer<'_> {
        Sealer { master, tenant: "acme", random: &|bytes| bytes.fill(7) }
    }

    fn request() -> Request {
        Request {
            method: "POST".to_owned(),
            url: "https://s.example/v/c/x?api_secret=hush-query".to_owned(),
            headers: vec![("cookie".to_owned(), "hush-cookie".to_owned())],
            body: Bytes(b"hush-body".to_vec()),
            callback: Some("https://h.example/?t=hush-callback".to_owned()),
        }
    }

    #[test]
    fn a_request_is_stored_with_nothing_of_it_in_clear_and_opens_for_its_own_job_alone() {
        let (one, other) = (master(1), master(2));
        for request in [request(), Request { body: Bytes::default(), callback: None, ..request() }] {
            let row = request.to_row(&sealer(&one), "1f").unwrap();
            assert!(!String::from_utf8_lossy(&row).contains("hush"));
            assert_eq!(Request::from_row(&row, &sealer(&one), "1f").as_ref(), Some(&request));
            assert_eq!(Request::callback_of(&row, &sealer(&one), "1f"), request.callback);
            assert_eq!(Request::from_row(&row, &sealer(&one), "20"), None);
            assert_eq!(Request::from_row(&row, &sealer(&other), "1f"), None);
            assert!(!format!("{request:?}").contains("hush"));
        }
    }

    #[test]
    fn an_answer_is_stored_with_nothing_of_it_in_clear_and_opens_for_its_own_job_alone() {
        let (one, other) = (master(1), master(2));
        let headers = vec![("x".to_owned(), "hush-header".to_owned())];
        let answer = Answer { status: 200, headers, body: Bytes(b"hush-body".to_vec()), truncated: true };
        let row = answer.to_row(&sealer(&one), "1f").unwrap();
        assert!(!String::from_utf8_lossy(&row).contains("hush"));
        assert_eq!(Answer::from_row(&row, &sealer(&one), "1f"), Some(answer.clone()));
        assert_eq!(Answer::from_row(&row, &sealer(&one), "20"), None);
        assert_eq!(Answer::from_row(&row, &sealer(&other), "1f"), None);
        // This is the row that an earlier release stored.
        assert_eq!(Answer::from_row(&to_row(&answer), &sealer(&other), "20"), Some(answer));
    }

    #[test]
    fn a_request_of_an_earlier_release_is_read() {
        let one = master(1);
        let head = serde_json::json!([request().url, request().headers, request().callback]).to_string();
        let head = sealed::seal(&one, [7; NONCE_BYTES], &Place { tenant: "acme", field: "/jobs/1f" }, &head).unwrap();
        let row = to_row(&Stored { method: "POST".to_owned(), head, body: request().body });
        assert_eq!(Request::from_row(&row, &sealer(&one), "1f"), Some(request()));
        assert_eq!(Request::callback_of(&row, &sealer(&one), "1f"), request().callback);
    }

    #[test]
    fn a_request_with_more_headers_than_are_kept_is_not_stored() {
        let long = Request { headers: vec![("x".to_owned(), "y".repeat(MOST_HEAD))], ..request() };
        assert_eq!(long.to_row(&sealer(&master(1)), "1f"), None);
    }

    fn record() -> Record {
        Record {
            app: "a".to_owned(),
            connection: "c".to_owned(),
            method: "PUT".to_owned(),
            path: Path::Clear("/p".to_owned()),
            urgency: 5,
            created: 1,
            since: 2,
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
        }
    }

    fn bytes(shown: &str) -> Vec<u8> {
        shown.as_bytes().chunks(2).map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
    }

    #[test]
    fn a_record_of_an_earlier_release_is_read() {
        let row = bytes("010161016303505554022f7005020406030201000102f703010335303301017800ac0201800100");
        assert_eq!(Record::from_row(&row), Some(record()));
    }

    #[test]
    fn the_stored_form_of_a_record_stays_as_it_is_and_its_path_is_sealed() {
        let one = master(1);
        let record = Record { path: Path::seal("/hush", &sealer(&one), "1f").unwrap(), ..record() };
        assert_eq!(
            (record.path.open(&sealer(&one), "1f").as_str(), record.path.open(&sealer(&one), "20").as_str()),
            ("/hush", "")
        );
        let row = record.to_row();
        let shown: String = row.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            shown,
            "0201610163035055540126017e8729d3070707070707070707070707bd00d7b6c5dbac3ed19cd4675e7b92f25ea00fa3450502040406030201000102f703010335303301017800ac0201800100"
        );
        assert_eq!(Record::from_row(&row), Some(record));
        assert_eq!(Record::from_row(&[3, 0]), None);
    }
}
