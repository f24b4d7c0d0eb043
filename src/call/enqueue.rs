//! A call that need not be waited for: handed to the tenant's object to be kept, and answered with
//! its address.

use crate::call::body;
use crate::call::context::{Call, CallEnd};
use crate::call::inspect::About;
use crate::call::stream::Body;
use crate::js;
use crate::response::{self, Reply};
use crate::tenant_client;
use sluice_core::call::body::broken_off;
use sluice_core::call::submission::{self, LONGEST_BODY_BYTES, Submission, Submitted};
use sluice_core::call::{Asks, Caller, Heard};
use sluice_core::http::{Target, urgency};
use sluice_core::protocol::{Admit, Ask, BodyLength, SubmitJob};
use sluice_core::refusal::Refusal;

/// Has the call kept, and returns what its caller is answered. `read` is its body, where that was
/// read before.
pub async fn keep(
    about: &About<'_>,
    target: &Target<'_>,
    mut admit: Admit,
    read: Option<Body>,
) -> Result<CallEnd, CallEnd> {
    let About { call, vendor, search, .. } = *about;
    let incoming = &call.incoming;
    let kept = Submission {
        method: &incoming.method,
        url: &incoming.url,
        headers: &incoming.headers,
        vendor,
        taken: &search.taken,
        prefer: &call.prefer,
    };
    let seen = about.bytes(body(call, read).await?);
    if about.swap(&admit, &seen).await?.is_some() {
        return Err(submission::about_a_token().into());
    }
    admit.method = about.methods(Some(&*body::describe(call, &admit).await?), &seen)?;
    let body = seen.bytes;
    kept.check_body(body.len())?;
    admit.body = BodyLength::Bytes(body.len() as u64);
    admit.urgency = urgency(incoming.header("priority")).unwrap_or(submission::USUAL_URGENCY);
    let route = body::describe(call, &admit).await?;
    let request = kept.request(&route, incoming.header("sluice-callback"), body);
    let key = incoming.header("idempotency-key").map(str::to_owned);
    let job = Box::new(SubmitJob { admit, request, made: incoming.at, key, wait_ms: kept.wait_ms() });
    match submit(call, job).await? {
        Submitted::Queued(id) => {
            // Where a host names the connection, Sluice's own addresses are on another.
            let origin = call.config.host_suffix.as_ref().map(|_| target.sluice_origin()).unwrap_or_default();
            Ok(CallEnd::Queued(Reply::Own(submission::accepted(&id, &origin, &call.id)), 202))
        }
        Submitted::Answered(answer) => Ok(CallEnd::Queued(response::stored(&answer, incoming), answer.status)),
        Submitted::Refused(no) => Err(CallEnd::Refused(no)),
        Submitted::CallerGone => Err(CallEnd::CallerGone),
    }
}

/// Hands the job over until the object has an answer.
async fn submit(call: &Call, job: Box<SubmitJob>) -> Result<Submitted, Refusal> {
    let (tenant, id) = (job.admit.claims.tenant.clone(), job.admit.call.clone());
    let (ask, mut asks) = (Ask::SubmitJob(job), Asks::of_a_job());
    loop {
        let asked = tenant_client::ask_once(&call.config, &tenant, &ask, Some((&call.request, &id))).await;
        let caller = match &asked {
            Some(asked) if asked.gone => Caller::Gone,
            _ => Caller::Present,
        };
        match asks.heard(asked.map(|asked| asked.reply)) {
            Heard::Reply(reply) => return Ok(Submitted::of(reply, caller)),
            Heard::AskAgain => {}
            Heard::Unavailable => return Err(tenant_client::unavailable()),
        }
    }
}

async fn body(call: &Call, read: Option<Body>) -> Result<Vec<u8>, Refusal> {
    let body = match read {
        Some(Body::Bytes(bytes)) => Some(bytes),
        // Longer than what was read of it.
        Some(Body::Upload(_)) => None,
        _ if !call.incoming.has_body() => return Ok(Vec::new()),
        _ => js::read_whole(&call.request, LONGEST_BODY_BYTES).await.map_err(|_| broken_off())?,
    };
    body.map(|bytes| bytes.to_vec()).ok_or_else(submission::body_too_long)
}
