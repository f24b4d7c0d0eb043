//! What every step of a call needs: the call itself, and how it may end before it asks for a
//! permit.

use crate::config::Config;
use crate::request::Incoming;
use crate::response::Reply;
use crate::route_cache;
use sluice_core::http::{Answer, Prefer, Target, VendorTarget, urgency};
use sluice_core::keys::Claims;
use sluice_core::protocol::{Admit, No};
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::upstream::Dialect;
use std::rc::Rc;
use web_sys::Request;

/// Why a call ends without the vendor's answer.
pub enum CallEnd {
    /// The call is refused.
    Refused(Box<No>),
    /// Answered without the vendor; `Some` if that answer is a refusal.
    Answered(Option<Reason>, Answer),
    /// Queued as a job, or the stored response of a finished one, with its HTTP status.
    Queued(Reply, u16),
    /// The caller has gone.
    CallerGone,
}

impl From<Refusal> for CallEnd {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(No { refusal, dialect: Dialect::Generic, rate_limit: None }))
    }
}

/// One call, as its steps see it.
pub struct Call {
    /// The installation's configuration.
    pub config: Rc<Config>,
    /// The platform's request, whose body and signal stay there.
    pub request: Request,
    /// What was read of the request.
    pub incoming: Rc<Incoming>,
    /// The call's id: 32 hexadecimal digits, or a job's id.
    pub id: String,
    /// The caller's `Prefer`.
    pub prefer: Prefer,
    /// The number of the call among those of this isolate.
    pub begun: u64,
}

impl Call {
    /// Makes the request for admission that the tenant's object is sent.
    pub fn admit(&self, claims: Claims, key_in_header: bool, target: &Target, vendor: &VendorTarget) -> Admit {
        let incoming = &self.incoming;
        let connection = vendor.connection_name().into_owned();
        let (known_route, known_token) =
            route_cache::with_isolate(|isolate| isolate.remembered(&claims.tenant, &connection));
        Admit {
            call: self.id.clone(),
            connection,
            method: incoming.method.clone(),
            path: vendor.route_path().to_owned(),
            uri_bytes: vendor.uri_bytes(),
            body: incoming.body_length(),
            from_browser: incoming.is_page(),
            origin: incoming.origin().map(str::to_owned),
            own_origin: incoming.is_own_page(target),
            key_in_header,
            wait_ms: self.prefer.wait_ms,
            // RFC 9218, section 4.1.
            urgency: urgency(incoming.header("priority")).unwrap_or(3),
            repeated: false,
            known_route,
            known_token,
            rejected_token: None,
            claims,
        }
    }
}
