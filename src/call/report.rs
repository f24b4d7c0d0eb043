//! What a call has to tell the tenant's object of its permits.

use crate::platform;
use sluice_core::policy::MAX_BYTES;
use sluice_core::protocol::{Sent, Settle};
use sluice_limiter::{Counted, Outcome, PermitId};
use std::cell::RefCell;

/// What a call has to say of its permits. The object keeps what it hears in memory for up to a
/// second before it stores it, so all of it is said again at the end, to be relied on only then.
#[derive(Default)]
pub struct Reports(RefCell<Vec<Report>>);

/// What is to be said of one permit.
pub struct Report {
    pub tenant: String,
    pub connection: String,
    pub permit: PermitId,
    pub end: End,
    /// What was sent, and when, Unix ms; none for a permit that was not used.
    pub sent: Option<(Sent, i64)>,
    /// How often it was told.
    pub told: u32,
    /// Nobody waits for this to be told.
    pub unhurried: bool,
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
    /// More may have come: a long body of unknown length that no limit counts is passed on
    /// uncounted.
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

impl Reports {
    /// Takes note of what is to be said of a permit.
    pub fn push(&self, report: Report) {
        let mut reports = self.0.borrow_mut();
        // One that was handed back, unheard, and then given again.
        let told = reports.iter().find(|old| old.permit == report.permit).map_or(0, |old| old.told);
        reports.retain(|old| old.permit != report.permit);
        reports.push(Report { told, ..report });
    }

    /// Takes out all that was noted.
    pub fn take(&self) -> Vec<Report> {
        self.0.take()
    }

    /// What was noted last, and whose object is to hear it.
    pub fn last(&self) -> Option<(String, Settle)> {
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

/// What is said of a permit; `attempt`: 1 for the first try to say it.
pub fn message(connection: &str, permit: PermitId, end: &End, sent: Option<(&Sent, i64)>, attempt: u32) -> Settle {
    let since = |at: i64| u64::try_from(platform::now().saturating_sub(at)).unwrap_or_default();
    Settle {
        connection: connection.to_owned(),
        permit,
        attempt,
        outcome: end.outcome,
        since_headers_ms: end.headers_at.map(since).unwrap_or_default(),
        // A limit that a later policy brings counts today's bytes: what is not known is as much as
        // any limit holds.
        response_bytes: if end.more_bytes { MAX_BYTES } else { end.response_bytes },
        status: end.status,
        counts: end.counts.clone(),
        error_code: end.error_code.clone(),
        sent: sent.map(|(sent, at)| Sent { ago_ms: since(at), ..sent.clone() }),
    }
}
