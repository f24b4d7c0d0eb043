//! The stored form of a message, and its JSON document. A small record changes with each attempt;
//! the payload has a table of its own. Rows have the same form as those of jobs.

use crate::jobs::Attempt;
use crate::jobs::record::MOST_ATTEMPTS;
use crate::jobs::sealed::Sealer;
use crate::jobs::show::{self, AttemptDocument};
use crate::keys::Master;
use crate::sealed::{self, NONCE_BYTES, Place};
use serde::{Deserialize, Serialize};
use sluice_limiter::calendar::rfc3339;

/// The current record of a message. Times are Unix ms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The `type` in its payload.
    pub kind: String,
    /// The job that it is about.
    pub job: Option<String>,
    /// The app of that job, empty where there is none.
    pub app: String,
    /// The connection that it is about.
    pub connection: String,
    /// The receiver's URL, sealed, since a secret may be in it. Empty stands for the address of the
    /// policy's alerts.
    pub to: String,
    /// The receiver's number, see [`super::receiver`]; 0 where the policy gives the address.
    pub receiver: u32,
    /// When it was made.
    pub created: i64,
    /// When it last changed.
    pub updated: i64,
    /// When it may next be sent.
    pub due: i64,
    /// How many attempts were made since it was made or replayed.
    pub tries: u32,
    /// The latest attempts to deliver the message, oldest first.
    pub attempts: Vec<Attempt>,
    /// Why it is a dead letter; `None` while it is not.
    pub error: Option<String>,
}

impl Message {
    /// Adds an attempt.
    pub fn tried(&mut self, at: i64, status: u16, error: Option<String>) {
        self.tries = self.tries.saturating_add(1);
        if self.attempts.len() >= MOST_ATTEMPTS {
            self.attempts.remove(0);
        }
        self.attempts.push(Attempt { at, status, error });
    }

    /// Returns the document that is shown.
    pub fn document<'a>(&'a self, id: &'a str, now: i64) -> MessageDocument<'a> {
        MessageDocument {
            id,
            kind: "callback",
            message: &self.kind,
            state: if self.error.is_some() { "dead" } else { "queued" },
            job: self.job.as_deref(),
            connection: &self.connection,
            app: Some(self.app.as_str()).filter(|app| !app.is_empty()),
            attempts: self.attempts.iter().map(show::attempt).collect(),
            created: rfc3339(self.created),
            updated: rfc3339(self.updated),
            next_attempt: (self.error.is_none() && self.due > now).then(|| rfc3339(self.due)),
            error: self.error.as_deref(),
            body: None,
        }
    }
}

/// A message as it is shown.
#[derive(Serialize)]
pub struct MessageDocument<'a> {
    id: &'a str,
    kind: &'static str,
    #[serde(rename = "type")]
    message: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
    connection: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a str>,
    attempts: Vec<AttemptDocument<'a>>,
    created: String,
    updated: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    /// The payload, for readers who may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// Seals the receiver's URL for that message; `None` if it is too long.
pub fn seal_to(master: &Master, nonce: [u8; NONCE_BYTES], tenant: &str, id: &str, url: &str) -> Option<String> {
    sealed::seal(master, nonce, &Place { tenant, field: &field(id) }, url).ok()
}

/// Opens the URL that was sealed for that message; `None` if its master key is no longer listed.
pub fn open_to(master: &Master, tenant: &str, id: &str, sealed: &str) -> Option<String> {
    sealed::open(master, &Place { tenant, field: &field(id) }, sealed).ok()
}

/// The first byte of a sealed payload. One of an earlier release is the payload itself, which
/// begins with a brace.
const SEALED: u8 = 2;

/// Seals a payload for that message; `None` if there is no key to seal with.
pub fn seal_body(sealer: &Sealer<'_>, id: &str, body: &str) -> Option<Vec<u8>> {
    let sealed = sealer.seal(&body_field(id), body.as_bytes())?;
    Some([&[SEALED], sealed.as_slice()].concat())
}

/// Opens a stored payload; `None` if its master key is no longer listed.
pub fn open_body(sealer: &Sealer<'_>, id: &str, row: &[u8]) -> Option<String> {
    let body = match row.split_first() {
        Some((&SEALED, sealed)) => sealer.open(&body_field(id), sealed)?,
        _ => row.to_vec(),
    };
    String::from_utf8(body).ok()
}

fn body_field(id: &str) -> String {
    ["/webhooks/", id, "/body"].concat()
}

/// Returns the field for which a message's URL is sealed. No field of a policy has such a name.
fn field(id: &str) -> String {
    ["/webhooks/", id].concat()
}
