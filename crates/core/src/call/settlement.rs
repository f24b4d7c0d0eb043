//! The settlements of permits, as they are reported to the tenant's object.

use super::attempt::AttemptEnd;
use super::ms_between;
use super::permit::Permit;
use crate::batcher::ConnectionName;
use crate::policy::MAX_BYTES;
use crate::protocol::{Sent, Settle};
use sluice_limiter::{Outcome, PermitId};

/// The end of one permit, and how often it was reported to the object.
#[derive(Debug, Clone)]
pub struct PendingSettlement {
    tenant: String,
    connection: String,
    permit: PermitId,
    end: AttemptEnd,
    /// What was sent, and when, Unix ms; none for a permit that was not used.
    sent: Option<(Sent, i64)>,
    told: u32,
    deferrable: bool,
}

impl PendingSettlement {
    /// Returns the settlement of a permit that was used.
    pub fn of_used(permit: &Permit, end: AttemptEnd) -> Self {
        let deferrable = permit.route.unhurried && end.outcome == Outcome::Answered;
        Self {
            tenant: permit.tenant.clone(),
            connection: permit.connection.clone(),
            permit: permit.id,
            end,
            sent: Some((permit.sent.clone(), permit.at)),
            told: 0,
            deferrable,
        }
    }

    /// Returns the hand-back of a permit that was not used.
    pub fn of_unused(tenant: &str, connection: &str, permit: PermitId) -> Self {
        Self {
            tenant: tenant.to_owned(),
            connection: connection.to_owned(),
            permit,
            end: AttemptEnd::unsent(),
            sent: None,
            told: 0,
            deferrable: false,
        }
    }

    /// Returns the tenant's name and the connection's.
    pub fn whose(&self) -> ConnectionName {
        (self.tenant.clone(), self.connection.clone())
    }

    /// Whether no limit waits for this settlement, so that it may be reported together with others.
    pub const fn is_deferrable(&self) -> bool {
        self.deferrable
    }

    /// Returns the message to the object, with an attempt number one higher than the last. Times in
    /// it count back from `now`, Unix ms.
    pub fn tell(&mut self, now: i64) -> Settle {
        self.told = self.told.saturating_add(1);
        let end = &self.end;
        Settle {
            connection: self.connection.clone(),
            permit: self.permit,
            attempt: self.told,
            outcome: end.outcome,
            since_headers_ms: end.headers_at.map(|at| ms_between(at, now)),
            // A limit that a later policy brings counts today's bytes too: a number that is not
            // known counts as the most that any limit holds.
            response_bytes: if end.more_bytes { MAX_BYTES } else { end.response_bytes },
            status: end.status,
            counts: end.counts.clone(),
            error_code: end.error_code.clone(),
            sent: self.sent.as_ref().map(|(sent, at)| Sent { ago_ms: ms_between(*at, now), ..sent.clone() }),
        }
    }
}

/// The settlements of one call. The object keeps what is reported in memory for up to a second
/// before it stores it, so all of it is reported again at the call's end, and only then is it
/// certain.
#[derive(Debug, Default)]
pub struct PendingSettlements(Vec<PendingSettlement>);

impl PendingSettlements {
    /// Notes the end of a permit. A permit that was handed back unheard and then granted again keeps
    /// counting its attempts.
    pub fn note(&mut self, settlement: PendingSettlement) {
        let told = self.0.iter().find(|old| old.permit == settlement.permit).map_or(0, |old| old.told);
        self.0.retain(|old| old.permit != settlement.permit);
        self.0.push(PendingSettlement { told, ..settlement });
    }

    /// Notes a permit that nobody waited for, to be reported together with the others.
    pub fn note_late(&mut self, settlement: PendingSettlement) {
        self.0.insert(0, settlement);
    }

    /// Whether the end of this permit is noted.
    pub fn has(&self, permit: PermitId) -> bool {
        self.0.iter().any(|noted| noted.permit == permit)
    }

    /// Returns the message on what was noted last, with an attempt number one higher, and the
    /// tenant whose object it is for.
    pub fn tell_last(&mut self, now: i64) -> Option<(String, Settle)> {
        let last = self.0.last_mut()?;
        Some((last.tenant.clone(), last.tell(now)))
    }

    /// Takes all settlements out, so that one message reports them together.
    pub fn take(&mut self) -> Vec<PendingSettlement> {
        std::mem::take(&mut self.0)
    }
}
