//! Telling the tenant's object what became of a permit.

use super::account::{self, heard};
use super::call::Call;
use super::permit::Permit;
use super::record::logged;
use crate::platform;
use sluice_core::http::{Address, parse_target};
use sluice_core::key;
use sluice_core::policy::MAX_BYTES;
use sluice_core::tenant::protocol::{Ask, Sent, Settle};
use sluice_limiter::{Counted, Outcome, PermitId};
use std::cell::RefCell;

/// How often it is told at once. The call tells it again at its end.
const TRIES: u32 = 3;

/// What a call has to say of its permits. The object keeps what it hears in memory for up to a second before it stores it, so
/// all of it is said again at the end, to be relied on only then.
#[derive(Default)]
pub struct Reports(RefCell<Vec<Report>>);

/// What is to be said of one permit.
pub struct Report {
    tenant: String,
    connection: String,
    permit: PermitId,
    end: End,
    /// What was sent, and when, Unix ms; none for a permit that was not used.
    sent: Option<(Sent, i64)>,
    /// How often it was told.
    told: u32,
    /// Nobody waits for this to be told.
    unhurried: bool,
}

/// How a call ended.
#[derive(Clone)]
pub struct End {
    /// For the throttle.
    pub outcome: Outcome,
    /// When the vendor's headers came, Unix ms, where they did.
    pub headers_at: Option<i64>,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
    /// More may have come: a long body of unknown length that no limit counts is passed on uncounted.
    pub more_bytes: bool,
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
            more_bytes: false,
            status: 0,
            counts: Vec::new(),
            error_code: None,
        }
    }
}

/// Settles a permit that was used, while its call goes on.
pub async fn settle(call: &Call, permit: &Permit, end: End) {
    note(call, permit, end);
    tell(call).await;
}

/// Takes note of the end of a permit that was used, to be told with the account.
pub fn note(call: &Call, permit: &Permit, end: End) {
    log_throttle(call, permit, &end);
    let unhurried = permit.route.unhurried && end.outcome == Outcome::Answered;
    let sent = Some((permit.sent.clone(), permit.at));
    let (tenant, connection) = (permit.tenant.clone(), permit.connection.clone());
    call.reports.push(Report { tenant, connection, permit: permit.id, end, sent, told: 0, unhurried });
}

/// Hands back a permit that was not used.
pub async fn unused(call: &Call, tenant: &str, connection: &str, permit: PermitId) {
    let (tenant, connection) = (tenant.to_owned(), connection.to_owned());
    let end = End::unsent();
    call.reports.push(Report { tenant, connection, permit, end, sent: None, told: 0, unhurried: false });
    tell(call).await;
}

/// Tells what was noted last, so that it takes effect.
async fn tell(call: &Call) {
    for _ in 0..TRIES {
        let Some((tenant, last)) = call.reports.last() else { return };
        if heard(&call.here, &tenant, &Ask::Settle(last)).await {
            return;
        }
    }
}

/// Gives account of a call's permits, once it has ended. A job's are told with its run.
pub async fn account(call: &Call) {
    account::give(&call.here, call.begun, call.reports.0.take()).await;
}

impl Reports {
    fn push(&self, report: Report) {
        let mut reports = self.0.borrow_mut();
        // One that was handed back, unheard, and then given again.
        let told = reports.iter().find(|old| old.permit == report.permit).map_or(0, |old| old.told);
        reports.retain(|old| old.permit != report.permit);
        reports.push(Report { told, ..report });
    }

    /// What was noted last, and whose object is to hear it.
    fn last(&self) -> Option<(String, Settle)> {
        self.0.borrow_mut().last_mut().map(|report| (report.tenant.clone(), report.tell()))
    }
}

impl Report {
    /// Whose it is: a tenant's connection.
    pub fn whose(&self) -> (String, String) {
        (self.tenant.clone(), self.connection.clone())
    }

    /// Whether nobody waits for it to be told.
    pub const fn is_unhurried(&self) -> bool {
        self.unhurried
    }

    /// What is said, one time more.
    pub fn tell(&mut self) -> Settle {
        self.told = self.told.saturating_add(1);
        message(&self.connection, self.permit, &self.end, self.sent.as_ref().map(|(sent, at)| (sent, *at)), self.told)
    }
}

/// Each throttle by the vendor is a line of its own, also where the call is made again and goes well: who asked for what.
fn log_throttle(call: &Call, permit: &Permit, end: &End) {
    if !matches!(end.outcome, Outcome::Throttled { .. }) {
        return;
    }
    let target = parse_target(&call.incoming.url, call.here.host_suffix.as_deref());
    let path = target.ok().and_then(|target| match target.address {
        Address::Vendor(vendor) => Some(vendor.path),
        _ => None,
    });
    let path = path.zip(call.here.keys.as_ref().ok()).map(|(path, keys)| {
        let in_path = key::seek(&keys.master, path.as_bytes());
        logged(&key::without(path, &in_path))
    });
    let Sent { app, method, nth, .. } = &permit.sent;
    let line = sluice_core::json!({"level": "warn", "call": call.id, "tenant": permit.tenant,
        "connection": permit.connection, "app": app, "method": method, "path": path.unwrap_or_default(),
        "attempt": nth, "error_code": end.error_code, "fault": "throttled by the vendor"});
    platform::log(&line);
}

/// What is said of a job's permit that was used; `attempt`: 1 for the first try to say it.
pub fn settled(call: &Call, permit: &Permit, end: &End, attempt: u32) -> Settle {
    if attempt == 1 {
        log_throttle(call, permit, end);
    }
    message(&permit.connection, permit.id, end, Some((&permit.sent, permit.at)), attempt)
}

fn message(connection: &str, permit: PermitId, end: &End, sent: Option<(&Sent, i64)>, attempt: u32) -> Settle {
    let since = |at: i64| u64::try_from(platform::now().saturating_sub(at)).unwrap_or_default();
    Settle {
        connection: connection.to_owned(),
        permit,
        attempt,
        outcome: end.outcome,
        since_headers_ms: end.headers_at.map(since).unwrap_or_default(),
        // A limit that a later policy brings counts today's bytes: what is not known is as much as any limit holds.
        response_bytes: if end.more_bytes { MAX_BYTES } else { end.response_bytes },
        status: end.status,
        counts: end.counts.clone(),
        error_code: end.error_code.clone(),
        sent: sent.map(|(sent, at)| Sent { ago_ms: since(at), ..sent.clone() }),
    }
}
