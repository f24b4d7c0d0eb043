//! A request's body: counted before it costs quota, and read off when it is refused.

use super::call::{Call, Stop};
use super::incoming::Incoming;
use super::{known, permit, tenants};
use crate::http::VendorTarget;
use crate::platform;
use crate::refusal::{Reason, Refusal};
use crate::tenant::protocol::{Admit, Ask, BodyLength, Reply, Route};
use crate::vendor::batch::too_many;
use js_sys::Uint8Array;
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

/// The body as `send` takes it, unless it was read already: null, true for streaming the caller's, its bytes, or a stream.
/// One of unknown length is read up to the vendor's limit, where there is one, before it is admitted; one that may have
/// to be sent twice is read whole, which also spares a permit the time that a slow upload takes.
pub async fn prepare(call: &Call, admit: &mut Admit, read: Option<JsValue>) -> Result<JsValue, Stop> {
    if let Some(read) = read {
        if let Some(bytes) = read.dyn_ref::<Uint8Array>() {
            admit.body = BodyLength::Bytes(bytes.length().into());
        }
        return Ok(read);
    }
    if !call.incoming.has_body() {
        return Ok(JsValue::NULL);
    }
    if let BodyLength::Bytes(length) = admit.body {
        if length > KEPT_BYTES || is_sent_as_it_came(call) {
            return Ok(JsValue::TRUE);
        }
        return kept(call).await;
    }
    let route = describe(call, admit).await?;
    let Some(limit) = route.profile.body_limit(&admit.method, &admit.path) else {
        return if is_sent_as_it_came(call) { Ok(JsValue::TRUE) } else { kept(call).await };
    };
    let whole = whole(call, limit).await?;
    if whole.is_null() {
        let detail = format!("the body is longer than the {limit} bytes the vendor takes here: send it in parts");
        return Err(Refusal::new(Reason::Payload, detail).into());
    }
    admit.body = BodyLength::Bytes(Uint8Array::from(whole.clone()).length().into());
    Ok(whole)
}

/// Refuses a call about more records than the vendor takes at once. The body is read for it where the profile says so, up to
/// the vendor's limit; one that is encoded is the vendor's to refuse, and so is one too long, before it is read.
pub async fn in_batches(call: &Call, admit: &Admit, vendor: &VendorTarget<'_>, body: JsValue) -> Result<JsValue, Stop> {
    if vendor.query.is_none() && body.is_null() {
        return Ok(body);
    }
    let route = describe(call, admit).await?;
    let Some(batch) = route.profile.batch_limit(&admit.method, &admit.path) else { return Ok(body) };
    let most = route.profile.body_limit(&admit.method, &admit.path).unwrap_or(KEPT_BYTES);
    let fits = matches!(admit.body, BodyLength::Bytes(length) if length <= most);
    let plain = call.incoming.header("content-encoding").is_none_or(|coding| coding.eq_ignore_ascii_case("identity"));
    let sent_whole = !is_sent_as_it_came(call);
    let body = if body == JsValue::TRUE && fits && plain && sent_whole { whole(call, most).await? } else { body };
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

/// With these methods the platform sends no body but the one that came.
fn is_sent_as_it_came(call: &Call) -> bool {
    matches!(call.incoming.method.as_str(), "GET" | "HEAD")
}

/// A body that is wanted before it is known who calls, as [`prepare`] gives it. None where it is too long to be looked into.
pub async fn early(call: &Call) -> Result<Option<JsValue>, Stop> {
    let short = matches!(call.incoming.body_length(), BodyLength::Bytes(length) if length <= KEPT_BYTES);
    let unknown = call.incoming.body_length() == BodyLength::Unknown;
    if !call.incoming.has_body() || !(short || unknown) {
        return Ok(None);
    }
    if is_sent_as_it_came(call) {
        return Ok(Some(JsValue::TRUE));
    }
    kept(call).await.map(Some)
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

/// The body's bytes, or, if it is too long to be kept, a stream of it.
async fn kept(call: &Call) -> Result<JsValue, Stop> {
    Ok(platform::read_up_to(&call.request, KEPT_BYTES as f64).await.map_err(|_| broken_off())?)
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
        _ => Err(permit::unexpected().into()),
    }
}

/// Reads off some of a refused upload.
pub async fn drain(request: &Request, incoming: &Incoming) {
    let small = matches!(incoming.body_length(), BodyLength::Bytes(length) if length <= SMALL);
    if incoming.has_body() && !small {
        platform::drain(request, DRAIN_BYTES, DRAIN_MS).await;
    }
}
