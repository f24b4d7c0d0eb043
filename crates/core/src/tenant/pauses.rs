//! What an operator has paused: a connection, or apps on it. The pauses of a connection are kept in
//! a row of their own, so that no change of the policy ends a pause, and no restart.

use super::store::{Host, StoreError, Table};
use crate::codec;
use crate::policy::MAX_APPS;
use serde::{Deserialize, Serialize};
use sluice_limiter::Limiter;
use sluice_limiter::calendar::rfc3339;

/// The version of the stored form, which is its first byte.
const VERSION: u8 = 1;

/// The ids of these rows, among the policy's, begin with this. No connection's name has a slash.
const ROW: &str = "pause/";

/// The most pauses of one connection: of itself, and of each app that the policy may have.
const MOST: usize = MAX_APPS + 1;

/// A pause. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pause {
    /// The app that is paused; without one, the whole connection is.
    pub(super) app: Option<String>,
    /// When the pause ends; without it, when an operator resumes.
    pub(super) until: Option<i64>,
    /// When the pause was ordered.
    pub(super) since: i64,
    /// The id of the operator's key.
    pub(super) by: String,
    /// The operator's reason, if one was given.
    pub(super) reason: Option<String>,
}

impl Pause {
    fn stands(&self, now: i64) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    fn document(&self) -> PauseDocument<'_> {
        PauseDocument {
            by: &self.by,
            since: rfc3339(self.since),
            until: self.until.map(rfc3339),
            reason: self.reason.as_deref(),
            app: self.app.as_deref(),
        }
    }
}

/// A pause, as it is shown.
#[derive(Clone, Serialize)]
pub(super) struct PauseDocument<'a> {
    by: &'a str,
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a str>,
}

/// The pauses of one connection; some of them may be over.
pub(super) struct Pauses {
    /// The connection's name.
    connection: String,
    pauses: Vec<Pause>,
}

impl Pauses {
    /// Loads the pauses that were ordered in earlier epochs, and stops the limiter by them.
    pub(super) fn load(connection: &str, limiter: &mut Limiter, host: &Host<'_>) -> Result<Self, StoreError> {
        let row = host.store.load(Table::Policy, &row_id(connection))?;
        // What another release has written is no reason to admit nothing.
        let kept = row.as_deref().and_then(|row| row.strip_prefix(&[VERSION])).and_then(codec::read::<Vec<Pause>>);
        let stand = kept.unwrap_or_default().into_iter().filter(|pause| pause.stands(host.now));
        let pauses: Vec<Pause> = stand.collect();
        for pause in &pauses {
            limiter.stop(host.time(), pause.app.as_deref(), pause.until);
        }
        Ok(Self { connection: connection.to_owned(), pauses })
    }

    /// Adds a pause, in the place of an earlier one of the same app or of the connection, and stops
    /// the limiter by it.
    pub(super) fn pause(&mut self, pause: Pause, limiter: &mut Limiter, host: &mut Host<'_>) -> Result<(), StoreError> {
        limiter.stop(host.time(), pause.app.as_deref(), pause.until);
        self.pauses.retain(|known| known.app != pause.app && known.stands(host.now));
        // Apps come and go with policies; beyond the bound the oldest pause of an app is forgotten.
        let oldest = self.pauses.iter().position(|known| known.app.is_some());
        if let Some(oldest) = oldest.filter(|_| self.pauses.len() >= MOST) {
            let gone = self.pauses.remove(oldest);
            limiter.start(host.time(), gone.app.as_deref());
        }
        self.pauses.push(pause);
        self.store(host)
    }

    /// Ends the pause of an app, or all pauses, and lets the limiter go on.
    pub(super) fn resume(
        &mut self,
        app: Option<&str>,
        limiter: &mut Limiter,
        host: &mut Host<'_>,
    ) -> Result<(), StoreError> {
        limiter.start(host.time(), app);
        let before = self.pauses.len();
        self.pauses.retain(|known| app.is_some() && known.app.as_deref() != app);
        if self.pauses.len() == before {
            return Ok(());
        }
        self.store(host)
    }

    fn store(&self, host: &mut Host<'_>) -> Result<(), StoreError> {
        let id = row_id(&self.connection);
        if self.pauses.is_empty() {
            return host.store.remove(Table::Policy, &id);
        }
        host.store.save(Table::Policy, &id, &codec::write(vec![VERSION], &self.pauses))
    }

    /// Shows the pauses that stand: that of the connection, or else an app's; and all of them,
    /// where there are several.
    pub(super) fn shown(&self, now: i64) -> (Option<PauseDocument<'_>>, Vec<PauseDocument<'_>>) {
        let stand: Vec<&Pause> = self.pauses.iter().filter(|pause| pause.stands(now)).collect();
        let first = stand.iter().find(|pause| pause.app.is_none()).or_else(|| stand.first());
        let first = first.map(|pause| pause.document());
        let all = if stand.len() > 1 { stand.iter().map(|pause| pause.document()).collect() } else { Vec::new() };
        (first, all)
    }
}

/// Removes the pauses of every connection that the tenant has had: the tenant is removed.
pub(super) fn remove_all(host: &mut Host<'_>) -> Result<(), StoreError> {
    for (id, _) in host.store.all(Table::Policy)? {
        if id.starts_with(ROW) {
            host.store.remove(Table::Policy, &id)?;
        }
    }
    Ok(())
}

fn row_id(connection: &str) -> String {
    format!("{ROW}{connection}")
}
