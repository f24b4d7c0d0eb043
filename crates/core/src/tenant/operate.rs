//! The orders of operators: to pause and to resume connections, or apps on them.

use super::authorize;
use super::pauses::{Pause, PauseDocument};
use super::replies::refused;
use super::state::TenantState;
use super::store::{Host, StoreError};
use crate::document;
use crate::protocol::{Operate, OperateAsk, Order, OrderKind, Reply};
use serde::Serialize;
use serde_json::Value;
use sluice_limiter::Mode;
use sluice_limiter::calendar::rfc3339;

/// The most seconds of a pause: a year. What is to rest for longer is paused without an end, or
/// taken out of the policy.
const MOST_SECONDS: u64 = 31_536_000;

/// The most bytes of a reason.
const MOST_REASON_BYTES: usize = 200;

/// The answer to an order: the connection's pauses after it.
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
    /// Reads the body of `POST /connections/{name}/pause`, or of `…/resume`. An empty text stands
    /// for an empty object.
    ///
    /// # Errors
    /// Fails with a sentence that says what is wrong with it.
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
                _ => return Err(format!("unknown field {name}; the body may have {known}")),
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
        let paused_until = connection.limiter().paused_until().map(rfc3339);
        let shown = OrderDocument { connection: &name, paused, pauses, paused_until };
        let only_watched = connection.policy().mode == Mode::Observe;
        let warning = "the connection only observes: its calls go on, and say sluice-would";
        let warnings = only_watched.then(|| warning.to_owned()).into_iter().collect();
        Ok(Reply::Document { status: 200, body: document::text(&shown), warnings })
    }
}
