//! A call in the log: one line of JSON, with no secret in it. Queries are left out, since some
//! vendors' clients put their credential there.

use crate::call::context::connection;
use crate::call::forward::{CallTimings, ForwardedResponse};
use crate::call::report::End;
use crate::platform;
use crate::request::Incoming;
use serde::Serialize;
use sluice_core::http::VendorTarget;
use sluice_core::keys::{Claims, PREFIX};
use sluice_core::refusal::{Reason, Refusal};

/// A path as the log has it: a key that was put into it by mistake stays out.
pub fn logged(path: &str) -> String {
    let mut logged = String::with_capacity(path.len());
    for (place, part) in path.split('/').enumerate() {
        if place > 0 {
            logged.push('/');
        }
        logged.push_str(if part.contains(PREFIX) { "***" } else { part });
    }
    logged
}

/// What is logged of a call.
#[derive(Serialize)]
pub struct AccessLog {
    call: String,
    method: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor_ms: Option<u64>,
    response_bytes: u64,
}

impl AccessLog {
    /// A call that has just come.
    pub fn new(call: &str, incoming: &Incoming) -> Self {
        Self {
            call: call.to_owned(),
            method: incoming.method.clone(),
            tenant: None,
            app: None,
            connection: None,
            path: None,
            status: None,
            reason: None,
            outcome: None,
            error_code: None,
            attempts: None,
            queue_ms: None,
            vendor_ms: None,
            response_bytes: 0,
        }
    }

    /// Whose it is.
    pub fn of(&mut self, claims: &Claims, vendor: &VendorTarget) {
        self.tenant = Some(claims.tenant.clone());
        self.app.clone_from(&claims.app);
        self.connection = Some(connection(vendor));
        self.path = Some(logged(vendor.path));
    }

    /// It was sent, and came to its headers or will not.
    pub fn attempted(&mut self, timings: CallTimings) {
        self.attempts = Some(timings.attempts);
        self.queue_ms = Some(timings.queue_ms);
        self.vendor_ms = Some(timings.vendor_ms);
    }

    /// What the caller gets.
    pub fn answered(&mut self, forwarded: &ForwardedResponse) {
        self.status = Some(forwarded.status).filter(|status| *status > 0);
        self.reason = forwarded.refused.map(Reason::as_str);
    }

    /// It has ended.
    pub fn ended(&mut self, end: &End) {
        self.outcome = Some(end.outcome.as_str());
        self.error_code.clone_from(&end.error_code);
        self.response_bytes = end.response_bytes;
    }

    /// It was refused.
    pub fn refused(&mut self, refusal: &Refusal) {
        self.reason = Some(refusal.reason.as_str());
    }

    /// It was answered without the vendor.
    pub fn said(&mut self, reason: Option<Reason>, status: u16) {
        self.status = Some(status);
        self.reason = reason.map(Reason::as_str);
    }

    /// Its caller went before it could be sent, or sent again.
    pub fn gone(&mut self) {
        self.outcome = Some("Gone");
    }

    /// Writes the line.
    pub fn write(&self) {
        platform::log(self);
    }
}
