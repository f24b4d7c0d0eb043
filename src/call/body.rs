//! A request's body: counted before it costs quota, and read off when it is refused.

use crate::call::context::{Call, CallEnd};
use crate::call::stream::Body;
use crate::js::{self, First};
use crate::request::Incoming;
use crate::route_cache;
use crate::tenant_client;
use sluice_core::call::body::{self, BodyHead, BodyPlan, Drain, KEPT_BYTES, broken_off, needs_its_length};
use sluice_core::call::{body_too_long, unexpected_reply};
use sluice_core::http::VendorTarget;
use sluice_core::protocol::{Admit, Ask, BodyLength, Reply, Route};
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::upstream::batch::too_many;
use std::rc::Rc;
use web_sys::Request;

/// Returns the body as it is sent, unless it was read already. One that may have to be sent twice
/// is read whole, which also spares a permit the time that a slow upload takes. One of unknown
/// length is read as far as it can be held, and so is known to be whole before it is admitted, or
/// over the vendor's limit, if it is either.
pub async fn prepare(call: &Call, admit: &mut Admit, read: Option<Body>) -> Result<Body, CallEnd> {
    if let Some(read) = read {
        return Ok(noted(admit, read));
    }
    let known = route_cache::route(&admit.claims.tenant, &admit.connection);
    match (BodyHead { length: admit.body, ..head(&call.incoming) }).plan(known.as_deref()) {
        BodyPlan::None => return Ok(Body::None),
        BodyPlan::Stream => return Ok(Body::Caller),
        BodyPlan::ReadWhole => return whole(call, KEPT_BYTES).await,
        BodyPlan::Measure => return measured(call, admit).await,
        BodyPlan::ReadFirst => {}
    }
    let route = describe(call, admit).await?;
    let limit = route.profile.body_limit(&admit.method, &admit.path);
    let body = first(js::read_first(&call.request, KEPT_BYTES, limit).await.map_err(|_| broken_off())?);
    match body {
        Some(body) => Ok(noted(admit, body)),
        None => Err(body_too_long(limit.unwrap_or_default()).into()),
    }
}

/// Returns a body whose beginning was read; none if it is longer than it may be.
fn first(first: First) -> Option<Body> {
    match first {
        First::Whole(bytes) => Some(Body::Bytes(bytes)),
        First::Longer(upload) => Some(Body::Upload(upload)),
        First::TooLong => None,
    }
}

/// Notes the length of a body that was read. An empty body is none.
fn noted(admit: &mut Admit, body: Body) -> Body {
    let Body::Bytes(bytes) = body else { return body };
    admit.body = BodyLength::Bytes(bytes.length().into());
    Body::of(bytes)
}

/// Returns the body of unknown length of a call whose bodies cannot be kept: awaited, so that one
/// which breaks off is not sent, and is left where it is. It may be no body after all.
async fn measured(call: &Call, admit: &mut Admit) -> Result<Body, CallEnd> {
    let Some(length) = js::measure(&call.request, KEPT_BYTES).await.map_err(|_| broken_off())? else {
        return Err(needs_its_length().into());
    };
    admit.body = BodyLength::Bytes(length);
    Ok(if length > 0 { Body::Caller } else { Body::None })
}

/// Refuses a call about more records than the vendor takes at once. The body is read for it where
/// the profile says so, up to what is kept; one that is encoded is the vendor's to refuse, and so
/// is one too long, before it is read.
pub async fn in_batches(call: &Call, admit: &Admit, vendor: &VendorTarget<'_>, body: Body) -> Result<Body, CallEnd> {
    if vendor.query.is_none() && matches!(body, Body::None) {
        return Ok(body);
    }
    let route = describe(call, admit).await?;
    let Some(batch) = route.profile.batch_limit(&admit.method, &admit.path) else { return Ok(body) };
    let head = head(&call.incoming);
    let limit = route.profile.body_limit(&admit.method, &admit.path);
    let body = match head.read_for_records(admit.body, limit) {
        Some(most) if matches!(body, Body::Caller) => whole(call, most).await?,
        _ => body,
    };
    let bytes = match &body {
        Body::Bytes(bytes) if head.is_plain() => Some(bytes.to_vec()),
        _ => None,
    };
    match too_many(batch, vendor.query, bytes.as_deref()) {
        Some(detail) => Err(Refusal::new(Reason::Request, detail).into()),
        None => Ok(body),
    }
}

