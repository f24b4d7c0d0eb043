//! What an operator has paused: connections, or apps on one, kept in a row of their own for each connection, so that no
//! change of the policy ends a pause, and no restart.

use super::authorize;
use super::connection_state::ConnectionState;
use super::state::{TenantState, refused};
use super::store::{Host, StoreError, Table};
use crate::codec;
use crate::document;
use crate::policy::MAX_APPS;
use crate::protocol::{Operate, OperateAsk, Order, OrderKind, Reply};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_limiter::Mode;
use sluice_limiter::calendar::rfc3339;

/// The version of the stored form, its first byte.
const VERSION: u8 = 1;

/// What these rows' ids begin with, among the policy's. No connection's name has a slash in it.
const ROW: &str = "pause/";

/// Most seconds of a pause: a year. What is to rest for longer is paused without an end, or taken out of the policy.
const MOST_SECONDS: u64 = 31_536_000;

/// Most bytes of a reason.
const MOST_REASON_BYTES: usize = 200;

/// Pauses of one connection: of itself, and of each app that the policy may have.
const MOST: usize = MAX_APPS + 1;

/// One pause. Times are Unix ms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pause {
    /// Of this app alone.
    app: Option<String>,
    /// Until it is resumed, where there is none.
    until: Option<i64>,
    since: i64,
    /// The id of the operator's key.
    by: String,
    reason: Option<String>,
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

/// What a connection's pauses are after an order, as it is answered.
#[derive(Serialize)]
struct OrderDocument<'a> {
    connection: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<PauseDocument<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pauses: Vec<PauseDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_until: Option<String>,
}

impl Operate {
    /// Reads the body of `POST /connections/{name}/pause`, or of `…/resume`. An empty text stands for an empty object.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str, kind: OrderKind) -> Result<Self, String> {
        let resumes = kind == OrderKind::Resume;
        let text = if text.trim().is_empty() { "{}" } else { text };
        let body: Value = serde_json::from_str(text).map_err(|fault| fault.to_string())?;
        let known = if resumes { "app" } else { "seconds, reason and app" };
        let (mut seconds, mut reason, mut app) = (None, None, None);
        for (name, value) in body.as_object().ok_or("it must be an object")? {
            match (name.as_str(), value) {
                ("seconds", _) if !resumes => {
                    seconds = value.as_u64().filter(|seconds| (1..=MOST_SECONDS).contains(seconds));
                    if seconds.is_none() && !value.is_null() {
                        return Err(format!("seconds must be a whole number from 1 to {MOST_SECONDS}, or left out"));
                    }
                }
                ("reason", _) if !resumes => {
                    let fits = |text: &&str| text.len() <= MOST_REASON_BYTES && !text.chars().any(char::is_control);
                    reason = value.as_str().filter(fits).map(str::to_owned);
                    if reason.is_none() && !value.is_null() {
                        return Err(format!(
                            "reason must be a text of up to {MOST_REASON_BYTES} bytes without control characters, or left out"
                        ));
                    }
                }
                ("app", _) => {
                    app = value.as_str().map(str::to_owned);
                    if app.is_none() && !value.is_null() {
                        return Err("app must be the name of an app, or left out".to_owned());
                    }
                }
                _ => return Err(format!("unknown field {name}; known here is {known}")),
            }
        }
        Ok(if resumes {
            Self { app, order: Order::Resume }
        } else {
            Self { app, order: Order::Pause { seconds, reason } }
        })
    }
}

