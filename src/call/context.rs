//! What every step of a call needs: the call itself, its permit, and how it may end before its vendor answers.

use crate::call::report::Reports;
use crate::config::Config;
use crate::request::Incoming;
use crate::response::Reply;
use crate::route_cache;
use sluice_core::http::{Answer, Prefer, Target, VendorTarget, urgency};
use sluice_core::key::Claims;
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::tenant::protocol::{Admit, Bearer, No, Route, Sent};
use sluice_limiter::PermitId;
use std::rc::Rc;
use web_sys::Request;

/// Why a call ends without the vendor's answer.
pub enum CallEnd {
    /// It is refused.
    Refused(Box<No>),
    /// It has its answer already; and if that is a refusal, why.
    Said(Option<Reason>, Answer),
    /// It is a job, or was one that has ended already; and the status.
    Kept(Reply, u16),
    /// Its caller has gone.
    Gone,
}

impl From<Refusal> for CallEnd {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(No { refusal, vendor: None, rate_limit: None }))
    }
}

/// One call, as its steps see it.
pub struct Call {
    pub config: Rc<Config>,
    pub request: Request,
    pub incoming: Rc<Incoming>,
    pub id: String,
    pub prefer: Prefer,
    pub reports: Reports,
    /// Which of this isolate's calls it is.
    pub begun: u64,
}

impl Call {
    /// What is asked of the tenant's object.
    pub fn admit(&self, claims: Claims, key_apart: bool, target: &Target, vendor: &VendorTarget) -> Admit {
        let incoming = &self.incoming;
        let uri = vendor.path.len().saturating_add(vendor.query.map_or(0, |query| query.len().saturating_add(1)));
        let connection = connection(vendor);
        let known = route_cache::route(&claims.tenant, &connection);
        Admit {
            call: self.id.clone(),
            connection,
            method: incoming.method.clone(),
            path: vendor.route_path().to_owned(),
            uri_bytes: u32::try_from(uri).unwrap_or(u32::MAX),
            body: incoming.body_length(),
            page: incoming.is_page(),
            origin: incoming.origin().map(str::to_owned),
            own_origin: incoming.is_own_page(target),
            key_apart,
            wait_ms: self.prefer.wait_ms,
            // RFC 9218, section 4.1.
            urgency: urgency(incoming.header("priority")).unwrap_or(3),
            again: false,
            knows: known.map_or(0, |route| route.version),
            holds: route_cache::bearer(&claims.tenant, vendor.connection).map_or(0, |bearer| bearer.mark),
            rejected: 0,
            claims,
        }
    }
}

/// Leave to send once, now.
pub struct Permit {
    /// Whose.
    pub tenant: String,
    /// For which connection.
    pub connection: String,
    /// What to settle with.
    pub id: PermitId,
    /// Where to.
    pub route: Rc<Route>,
    /// The access token to use, where the route has no credential of its own.
    pub bearer: Option<Rc<Bearer>>,
    /// The `RateLimit` field.
    pub rate_limit: String,
    /// The `Sluice-Would` field.
    pub would: Option<String>,
    /// When it came, Unix ms.
    pub at: i64,
    /// What the statistics will count, as if sent now.
    pub sent: Sent,
}

/// The connection's name. Host names know no case; clients write them as they like.
pub fn connection(vendor: &VendorTarget) -> String {
    if vendor.by_host { vendor.connection.to_ascii_lowercase() } else { vendor.connection.to_owned() }
}
