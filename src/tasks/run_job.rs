//! A job's call, made with the permit that came with its task by the code that makes a direct
//! one; and the report of it.

use crate::call::access_log::AccessRecord;
use crate::call::context::Call;
use crate::call::forward::Forward;
use crate::call::stream::Body;
use crate::config::Config;
use crate::request::Incoming;
use crate::tenant_client::{self, Asked};
use crate::{js, platform};
use js_sys::Uint8Array;
use sluice_core::call::job::{JobReport, is_fresh, permit_of};
use sluice_core::call::{CallFacts, CallOutcome, Log, Permit, Timings, ms_between, without_keys};
use sluice_core::http::{Address, Prefer, Target, VendorTarget, parse_target};
use sluice_core::jobs::{Answer, Bytes};
use sluice_core::keys::{Claims, Role, Taken};
use sluice_core::protocol::{Ask, Reply};
use sluice_core::refusal::Reason;
use sluice_core::tenant::task::Run;
use sluice_limiter::Outcome;
use std::rc::Rc;
use web_sys::Response;

/// The longest answer that is kept whole: 1 MB.
const MOST_BYTES: u32 = 1_048_576;

/// Makes the call and reports it.
pub async fn run(config: Rc<Config>, run: Run) {
    let now = platform::now();
    let (tenant, connection) = (run.tenant.clone(), run.connection.clone());
    let incoming = Rc::new(Incoming::kept(now, &run.request));
    let Ok(request) = web_sys::Request::new_with_str("http://sluice/") else { return };
    let prefer = Prefer::read(&incoming.headers);
    let call = Call { config: Rc::clone(&config), request, incoming, id: run.job.clone(), prefer, begun: 0 };
    let mut record = AccessRecord::new(&call.id, &call.incoming);
    let target = parse_target(&call.incoming.url, config.host_suffix.as_deref());
    let parts = target.as_ref().ok().and_then(|target| match target.address {
        Address::Vendor(vendor) => Some((target, vendor)),
        _ => None,
    });
    let permit = permit_of(&run, parts.map_or("/", |(_, vendor)| vendor.route_path()), now);
    let mut facts = CallFacts::default();
    let mut report = match parts {
        Some((target, vendor)) if is_fresh(run.granted, now) => {
            let (tenant, app) = (tenant.clone(), Some(run.app));
            record.of(&Claims { tenant, id: String::new(), role: Role::App, app, expires: None }, &vendor);
            make(&call, (target, &vendor), (&permit, run.run), run.request.body, &mut facts).await
        }
        // Too old a permit; or an address of another installation's HOST_SUFFIX.
        _ => {
            facts.outcome = Some(CallOutcome::Settled(Outcome::Unused));
            JobReport::not_sent(&run.job, run.run, &permit)
        }
    };
    record.became(&facts);
    record.write();
    loop {
        let ask = Ask::RunReport(Box::new(report.tell(platform::now())));
        if let Some(Asked { reply: Reply::Done, .. }) = tenant_client::ask_once(&config, &tenant, &ask, None).await {
            return;
        }
        let Some(pause) = report.next_pause_ms() else { break };
        platform::sleep(pause).await;
    }
    let line = serde_json::json!({"level": "error", "tenant": tenant, "connection": connection,
        "fault": "a job's run was not heard of; the end of its permit's lease stands in for it"});
    platform::log(&line);
}

/// Sends it, and reads the answer to its end.
async fn make(
    call: &Call,
    (target, vendor): (&Target<'_>, &VendorTarget<'_>),
    (permit, number): (&Permit, u32),
    body: Bytes,
    facts: &mut CallFacts,
) -> JobReport {
    let body = Body::of(Uint8Array::from(body.0.as_slice()));
    let taken = Taken::default();
    let sending = Forward { call, target, vendor, body: &body, taken: &taken, swap: None };
    let (attempt, answer) = sending.send(permit).await;
    let timings = Timings {
        attempts: permit.sent.nth,
        queue_ms: ms_between(call.incoming.at, permit.at),
        vendor_ms: ms_between(permit.at, attempt.at),
    };
    facts.timings = Some(timings);
    let mask = answer.as_ref().map(|answer| Rc::clone(&answer.mask)).unwrap_or_default();
    let total_ms = ms_between(call.incoming.at, attempt.at);
    let passed = answer.and_then(|answer| sending.pass_on(permit, answer, timings, total_ms));
    let (end, answer) = match passed {
        Some((response, sent)) => {
            let mut answer = kept(&response).await;
            // What is kept is shown to others than the caller, and sent to receivers of callbacks.
            if let Some(answer) = &mut answer {
                mask.star(&mut answer.body.0);
            }
            facts.status = attempt.came.as_ref().ok().copied();
            (attempt.end.clone().with_body(&sent.ended().await), answer)
        }
        None => {
            facts.refused = Some(attempt.came.as_ref().err().map_or(Reason::VendorUnreachable, |no| no.reason));
            (attempt.end.clone(), None)
        }
    };
    let logged_path = without_keys(vendor.path);
    if let Some(line) = Log::of_throttle(&call.id, &logged_path, permit, &end) {
        platform::log(&line.line());
    }
    facts.outcome = Some(CallOutcome::Settled(end.outcome));
    facts.error_code.clone_from(&end.error_code);
    facts.response_bytes = end.response_bytes;
    JobReport::of(&call.id, number, permit, &attempt, end, answer)
}

/// Returns the answer that was to go to a caller, read to its end; none if it breaks off.
async fn kept(response: &Response) -> Option<Answer> {
    let (body, truncated) = match response.body() {
        Some(body) => js::read_up_to(&body, MOST_BYTES).await.ok()?,
        None => (Uint8Array::new_with_length(0), false),
    };
    let headers = platform::read_headers(&response.headers(), usize::MAX).ok()?;
    Some(Answer { status: response.status(), headers, body: Bytes(body.to_vec()), truncated })
}
