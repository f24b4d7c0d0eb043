//! How an answer of Sluice's own becomes one of the platform's.

use crate::request::Incoming;
use crate::tenant_client;
use crate::{fetch, platform};
use js_sys::Uint8Array;
use sluice_core::api::check_method;
use sluice_core::http::{self, Answer};
use sluice_core::jobs;
use sluice_core::protocol::{self, No};
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::upstream::Dialect;
use sluice_core::upstream::dialect::{self, Saying};
use wasm_bindgen::JsValue;
use web_sys::{Response, ResponseInit};

/// Statuses whose answers have no body, whatever their headers say.
pub const BODILESS: [u16; 3] = [204, 205, 304];

/// What goes back.
pub enum Reply {
    /// Made here; readable by any page that asked.
    Own(Answer),
    /// The answer to a preflight, which says itself who may read it.
    Preflight(Answer),
    /// Complete as it is.
    Done(Response),
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::Own(refused(&refusal))
    }
}

impl Reply {
    /// Makes the platform's response, which the page that asked may read.
    pub fn into_response(self, asked: &Incoming) -> Result<Response, JsValue> {
        let answer = match self {
            Self::Own(mut answer) => {
                http::allow(&mut answer.headers, asked.origin());
                http::guard(&mut answer.headers, asked.is_page());
                answer
            }
            Self::Preflight(answer) => answer,
            Self::Done(response) => return Ok(response),
        };
        let init = ResponseInit::new();
        init.set_status(answer.status);
        let headers = platform::new_headers(&answer.headers)?;
        init.set_headers(&headers);
        let body = Some(answer.body.as_str()).filter(|body| !body.is_empty());
        Response::new_with_opt_str_and_init(body, &init)
    }
}

/// Makes the problem document of a refusal.
pub fn refused(refusal: &Refusal) -> Answer {
    dialect::answer(refusal, &Saying { dialect: Dialect::Generic, problem: true, call: "", rate_limit: None })
}

/// Makes the answer of a call's refusal, in the words of the vendor's clients.
pub fn refused_call(no: &No, call: &str, accept: Option<&str>) -> Answer {
    let saying = Saying {
        dialect: no.dialect,
        problem: http::accepts_problem(accept),
        call,
        rate_limit: no.rate_limit.as_ref().map(|(policy, left)| (policy.as_str(), left.as_str())),
    };
    dialect::answer(&no.refusal, &saying)
}

/// Checks that a request has one of the methods that an address knows; `HEAD` comes with `GET`.
pub fn allows(incoming: &Incoming, methods: &[&str]) -> Result<(), Reply> {
    check_method(&incoming.method, methods)
        .map_err(|(refusal, allowed)| Reply::Own(refused(&refusal).with("Allow", allowed)))
}

/// Makes the answer of what the object replies to one who asks for a document.
pub fn said(reply: protocol::Reply) -> Reply {
    match reply {
        protocol::Reply::Document { status: 204, .. } => Reply::Own(Answer::empty(204)),
        protocol::Reply::Document { status, body, warnings } => {
            let answer = Answer::json(status, body);
            Reply::Own(warnings.into_iter().fold(answer, |answer, warning| answer.with("Sluice-Warning", warning)))
        }
        protocol::Reply::Invalid(faults) => {
            let refusal = Refusal::new(Reason::Request, "the document is not valid: see errors for every fault");
            let answer = http::problem_with_errors(&refusal, &faults);
            Reply::Own(answer.with("Sluice-Reason", refusal.reason.as_str()))
        }
        protocol::Reply::Refused(no) => no.refusal.into(),
        _ => tenant_client::unavailable().into(),
    }
}

/// Makes the answer of a job, as its vendor gave it.
pub fn stored(answer: &jobs::Answer, asked: &Incoming) -> Reply {
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| !http::is_order(&name.to_ascii_lowercase(), asked.is_page()));
    http::allow(&mut headers, asked.origin());
    http::guard(&mut headers, asked.is_page());
    match whole(answer, &headers) {
        Ok(response) => Reply::Done(response),
        Err(_) => {
            Refusal::new(Reason::Internal, "the stored answer cannot be sent: see it in the job's document").into()
        }
    }
}

/// Makes the platform's response of a stored answer, byte for byte.
fn whole(answer: &jobs::Answer, headers: &http::Headers) -> Result<Response, JsValue> {
    let init = ResponseInit::new();
    init.set_status(answer.status);
    let headers = platform::new_headers(headers)?;
    init.set_headers(&headers);
    fetch::encode_manually(&init);
    let body = (!BODILESS.contains(&answer.status)).then(|| Uint8Array::from(answer.body.0.as_slice()));
    Response::new_with_opt_js_u8_array_and_init(body.as_ref(), &init)
}
