//! A call that need not be waited for: handed to the tenant's object to be kept, and answered with its address.

use super::answers::Reply;
use super::call::{Call, Stop};
use super::incoming::Incoming;
use super::inspect::About;
use super::{tenants, upload};
use crate::platform;
use js_sys::Uint8Array;
use sluice_core::call::unexpected_reply;
use sluice_core::http::{self, Answer, Sending, Target, VendorTarget, outgoing, urgency};
use sluice_core::job::{self, Bytes, Request};
use sluice_core::key::{Taken, without_parameters};
use sluice_core::policy::Credential;
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::tenant::protocol::{self, Admit, Ask, BodyLength, Keep, Route};
use sluice_core::upstream::credential::{placed, placed_token};
use wasm_bindgen::{JsCast, JsValue};

/// The longest body of a job: 1 MB.
const MOST_BYTES: u32 = 1_048_576;

/// How often the object is asked: asking twice keeps one job.
const TRIES: u32 = 4;

/// The longest that a caller waits for its job's end, milliseconds: an hour, as for a permit.
const LONGEST_WAIT_MS: u64 = 3_600_000;

/// Has the call kept; what its caller is told. `read`: its body, where that was read before.
pub async fn keep(
    about: &About<'_>,
    target: &Target<'_>,
    mut admit: Admit,
    read: Option<JsValue>,
) -> Result<Stop, Stop> {
    let About { call, vendor, search, .. } = *about;
    let incoming = &call.incoming;
    let seen = about.bytes(body(call, read).await?);
    if about.swap(&admit, &seen).await?.is_some() {
        let detail = "a call about a token is not kept, since its key would be kept with it: leave respond-async out";
        return Err(Refusal::new(Reason::KeyMisplaced, detail).into());
    }
    admit.method = about.methods(Some(&*upload::describe(call, &admit).await?), &seen)?;
    let body = seen.bytes;
    if !body.is_empty() && matches!(incoming.method.as_str(), "GET" | "HEAD") {
        return Err(
            Refusal::new(Reason::Request, "a get request with a body cannot be kept: leave respond-async out").into()
        );
    }
    admit.body = BodyLength::Bytes(body.len() as u64);
    // RFC 9218 leaves the default to us: a job is in no hurry.
    admit.urgency = urgency(incoming.header("priority")).unwrap_or(5);
    let route = upload::describe(call, &admit).await?;
    let wait_ms = call.prefer.wait_ms.unwrap_or(0).min(LONGEST_WAIT_MS);
    let request = Request {
        method: incoming.method.clone(),
        url: url(&incoming.url, vendor, &search.taken),
        headers: headers(call, &route, &search.taken),
        body: Bytes(body),
        callback: incoming.header("sluice-callback").map(str::to_owned),
    };
    let key = incoming.header("idempotency-key").map(str::to_owned);
    let (tenant, id) = (admit.claims.tenant.clone(), admit.call.clone());
    let ask = Ask::Keep(Box::new(Keep { admit, request, made: incoming.at, key, wait_ms }));
    for _ in 0..TRIES {
        let Some(asked) = tenants::ask_once(&call.here, &tenant, &ask, Some((&call.request, &id))).await else {
            continue;
        };
        return match asked.reply {
            protocol::Reply::Kept(id) => Ok(Stop::Kept(Reply::Own(kept(call, target, &id)), 202)),
            protocol::Reply::Answer(answer) => Ok(Stop::Kept(answered(&answer, incoming), answer.status)),
            protocol::Reply::No(no) => Err(Stop::Refused(Box::new(no))),
            protocol::Reply::Again => continue,
            _ if asked.gone => Err(Stop::Gone),
            _ => Err(unexpected_reply().into()),
        };
    }
    Err(tenants::unavailable().into())
}

/// The answer of a job, as its vendor gave it.
pub fn answered(answer: &job::Answer, asked: &Incoming) -> Reply {
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| !http::is_order(&name.to_ascii_lowercase(), asked.is_page()));
    http::allow(&mut headers, asked.origin());
    http::guard(&mut headers, asked.is_page());
    match platform::answer_whole(answer.status, &http::as_init(&headers), &answer.body.0) {
        Ok(response) => Reply::Done(response),
        Err(_) => {
            Refusal::new(Reason::Internal, "the stored answer cannot be sent: see it in the job's document").into()
        }
    }
}

/// 202, with the job's address.
fn kept(call: &Call, target: &Target, id: &str) -> Answer {
    // Where a host names the connection, Sluice's own addresses are on another.
    let origin = call.here.host_suffix.as_ref().map(|_| target.sluice_origin()).unwrap_or_default();
    let body = sluice_core::json!({ "id": id }).to_string();
    Answer::json(202, body)
        .with("Location", format!("{origin}/jobs/{id}"))
        .with("Preference-Applied", "respond-async")
        .with("Sluice-Call", call.id.as_str())
}

async fn body(call: &Call, read: Option<JsValue>) -> Result<Vec<u8>, Stop> {
    let body = match read {
        Some(read) if read.is_instance_of::<Uint8Array>() => read,
        // Of unknown length, and longer than what was read of it.
        Some(read) if read != JsValue::TRUE => JsValue::NULL,
        _ if !call.incoming.has_body() => return Ok(Vec::new()),
        _ => {
            let whole = platform::read_whole(&call.request, f64::from(MOST_BYTES)).await;
            whole.map_err(|_| Refusal::new(Reason::Request, "the request's body broke off before its end"))?
        }
    };
    if body.is_null() {
        let detail = format!("a job's body may have {MOST_BYTES} bytes: send this one directly, or in parts");
        return Err(Refusal::new(Reason::Payload, detail).into());
    }
    Ok(Uint8Array::from(body).to_vec())
}

/// The URL less any key in its query.
fn url(url: &str, vendor: &VendorTarget, taken: &Taken) -> String {
    match (url.split_once('?'), vendor.query) {
        (Some((before, _)), Some(query)) => {
            let query = without_parameters(query, &taken.query);
            if query.is_empty() { before.to_owned() } else { format!("{before}?{query}") }
        }
        _ => url.to_owned(),
    }
}

/// What goes on to the vendor, less the credential that is put in when it goes.
fn headers(call: &Call, route: &Route, taken: &Taken) -> Vec<(String, String)> {
    let credential = match &route.credential {
        Some(credential) => placed(credential, &route.profile),
        None => Some(placed_token("", &route.profile)),
    };
    let credential = credential.unwrap_or_default();
    let sending = Sending {
        passthrough: matches!(route.credential, Some(Credential::Passthrough)),
        placed: &credential,
        also: &[],
        taken,
        prefer: &call.prefer,
        // The answer is to be readable in the job's document.
        accept_encoding: Some("identity"),
    };
    let mut headers = outgoing(&call.incoming.headers, &sending);
    if credential.header.is_some() {
        headers.pop();
    }
    headers
}
