//! What is stored of a message, and how it is shown: a small record that changes; its payload, as it is sent, has a table
//! of its own. The forms of rows are the jobs'.

use crate::jobs::Attempt;
use crate::jobs::record::MOST_ATTEMPTS;
use crate::jobs::sealed::Sealer;
use crate::jobs::show;
use crate::json;
use crate::json::Value;
use crate::keys::Master;
use crate::sealed::{self, NONCE_BYTES, Place};
use serde::{Deserialize, Serialize};
use sluice_limiter::calendar::rfc3339;

/// A message as it stands. Times are Unix ms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `type` of its payload.
    pub kind: String,
    /// The job that it is about.
    pub job: Option<String>,
    /// Whose job that is; empty where there is none.
    pub app: String,
    /// The connection.
    pub connection: String,
    /// Where to, sealed, since a secret may be in it; empty: to where the policy sends alerts.
    pub to: String,
    /// Whom that is to, see [`super::receiver`]; 0 where the policy says.
    pub receiver: u32,
    /// When it was made.
    pub created: i64,
    /// When it last changed.
    pub updated: i64,
    /// When it may next go.
    pub due: i64,
    /// Attempts since it was made or replayed.
    pub tries: u32,
    /// All attempts.
    pub attempts: Vec<Attempt>,
    /// Why it is a dead letter; none while it is none.
    pub error: Option<String>,
}

impl Message {
    /// One attempt more.
    pub fn tried(&mut self, at: i64, status: u16, error: Option<String>) {
        self.tries = self.tries.saturating_add(1);
        if self.attempts.len() >= MOST_ATTEMPTS {
            self.attempts.remove(0);
        }
        self.attempts.push(Attempt { at, status, error });
    }

    /// As it is shown.
    pub fn document(&self, id: &str, now: i64) -> Value {
        let attempts: Vec<Value> = self.attempts.iter().map(show::attempt).collect();
        let state = if self.error.is_some() { "dead" } else { "queued" };
        let mut shown = json!({"id": id, "kind": "callback", "type": self.kind, "state": state});
        shown.set_some("job", self.job.as_ref());
        shown.set("connection", &self.connection);
        shown.set_some("app", Some(&self.app).filter(|app| !app.is_empty()));
        shown.set("attempts", attempts);
        shown.set("created", rfc3339(self.created));
        shown.set("updated", rfc3339(self.updated));
        if self.error.is_none() && self.due > now {
            shown.set("next_attempt", rfc3339(self.due));
        }
        shown.set_some("error", self.error.as_ref());
        shown
    }
}

/// An address, sealed for that message; none if it is too long.
pub fn seal_to(master: &Master, nonce: [u8; NONCE_BYTES], tenant: &str, id: &str, url: &str) -> Option<String> {
    sealed::seal(master, nonce, &Place { tenant, field: &field(id) }, url).ok()
}

/// What was sealed for that message; none under a master key that is no longer listed.
pub fn open_to(master: &Master, tenant: &str, id: &str, sealed: &str) -> Option<String> {
    sealed::open(master, &Place { tenant, field: &field(id) }, sealed).ok()
}

/// How a payload begins that is sealed. One of an earlier release is the payload itself, which begins with a brace.
const SEALED: u8 = 2;

/// A payload to be stored, sealed for that message; none if there is no key to seal with.
pub fn seal_body(sealer: &Sealer<'_>, id: &str, body: &str) -> Option<Vec<u8>> {
    let sealed = sealer.seal(&body_field(id), body.as_bytes())?;
    Some([&[SEALED], sealed.as_slice()].concat())
}

/// A payload from storage; none under a master key that is no longer listed.
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

/// A place that no policy has.
fn field(id: &str) -> String {
    ["/webhooks/", id].concat()
}
