//! A request's body: counted before it costs quota, and read off when it is refused.

use super::call::{Call, Stop};
use super::incoming::Incoming;
use super::{known, tenants};
use crate::platform;
use js_sys::Uint8Array;
use sluice_core::call::body::{BodyHead, BodyPlan, KEPT_BYTES};
use sluice_core::call::{body_too_long, unexpected_reply};
use sluice_core::http::VendorTarget;
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::tenant::protocol::{Admit, Ask, BodyLength, Reply, Route};
use sluice_core::upstream::batch::too_many;
use std::rc::Rc;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Request;

/// What is read of a refused upload, bytes and ms: enough that ordinary clients come to read the answer, and little
/// enough that refusing stays cheap. Larger ones may see their connection reset.
const DRAIN_BYTES: f64 = 2_097_152.0;
const DRAIN_MS: f64 = 1_000.0;

/// A body that fits into the socket's buffers need not be drained, bytes.
const SMALL: u64 = 65_536;

/// The body as `send` takes it, unless it was read already: null, true for streaming the caller's, its bytes, or an upload.
/// One that may have to be sent twice is read whole, which also spares a permit the time that a slow upload takes. One of unknown length
/// is read as far as it can be held, and so is known to be whole before it is admitted, or over the vendor's limit, if it is either.
pub async fn prepare(call: &Call, admit: &mut Admit, read: Option<JsValue>) -> Result<JsValue, Stop> {
    if let Some(read) = read {
        if let Some(bytes) = read.dyn_ref::<Uint8Array>() {
            admit.body = BodyLength::Bytes(bytes.length().into());
        }
        return Ok(none_if_empty(read));
    }
    let known = known::route(&admit.claims.tenant, &admit.connection);
    match (BodyHead { length: admit.body, ..head(call) }).plan(known.as_deref()) {
        BodyPlan::None => return Ok(JsValue::NULL),
        BodyPlan::Stream => return Ok(JsValue::TRUE),
        BodyPlan::ReadWhole => return whole(call, KEPT_BYTES).await,
        BodyPlan::Measure => return measured(call, admit).await,
        BodyPlan::ReadFirst => {}
    }
    let route = describe(call, admit).await?;
    let limit = route.profile.body_limit(&admit.method, &admit.path);
    let most = limit.map_or(f64::INFINITY, |limit| limit as f64);
    let body = platform::read_first(&call.request, KEPT_BYTES as f64, most).await.map_err(|_| broken_off())?;
    if let Some(limit) = limit.filter(|_| body.is_null()) {
        return Err(body_too_long(limit).into());
    }
    if let Some(bytes) = body.dyn_ref::<Uint8Array>() {
        admit.body = BodyLength::Bytes(bytes.length().into());
    }
    Ok(none_if_empty(body))
}

/// The body of unknown length of a call whose bodies cannot be kept: awaited, so that one which breaks off is not sent, and is left where it
/// is. It may be no body after all.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a length, or -1, which is seen to before")]
async fn measured(call: &Call, admit: &mut Admit) -> Result<JsValue, Stop> {
    let length = platform::measure(&call.request, KEPT_BYTES as f64).await.map_err(|_| broken_off())?;
    let Some(length) = length.as_f64().filter(|length| *length >= 0.0) else {
        let detail =
            format!("a get request's body of more than {KEPT_BYTES} bytes needs its Content-Length: send it with one");
        return Err(Refusal::new(Reason::Payload, detail).into());
    };
    admit.body = BodyLength::Bytes(length as u64);
    Ok(if length > 0.0 { JsValue::TRUE } else { JsValue::NULL })
}

/// An empty body is none.
fn none_if_empty(body: JsValue) -> JsValue {
    let empty = body.dyn_ref::<Uint8Array>().is_some_and(|bytes| bytes.length() == 0);
    if empty { JsValue::NULL } else { body }
}

