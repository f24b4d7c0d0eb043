//! A call that need not be waited for: handed to the tenant's object to be kept, and answered with
//! its address.

use crate::call::body;
use crate::call::context::{Call, CallEnd};
use crate::call::inspect::About;
use crate::call::stream::Body;
use crate::js;
use crate::response::{self, Reply};
use crate::tenant_client;
use sluice_core::call::unexpected_reply;
use sluice_core::http::{Answer, Sending, Target, VendorTarget, outgoing, urgency};
use sluice_core::jobs::{Bytes, Request};
use sluice_core::keys::{Taken, without_parameters};
use sluice_core::policy::Credential;
use sluice_core::protocol::{self, Admit, Ask, BodyLength, Route, SubmitJob};
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::upstream::credential::{placed, placed_token};

/// The longest body of a job: 1 MB.
const MOST_BYTES: u64 = 1_048_576;

/// How often the object is asked: asking twice keeps one job.
const TRIES: u32 = 4;

/// The longest that a caller waits for its job's end, milliseconds: an hour, as for a permit.
const LONGEST_WAIT_MS: u64 = 3_600_000;

/// Has the call kept; what its caller is told. `read`: its body, where that was read before.
pub async fn keep(
    about: &About<'_>,
    target: &Target<'_>,
    mut admit: Admit,
    read: Option<Body>,
) -> Result<CallEnd, CallEnd> {
    let About { call, vendor, search, .. } = *about;
    let incoming = &call.incoming;
    let seen = about.bytes(body(call, read).await?);
    if about.swap(&admit, &seen).await?.is_some() {
        let detail = "a call about a token is not kept, since its key would be kept with it: leave respond-async out";
        return Err(Refusal::new(Reason::KeyMisplaced, detail).into());
    }
    admit.method = about.methods(Some(&*body::describe(call, &admit).await?), &seen)?;
    let body = seen.bytes;
    if !body.is_empty() && matches!(incoming.method.as_str(), "GET" | "HEAD") {
        return Err(
            Refusal::new(Reason::Request, "a get request with a body cannot be kept: leave respond-async out").into()
        );
    }
    admit.body = BodyLength::Bytes(body.len() as u64);
    // RFC 9218 leaves the default to us: a job is in no hurry.
    admit.urgency = urgency(incoming.header("priority")).unwrap_or(5);
    let route = body::describe(call, &admit).await?;
    let wait_ms = call.prefer.wait_ms.filter(|ms| *ms > 0).map(|ms| ms.min(LONGEST_WAIT_MS));
    let request = Request {
        method: incoming.method.clone(),
        url: url(&incoming.url, vendor, &search.taken),
        headers: headers(call, &route, &search.taken),
        body: Bytes(body),
        callback: incoming.header("sluice-callback").map(str::to_owned),
    };
    let key = incoming.header("idempotency-key").map(str::to_owned);
    let (tenant, id) = (admit.claims.tenant.clone(), admit.call.clone());
    let ask = Ask::SubmitJob(Box::new(SubmitJob { admit, request, made: incoming.at, key, wait_ms }));
    for _ in 0..TRIES {
        let Some(asked) = tenant_client::ask_once(&call.config, &tenant, &ask, Some((&call.request, &id))).await else {
            continue;
        };
        return match asked.reply {
            protocol::Reply::Queued(id) => Ok(CallEnd::Queued(Reply::Own(kept(call, target, &id)), 202)),
            protocol::Reply::Answer(answer) => Ok(CallEnd::Queued(response::stored(&answer, incoming), answer.status)),
            protocol::Reply::Refused(no) => Err(CallEnd::Refused(Box::new(no))),
            protocol::Reply::Retry => continue,
            _ if asked.gone => Err(CallEnd::CallerGone),
            _ => Err(unexpected_reply().into()),
        };
    }
    Err(tenant_client::unavailable().into())
}

/// 202, with the job's address.
fn kept(call: &Call, target: &Target, id: &str) -> Answer {
    // Where a host names the connection, Sluice's own addresses are on another.
    let origin = call.config.host_suffix.as_ref().map(|_| target.sluice_origin()).unwrap_or_default();
    let body = serde_json::json!({ "id": id }).to_string();
    Answer::json(202, body)
        .with("Location", format!("{origin}/jobs/{id}"))
        .with("Preference-Applied", "respond-async")
        .with("Sluice-Call", call.id.as_str())
}

async fn body(call: &Call, read: Option<Body>) -> Result<Vec<u8>, CallEnd> {
    let body = match read {
        Some(Body::Bytes(bytes)) => Some(bytes),
        // Longer than what was read of it.
        Some(Body::Upload(_)) => None,
        _ if !call.incoming.has_body() => return Ok(Vec::new()),
        _ => {
            let whole = js::read_whole(&call.request, MOST_BYTES).await;
            whole.map_err(|_| Refusal::new(Reason::Request, "the request's body broke off before its end"))?
        }
    };
    body.map(|bytes| bytes.to_vec()).ok_or_else(|| {
        let detail = format!("a job's body may have {MOST_BYTES} bytes: send this one directly, or in parts");
        Refusal::new(Reason::Payload, detail).into()
    })
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
