//! Telling the tenant's object what became of a permit.

use super::installation::Installation;
use super::permit::Permit;
use super::tenants;
use crate::platform;
use crate::tenant::protocol::{Ask, Reply, Sent, Settle};
use crate::throttle::{Counted, Outcome, PermitId};

/// How often it is told, all told. A settlement that never arrives is replaced by the lease's end.
const TRIES: u32 = 3;

/// How a call ended.
#[derive(Clone)]
pub struct End {
    /// For the throttle.
    pub outcome: Outcome,
    /// When the vendor's headers came, Unix ms, where they did.
    pub headers_at: Option<i64>,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
    /// The vendor's status, or 0.
    pub status: u16,
    /// What it told of the vendor's own counts.
    pub counts: Vec<Counted>,
    /// For the error statistics.
    pub error_code: Option<String>,
}

impl End {
    /// Of a permit that was not used.
    pub const fn unsent() -> Self {
        Self {
            outcome: Outcome::Unused,
            headers_at: None,
            response_bytes: 0,
            status: 0,
            counts: Vec::new(),
            error_code: None,
        }
    }
}

/// Settles a permit that was used.
pub async fn settle(here: &Installation, permit: &Permit, end: End) {
    if matches!(end.outcome, Outcome::Throttled { .. }) {
        log_throttle(permit, &end);
    }
    let sent = Some((&permit.sent, permit.at));
    report(here, &permit.tenant, &permit.connection, permit.id, &end, sent).await;
}

/// Each throttle by the vendor is a line of its own, also where the call is made again and goes well: who asked for what.
fn log_throttle(permit: &Permit, end: &End) {
    let Sent { app, method, path, nth, .. } = &permit.sent;
    let line = crate::json!({"level": "warn", "tenant": permit.tenant, "connection": permit.connection, "app": app,
        "method": method, "path": path, "attempt": nth, "error_code": end.error_code, "fault": "throttled by the vendor"});
    super::log(&line);
}

/// What is said of a permit that was used; `attempt`: 1 for the first try to say it.
pub fn settled(permit: &Permit, end: &End, attempt: u32) -> Settle {
    if attempt == 1 && matches!(end.outcome, Outcome::Throttled { .. }) {
        log_throttle(permit, end);
    }
    message(&permit.connection, permit.id, end, Some((&permit.sent, permit.at)), attempt)
}

/// Hands back a permit that was not.
pub async fn unused(here: &Installation, tenant: &str, connection: &str, permit: PermitId) {
    let end = End::unsent();
    report(here, tenant, connection, permit, &end, None).await;
}

/// `sent`: what was sent, and when, Unix ms.
async fn report(
    here: &Installation,
    tenant: &str,
    connection: &str,
    permit: PermitId,
    end: &End,
    sent: Option<(&Sent, i64)>,
) {
    for attempt in 1..=TRIES {
        let settle = Ask::Settle(message(connection, permit, end, sent, attempt));
        if let Some(tenants::Asked { reply: Reply::Done, .. }) = tenants::ask_once(here, tenant, &settle, None).await {
            return;
        }
    }
    let line = crate::json!({"level": "error", "tenant": tenant, "connection": connection,
        "fault": "a settlement was not heard; the permit's lease stands in for it"});
    super::log(&line);
}

fn message(connection: &str, permit: PermitId, end: &End, sent: Option<(&Sent, i64)>, attempt: u32) -> Settle {
    let since = |at: i64| u64::try_from(platform::now().saturating_sub(at)).unwrap_or_default();
    Settle {
        connection: connection.to_owned(),
        permit,
        attempt,
        outcome: end.outcome,
        since_headers_ms: end.headers_at.map(since).unwrap_or_default(),
        response_bytes: end.response_bytes,
        status: end.status,
        counts: end.counts.clone(),
        error_code: end.error_code.clone(),
        sent: sent.map(|(sent, at)| Sent { ago_ms: since(at), ..sent.clone() }),
    }
}