/// Refuses a call about more records than the vendor takes at once. The body is read for it where the profile says so, up to what is
/// kept; one that is encoded is the vendor's to refuse, and so is one too long, before it is read.
pub async fn in_batches(call: &Call, admit: &Admit, vendor: &VendorTarget<'_>, body: JsValue) -> Result<JsValue, Stop> {
    if vendor.query.is_none() && body.is_null() {
        return Ok(body);
    }
    let route = describe(call, admit).await?;
    let Some(batch) = route.profile.batch_limit(&admit.method, &admit.path) else { return Ok(body) };
    let most = route.profile.body_limit(&admit.method, &admit.path).unwrap_or(KEPT_BYTES).min(KEPT_BYTES);
    let head = head(call);
    let body = if body == JsValue::TRUE && head.is_read_for_records(admit.body, most) {
        whole(call, most).await?
    } else {
        body
    };
    let bytes = body.dyn_ref::<Uint8Array>().filter(|_| head.is_plain()).map(Uint8Array::to_vec);
    match too_many(batch, vendor.query, bytes.as_deref()) {
        Some(detail) => Err(Refusal::new(Reason::Request, detail).into()),
        None => Ok(body),
    }
}

/// Whether a body can be sent once more: it was kept, or there is none.
pub fn can_be_repeated(body: &JsValue) -> bool {
    body.is_null() || body.dyn_ref::<Uint8Array>().is_some_and(|bytes| u64::from(bytes.length()) <= KEPT_BYTES)
}

/// What the head of the request tells of its body.
fn head(call: &Call) -> BodyHead<'_> {
    let incoming = &call.incoming;
    BodyHead {
        method: &incoming.method,
        present: incoming.has_body(),
        length: incoming.body_length(),
        encoding: incoming.header("content-encoding"),
    }
}

/// A body that is wanted before it is known who calls, as [`prepare`] gives it. None where it is too long to be looked into.
pub async fn early(call: &Call) -> Result<Option<JsValue>, Stop> {
    match head(call).plan_early() {
        None => return Ok(None),
        Some(BodyPlan::Stream) => return Ok(Some(JsValue::TRUE)),
        Some(_) => {}
    }
    let body = platform::read_first(&call.request, KEPT_BYTES as f64, f64::INFINITY).await.map_err(|_| broken_off())?;
    Ok(Some(body))
}

/// The bytes of a body, in the form that [`prepare`] gives it; none where it is longer than what is looked into.
pub async fn bytes(call: &Call, body: &JsValue) -> Result<Option<Vec<u8>>, Stop> {
    if body.is_null() {
        return Ok(Some(Vec::new()));
    }
    if let Some(bytes) = body.dyn_ref::<Uint8Array>() {
        return Ok((u64::from(bytes.length()) <= KEPT_BYTES).then(|| bytes.to_vec()));
    }
    if *body != JsValue::TRUE || !head(call).is_short() {
        return Ok(None);
    }
    let copy = platform::read_copy(&call.request, KEPT_BYTES as f64).await.map_err(|_| broken_off())?;
    Ok(copy.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec))
}

/// The body, or null if it is longer than `most` bytes.
async fn whole(call: &Call, most: u64) -> Result<JsValue, Stop> {
    Ok(platform::read_whole(&call.request, most as f64).await.map_err(|_| broken_off())?)
}

fn broken_off() -> Refusal {
    Refusal::new(Reason::Request, "the request's body broke off before its end")
}

/// Where the call would go.
pub async fn describe(call: &Call, admit: &Admit) -> Result<Rc<Route>, Stop> {
    if let Some(route) = known::route(&admit.claims.tenant, &admit.connection) {
        return Ok(route);
    }
    let asked = tenants::ask(&call.here, &admit.claims.tenant, &Ask::Describe(admit.clone())).await?;
    match asked.reply {
        Reply::Route(route) => {
            let route = Rc::from(route);
            known::remember(&admit.claims.tenant, &admit.connection, Rc::clone(&route));
            Ok(route)
        }
        Reply::No(no) => Err(Stop::Refused(Box::new(no))),
        _ => Err(unexpected_reply().into()),
    }
}

/// Reads off some of a refused upload.
pub async fn drain(request: &Request, incoming: &Incoming) {
    let small = matches!(incoming.body_length(), BodyLength::Bytes(length) if length <= SMALL);
    if incoming.has_body() && !small {
        platform::drain(request, DRAIN_BYTES, DRAIN_MS).await;
    }
}