impl TenantState {
    /// Pauses or resumes a connection, or one app of it, for an operator's key.
    pub(super) fn operate(&mut self, ask: OperateAsk, host: &mut Host<'_>) -> Result<Reply, StoreError> {
        let OperateAsk { claims, connection: name, what: Operate { app, order } } = ask;
        if let Err(refusal) = authorize::may_operate(self, &claims, host.now) {
            return Ok(refused(refusal));
        }
        if !self.connections.contains_key(&name) {
            return Ok(refused(authorize::unknown(&name)));
        }
        let known = |app: &String| self.policy.as_ref().is_some_and(|policy| policy.apps.contains_key(app));
        if app.as_ref().is_some_and(|app| !known(app)) {
            return Ok(Reply::Invalid(vec![("/app".to_owned(), "is not an app of the tenant's policy".to_owned())]));
        }
        let by = claims.id;
        self.with_connection(&name, host, |connection, host| {
            match order {
                Order::Pause { seconds, reason } => {
                    let ms = seconds.map(|seconds| i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX));
                    let until = ms.map(|ms| host.now.saturating_add(ms));
                    connection.pause(Pause { app, until, since: host.now, by, reason }, host)?;
                }
                Order::Resume => connection.resume(app.as_deref(), host)?,
            }
            Ok(Vec::new())
        })?;
        let Some(connection) = self.connections.get(&name) else { return Ok(refused(authorize::unknown(&name))) };
        let (paused, pauses) = connection.shown_pauses(host.now);
        let paused_until = connection.limiter.paused_until().map(rfc3339);
        let shown = OrderDocument { connection: &name, paused, pauses, paused_until };
        let only_watched = connection.policy.mode == Mode::Observe;
        let warning = "the connection only observes: its calls go on, and say sluice-would";
        let warnings = only_watched.then(|| warning.to_owned()).into_iter().collect();
        Ok(Reply::Document { status: 200, body: document::text(&shown), warnings })
    }

    /// The tenant is removed: so are the pauses of every connection that it has had.
    pub(super) fn remove_pauses(host: &mut Host<'_>) -> Result<(), StoreError> {
        for (id, _) in host.store.all(Table::Policy)? {
            if id.starts_with(ROW) {
                host.store.remove(Table::Policy, &id)?;
            }
        }
        Ok(())
    }
}

impl ConnectionState {
    /// Takes up the pauses that earlier lives were told of.
    pub(super) fn load_pauses(&mut self, host: &Host<'_>) -> Result<(), StoreError> {
        let row = host.store.load(Table::Policy, &row_id(&self.name))?;
        // What another release has written is no reason to admit nothing.
        let kept = row.as_deref().and_then(|row| row.strip_prefix(&[VERSION])).and_then(codec::read::<Vec<Pause>>);
        for pause in kept.unwrap_or_default().into_iter().filter(|pause| pause.stands(host.now)) {
            self.limiter.stop(host.time(), pause.app.as_deref(), pause.until);
            self.pauses.push(pause);
        }
        Ok(())
    }

    fn pause(&mut self, pause: Pause, host: &mut Host<'_>) -> Result<(), StoreError> {
        self.limiter.stop(host.time(), pause.app.as_deref(), pause.until);
        self.pauses.retain(|known| known.app != pause.app && known.stands(host.now));
        // Apps come and go with policies; beyond the bound the oldest pause of one is forgotten.
        let oldest = self.pauses.iter().position(|known| known.app.is_some());
        if let Some(oldest) = oldest.filter(|_| self.pauses.len() >= MOST) {
            let gone = self.pauses.remove(oldest);
            self.limiter.start(host.time(), gone.app.as_deref());
        }
        self.pauses.push(pause);
        self.store_pauses(host)
    }

    fn resume(&mut self, app: Option<&str>, host: &mut Host<'_>) -> Result<(), StoreError> {
        self.limiter.start(host.time(), app);
        let before = self.pauses.len();
        self.pauses.retain(|known| app.is_some() && known.app.as_deref() != app);
        if self.pauses.len() == before {
            return Ok(());
        }
        self.store_pauses(host)
    }

    fn store_pauses(&self, host: &mut Host<'_>) -> Result<(), StoreError> {
        let id = row_id(&self.name);
        if self.pauses.is_empty() {
            return host.store.remove(Table::Policy, &id);
        }
        host.store.save(Table::Policy, &id, &codec::write(vec![VERSION], &self.pauses))
    }

    /// The pauses that stand, as they are shown: that of the connection, or else one app's; and all of them, where there are more.
    pub(super) fn shown_pauses(&self, now: i64) -> (Option<PauseDocument<'_>>, Vec<PauseDocument<'_>>) {
        let stand: Vec<&Pause> = self.pauses.iter().filter(|pause| pause.stands(now)).collect();
        let first = stand.iter().find(|pause| pause.app.is_none()).or_else(|| stand.first());
        let first = first.map(|pause| pause.document());
        let all = if stand.len() > 1 { stand.iter().map(|pause| pause.document()).collect() } else { Vec::new() };
        (first, all)
    }
}

fn row_id(connection: &str) -> String {
    format!("{ROW}{connection}")
}
