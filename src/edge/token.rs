//! A vendor's token endpoint, answered here: the key comes as `client_secret` and goes back as the token, so that a
//! client which insists on the exchange works unchanged. Nothing is counted, and the vendor hears nothing.

use super::call::{Call, Stop, open_key};
use super::installation::Keys;
use super::tenants;
use crate::http::{Answer, Target, VendorTarget};
use crate::key::Role;
use crate::platform;
use crate::refusal::{Reason, Refusal};
use crate::tenant::protocol::{Ask, BodyLength, Reply};
use crate::vendor::Dialect;
use crate::vendor::dialect::{self, Saying};
use crate::vendor::token::{Issued, LONGEST_TOKEN_REQUEST, is_form, issued, key_in_request, may_be_token_path};
use js_sys::Uint8Array;
use wasm_bindgen::JsValue;

/// Only of a form in chunks: one that says its length and is longer passes on unread.
const TOO_LONG: &str = "a form in chunks to a token endpoint may have 16384 bytes: send it with Content-Length";

/// Looks for a request for a token, and answers it. For any other call: its body, where that had to be read to know.
pub async fn exchange(
    call: &Call,
    keys: &Keys,
    target: &Target<'_>,
    vendor: &VendorTarget<'_>,
) -> Result<Option<JsValue>, Stop> {
    let incoming = &call.incoming;
    let may_be = match incoming.body_length() {
        BodyLength::Bytes(length) => length <= LONGEST_TOKEN_REQUEST as u64,
        BodyLength::Unknown => is_form(&incoming.headers),
    };
    if !may_be || !may_be_token_path(vendor.path) || !matches!(incoming.method.as_str(), "GET" | "POST") {
        return Ok(None);
    }
    let mut body = None;
    if incoming.has_body() {
        let read = platform::read_whole(&call.request, LONGEST_TOKEN_REQUEST as f64).await;
        let read = read.map_err(|_| Refusal::new(Reason::Request, "the request's body broke off before its end"))?;
        if read.is_null() {
            return Err(Refusal::new(Reason::Payload, TOO_LONG).into());
        }
        body = Some(read);
    }
    let bytes = body.as_ref().map(|body| Uint8Array::from(body.clone()).to_vec()).unwrap_or_default();
    let Some(key) = key_in_request(&incoming.headers, vendor.query, &bytes) else { return Ok(body) };
    match issue(call, keys, target, vendor, &key).await {
        Ok(Some(answer)) => Err(Stop::Said(None, answer)),
        Ok(None) => Ok(body),
        Err(Stop::Refused(no)) => {
            let saying = Saying { dialect: Dialect::Generic, problem: false, call: &call.id, rate_limit: None };
            Err(Stop::Said(Some(no.refusal.reason), dialect::token_error(&no.refusal, &saying)))
        }
        Err(stop) => Err(stop),
    }
}

/// The token; none if the connection's vendor has no token endpoint there.
async fn issue(
    call: &Call,
    keys: &Keys,
    target: &Target<'_>,
    vendor: &VendorTarget<'_>,
    key: &str,
) -> Result<Option<Answer>, Stop> {
    let claims = open_key(keys, key, call.incoming.at)?;
    if claims.role != Role::App {
        return Err(Refusal::new(Reason::Role, "this key sees figures alone: make calls with an app's key").into());
    }
    // Asked even where the route is known: the object knows whether the key is still listed.
    let admit = call.admit(claims.clone(), true, target, vendor);
    let route = match tenants::ask(&call.here, &claims.tenant, &Ask::Describe(admit)).await?.reply {
        Reply::Route(route) => route,
        Reply::No(no) => return Err(Stop::Refused(Box::new(no))),
        _ => return Err(tenants::unavailable().into()),
    };
    let Some(endpoint) = route.profile.token_endpoint.as_ref().filter(|endpoint| endpoint.path == vendor.path) else {
        return Ok(None);
    };
    let now = call.incoming.at;
    let token = Issued {
        key,
        key_lives_seconds: claims.expires.map(|at| at.saturating_sub(u64::try_from(now / 1_000).unwrap_or_default())),
        instance_url: &target.connection_url().unwrap_or_default(),
        app: claims.app.as_deref().unwrap_or_default(),
        now,
    };
    Ok(Some(issued(endpoint, &token).with("Sluice-Call", call.id.as_str())))
}