/// Returns whether a body can be sent once more: it was kept, or there is none.
pub fn can_be_repeated(body: &Body) -> bool {
    match body {
        Body::None => true,
        Body::Bytes(bytes) => body::can_be_repeated(bytes.length().into()),
        Body::Caller | Body::Upload(_) => false,
    }
}

/// Returns what the head of the request states of its body.
fn head(incoming: &Incoming) -> BodyHead<'_> {
    BodyHead {
        method: &incoming.method,
        present: incoming.has_body(),
        length: incoming.body_length(),
        encoding: incoming.header("content-encoding"),
    }
}

/// Returns a body that is wanted before it is known who calls, as [`prepare`] gives it; none where
/// it is too long to be looked into.
pub async fn early(call: &Call) -> Result<Option<Body>, CallEnd> {
    match head(&call.incoming).plan_early() {
        None => return Ok(None),
        Some(BodyPlan::Stream) => return Ok(Some(Body::Caller)),
        Some(_) => {}
    }
    Ok(first(js::read_first(&call.request, KEPT_BYTES, None).await.map_err(|_| broken_off())?))
}

/// Returns the bytes of a body, in the form that [`prepare`] gives it; none where it is longer than
/// what is looked into.
pub async fn bytes(call: &Call, body: &Body) -> Result<Option<Vec<u8>>, CallEnd> {
    match body {
        Body::None => return Ok(Some(Vec::new())),
        Body::Bytes(bytes) => return Ok((u64::from(bytes.length()) <= KEPT_BYTES).then(|| bytes.to_vec())),
        Body::Upload(_) => return Ok(None),
        Body::Caller => {}
    }
    if !head(&call.incoming).is_short() {
        return Ok(None);
    }
    let copy = Box::pin(js::read_copy(&call.request, KEPT_BYTES)).await.map_err(|_| broken_off())?;
    Ok(copy.map(|bytes| bytes.to_vec()))
}

/// Returns the body; none if it is longer than `most` bytes, as its length has stated.
async fn whole(call: &Call, most: u64) -> Result<Body, CallEnd> {
    let whole = js::read_whole(&call.request, most).await.map_err(|_| broken_off())?;
    Ok(whole.map_or(Body::None, Body::Bytes))
}

/// Returns where the call would go, and asks the object where it is not remembered.
pub async fn describe(call: &Call, admit: &Admit) -> Result<Rc<Route>, CallEnd> {
    if let Some(route) = route_cache::route(&admit.claims.tenant, &admit.connection) {
        return Ok(route);
    }
    // Boxed, so that the future of a call whose route is known has no room for it.
    Box::pin(ask_route(call, admit)).await
}

async fn ask_route(call: &Call, admit: &Admit) -> Result<Rc<Route>, CallEnd> {
    match tenant_client::ask(&call.config, &admit.claims.tenant, &Ask::Describe(admit.clone())).await? {
        Reply::Route(route) => {
            let route = Rc::from(route);
            route_cache::remember(&admit.claims.tenant, &admit.connection, Rc::clone(&route));
            Ok(route)
        }
        Reply::Refused(no) => Err(CallEnd::Refused(Box::new(no))),
        _ => Err(unexpected_reply().into()),
    }
}

/// Reads off some of a refused upload.
pub async fn drain(request: &Request, incoming: &Incoming) {
    if let Some(Drain { bytes, ms }) = head(incoming).drain() {
        js::drain(request, bytes, ms).await;
    }
}
