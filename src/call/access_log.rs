//! A call in the log: one line of JSON, with no secret in it.

use crate::platform;
use crate::request::Incoming;
use sluice_core::call::{AccessLog, CallFacts, CallOutcome, without_keys};
use sluice_core::http::VendorTarget;
use sluice_core::keys::Claims;
use sluice_core::refusal::{Reason, Refusal};

/// What is logged of a call.
pub struct AccessRecord(AccessLog);

impl AccessRecord {
    /// Begins the record of a call that has just come.
    pub fn new(call: &str, incoming: &Incoming) -> Self {
        Self(AccessLog { call: call.to_owned(), method: incoming.method.clone(), ..AccessLog::default() })
    }

    /// Notes whose call it is, and where it goes.
    pub fn of(&mut self, claims: &Claims, vendor: &VendorTarget) {
        self.0.tenant = Some(claims.tenant.clone());
        self.0.app.clone_from(&claims.app);
        self.0.connection = Some(vendor.connection_name().into_owned());
        self.0.path = Some(without_keys(vendor.path));
    }

    /// Notes what became of the call.
    pub fn became(&mut self, facts: &CallFacts) {
        self.0.facts.clone_from(facts);
    }

    /// Notes that the call was refused before it asked for a permit.
    pub fn refused(&mut self, refusal: &Refusal) {
        self.0.facts.refused = Some(refusal.reason);
    }

    /// Notes that it was answered without the vendor.
    pub fn said(&mut self, reason: Option<Reason>, status: u16) {
        self.0.facts.status = Some(status);
        self.0.facts.refused = reason;
    }

    /// Notes that its caller went before it asked for a permit.
    pub fn gone(&mut self) {
        self.0.facts.outcome = Some(CallOutcome::Gone);
    }

    /// Writes the line.
    pub fn write(&self) {
        platform::log(&self.0.line());
    }
}
