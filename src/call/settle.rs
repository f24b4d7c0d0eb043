//! Telling the tenant's object what became of a permit.

use crate::call::access_log::logged;
use crate::call::context::{Call, Permit};
use crate::call::report::{self, End, Report};
use crate::call::settle_batch::{self, heard};
use crate::platform;
use sluice_core::http::{Address, parse_target};
use sluice_core::keys;
use sluice_core::protocol::{Ask, Sent, Settle};
use sluice_limiter::{Outcome, PermitId};

/// How often it is told at once. The call tells it again at its end.
const TRIES: u32 = 3;

/// Settles a permit that was used, while its call goes on.
pub async fn settle(call: &Call, permit: &Permit, end: End) {
    note(call, permit, end);
    tell(call).await;
}

/// Takes note of the end of a permit that was used, to be told with the account.
pub fn note(call: &Call, permit: &Permit, end: End) {
    log_throttle(call, permit, &end);
    let unhurried = permit.route.unhurried && end.outcome == Outcome::Answered;
    let sent = Some((permit.sent.clone(), permit.at));
    let (tenant, connection) = (permit.tenant.clone(), permit.connection.clone());
    call.reports.push(Report { tenant, connection, permit: permit.id, end, sent, told: 0, unhurried });
}

/// Hands back a permit that was not used.
pub async fn unused(call: &Call, tenant: &str, connection: &str, permit: PermitId) {
    let (tenant, connection) = (tenant.to_owned(), connection.to_owned());
    let end = End::unsent();
    call.reports.push(Report { tenant, connection, permit, end, sent: None, told: 0, unhurried: false });
    tell(call).await;
}

/// Tells what was noted last, so that it takes effect.
async fn tell(call: &Call) {
    for _ in 0..TRIES {
        let Some((tenant, last)) = call.reports.last() else { return };
        if heard(&call.config, &tenant, &Ask::Settle(last)).await {
            return;
        }
    }
}

/// Gives account of a call's permits, once it has ended. A job's are told with its run.
pub async fn account(call: &Call) {
    settle_batch::give(&call.config, call.begun, call.reports.take()).await;
}

/// Each throttle by the vendor is a line of its own, also where the call is made again and goes
/// well: who asked for what.
fn log_throttle(call: &Call, permit: &Permit, end: &End) {
    if !matches!(end.outcome, Outcome::Throttled { .. }) {
        return;
    }
    let target = parse_target(&call.incoming.url, call.config.host_suffix.as_deref());
    let path = target.ok().and_then(|target| match target.address {
        Address::Vendor(vendor) => Some(vendor.path),
        _ => None,
    });
    let path = path.zip(call.config.keys.as_ref().ok()).map(|(path, keys)| {
        let in_path = keys::seek(&keys.master, path.as_bytes());
        logged(&keys::without(path, &in_path))
    });
    let Sent { app, method, nth, .. } = &permit.sent;
    let line = serde_json::json!({"level": "warn", "call": call.id, "tenant": permit.tenant,
        "connection": permit.connection, "app": app, "method": method, "path": path.unwrap_or_default(),
        "attempt": nth, "error_code": end.error_code, "fault": "throttled by the vendor"});
    platform::log(&line);
}

/// What is said of a job's permit that was used; `attempt`: 1 for the first try to say it.
pub fn settled(call: &Call, permit: &Permit, end: &End, attempt: u32) -> Settle {
    if attempt == 1 {
        log_throttle(call, permit, end);
    }
    report::message(&permit.connection, permit.id, end, Some((&permit.sent, permit.at)), attempt)
}
