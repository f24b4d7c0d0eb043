//! A job's call, made with the permit that came with its errand by the code that makes a direct
//! one; and the report of it.

use crate::call::access_log::AccessLog;
use crate::call::context::{Call, Permit};
use crate::call::forward::{CallTimings, Forward, since};
use crate::call::report::End;
use crate::call::settle::settled;
use crate::call::stream::Body;
use crate::config::Config;
use crate::request::Incoming;
use crate::response;
use crate::tenant_client::{self, Asked};
use crate::{js, platform};
use js_sys::Uint8Array;
use sluice_core::http::{Address, Prefer, Target, VendorTarget, parse_target};
use sluice_core::jobs::{Answer, Bytes};
use sluice_core::keys::{Claims, Role, Taken};
use sluice_core::protocol::{Ask, Reply, RunReport, Sent};
use sluice_core::tenant::task::{FRESH_MS, Run};
use sluice_core::upstream::outcome::Classification;
use sluice_core::upstream::profile::Executed;
use sluice_core::usage::fold;
use std::rc::Rc;
use web_sys::Response;

/// The longest answer that is kept whole: 1 MB.
const MOST_BYTES: u32 = 1_048_576;

/// Pauses after reports that are not heard, ms. Without one a job whose call must not be made twice
/// is a dead letter; after these, the object gives up waiting.
const PAUSES_MS: [u64; 7] = [50, 100, 200, 400, 800, 1_600, 0];

/// What came of the call.
struct Came {
    end: End,
    verdict: Option<Classification>,
    answer: Option<Answer>,
}

/// Makes the call and reports it.
pub async fn run(config: Rc<Config>, run: Run) {
    let now = platform::now();
    let job = run.job.clone();
    let (tenant, connection, number) = (run.tenant.clone(), run.connection.clone(), run.run);
    let incoming = Rc::new(Incoming::kept(now, &run.request));
    let Ok(request) = web_sys::Request::new_with_str("http://sluice/") else { return };
    let prefer = Prefer::read(&incoming.headers);
    let call = Call {
        config: Rc::clone(&config),
        request,
        incoming,
        id: run.job.clone(),
        prefer,
        reports: Default::default(),
        begun: 0,
    };
    let mut record = AccessLog::new(&call.id, &call.incoming);
    let target = parse_target(&call.incoming.url, config.host_suffix.as_deref());
    let parts = target.as_ref().ok().and_then(|target| match target.address {
        Address::Vendor(vendor) => Some((target, vendor)),
        _ => None,
    });
    let permit = permit(&run, parts.map_or("/", |(_, vendor)| vendor.route_path()), now);
    let came = match parts {
        Some((target, vendor)) if now.saturating_sub(run.granted) <= FRESH_MS => {
            let claims = Claims {
                tenant: tenant.clone(),
                id: String::new(),
                role: Role::App,
                app: Some(run.app),
                expires: None,
            };
            record.of(&claims, &vendor);
            make(&call, target, &vendor, &permit, run.request.body, &mut record).await
        }
        // Too old a permit; or an address of another installation's HOST_SUFFIX.
        _ => Came { end: End::unsent(), verdict: None, answer: None },
    };
    record.ended(&came.end);
    record.write();
    let rejected = match (&came.verdict, &permit.bearer) {
        (Some(verdict), Some(bearer)) if verdict.expired => bearer.mark,
        _ => 0,
    };
    let verdict = came.verdict;
    let mut ran = RunReport {
        settle: settled(&call, &permit, &came.end, 1),
        job,
        run: number,
        executed: match verdict.as_ref().map(|verdict| verdict.executed) {
            Some(Executed::Yes) => Some(true),
            Some(Executed::No) => Some(false),
            Some(Executed::Maybe) | None => None,
        },
        transient: verdict.as_ref().is_some_and(|verdict| verdict.transient),
        retry_after_ms: verdict.and_then(|verdict| verdict.retry_after_ms),
        rejected,
        answer: came.answer,
    };
    for (attempt, pause) in (2..).zip(PAUSES_MS) {
        let ask = Ask::RunReport(Box::new(ran.clone()));
        if let Some(Asked { reply: Reply::Done, .. }) = tenant_client::ask_once(&config, &tenant, &ask, None).await {
            return;
        }
        platform::sleep(pause).await;
        ran.settle = settled(&call, &permit, &came.end, attempt);
    }
    let line = serde_json::json!({"level": "error", "tenant": tenant, "connection": connection,
        "fault": "a job's run was not heard of; the end of its permit's lease stands in for it"});
    platform::log(&line);
}

/// Sends it, and reads the answer to its end.
async fn make(
    call: &Call,
    target: &Target<'_>,
    vendor: &VendorTarget<'_>,
    permit: &Permit,
    body: Bytes,
    record: &mut AccessLog,
) -> Came {
    let body = Body::of(Uint8Array::from(body.0.as_slice()));
    let taken = Taken::default();
    let sending = Forward { call, target, vendor, body: &body, taken: &taken, swap: None };
    let attempt = sending.send(permit).await;
    let queue_ms = u64::try_from(permit.at.saturating_sub(call.incoming.at)).unwrap_or_default();
    let timings = CallTimings { attempts: permit.sent.nth, queue_ms, vendor_ms: since(attempt.at, permit.at) };
    record.attempted(timings);
    let verdict = attempt.verdict.clone();
    let mask = Rc::clone(&attempt.mask);
    let forwarded = sending.pass_on(permit, attempt, timings, false);
    record.answered(&forwarded);
    let answer = match &forwarded.reply {
        response::Reply::Done(response) => kept(response).await,
        _ => None,
    };
    // What is kept is shown to others than the caller, and sent to receivers of callbacks.
    let answer = answer.map(|mut answer| {
        mask.star(&mut answer.body.0);
        answer
    });
    let end = forwarded.ending.end().await;
    // Cut off in its middle, an answer is none.
    let whole = end.headers_at.is_some() && verdict.as_ref().is_some_and(|verdict| verdict.outcome == end.outcome);
    let verdict = verdict.map(|verdict| match whole {
        true => verdict,
        false => Classification { executed: Executed::Maybe, transient: true, ..verdict },
    });
    Came { end, verdict, answer: answer.filter(|_| whole) }
}

/// The answer that was to go to a caller, read to its end; none if it breaks off.
async fn kept(response: &Response) -> Option<Answer> {
    let (body, truncated) = match response.body() {
        Some(body) => js::read_up_to(&body, MOST_BYTES).await.ok()?,
        None => (Uint8Array::new_with_length(0), false),
    };
    let headers = platform::read_headers(&response.headers(), usize::MAX).ok()?;
    Some(Answer { status: response.status(), headers, body: Bytes(body.to_vec()), truncated })
}

fn permit(run: &Run, path: &str, now: i64) -> Permit {
    let sent =
        Sent { app: run.app.clone(), method: run.request.method.clone(), path: fold(path), nth: run.run, ago_ms: 0 };
    Permit {
        tenant: run.tenant.clone(),
        connection: run.connection.clone(),
        id: run.permit,
        route: Rc::from(run.route.clone()),
        bearer: run.bearer.clone().map(Rc::new),
        rate_limit: run.rate_limit.clone(),
        would: None,
        at: now,
        sent,
    }
}
