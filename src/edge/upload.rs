//! A request's body: counted before it costs quota, and read off when it is refused.

use super::call::{Call, Stop};
use super::incoming::Incoming;
use super::{known, tenants};
use crate::platform;
use js_sys::Uint8Array;
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

/// The longest body that is kept, so that the call can be repeated: 1 MB.
const KEPT_BYTES: u64 = 1_048_576;

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
    if !call.incoming.has_body() {
        return Ok(JsValue::NULL);
    }
    if let BodyLength::Bytes(length) = admit.body {
        if length > KEPT_BYTES || !may_be_repeated(call, admit) {
            return Ok(JsValue::TRUE);
        }
        return whole(call, KEPT_BYTES).await;
    }
    if !sends_kept_bodies(&call.incoming.method) {
        return measured(call, admit).await;
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
    let fits = matches!(admit.body, BodyLength::Bytes(length) if length <= most);
    let plain = call.incoming.header("content-encoding").is_none_or(|coding| coding.eq_ignore_ascii_case("identity"));
    let body = if body == JsValue::TRUE && fits && plain && sends_kept_bodies(&call.incoming.method) {
        whole(call, most).await?
    } else {
        body
    };
    let bytes = body.dyn_ref::<Uint8Array>().filter(|_| plain).map(Uint8Array::to_vec);
    match too_many(batch, vendor.query, bytes.as_deref()) {
        Some(detail) => Err(Refusal::new(Reason::Request, detail).into()),
        None => Ok(body),
    }
}

/// Whether a body can be sent once more: it was kept, or there is none.
pub fn can_be_repeated(body: &JsValue) -> bool {
    body.is_null() || body.dyn_ref::<Uint8Array>().is_some_and(|bytes| u64::from(bytes.length()) <= KEPT_BYTES)
}

/// Whether the platform sends a body that was kept: with these it sends the caller's own alone.
fn sends_kept_bodies(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD")
}

/// A body that is wanted before it is known who calls, as [`prepare`] gives it. None where it is too long to be looked into.
pub async fn early(call: &Call) -> Result<Option<JsValue>, Stop> {
    let short = matches!(call.incoming.body_length(), BodyLength::Bytes(length) if length <= KEPT_BYTES);
    let unknown = call.incoming.body_length() == BodyLength::Unknown;
    if !call.incoming.has_body() || !(short || unknown) {
        return Ok(None);
    }
    if !sends_kept_bodies(&call.incoming.method) {
        return Ok(Some(JsValue::TRUE));
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
    let short = !matches!(call.incoming.body_length(), BodyLength::Bytes(length) if length > KEPT_BYTES);
    if *body != JsValue::TRUE || !short {
        return Ok(None);
    }
    let copy = platform::read_copy(&call.request, KEPT_BYTES as f64).await.map_err(|_| broken_off())?;
    Ok(copy.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec))
}

/// Whether the call may be sent twice. While the route is not known it may.
fn may_be_repeated(call: &Call, admit: &Admit) -> bool {
    let route = known::route(&admit.claims.tenant, &admit.connection);
    sends_kept_bodies(&call.incoming.method)
        && route.is_none_or(|route| route.attempts > 1 || route.credential.is_none())
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
