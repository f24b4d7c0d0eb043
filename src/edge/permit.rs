//! Leave to send: asked of the tenant's object, and not used once it has grown old.

use super::call::{Call, Stop};
use super::{known, settle, tenants};
use crate::refusal::{Reason, Refusal};
use crate::tenant::protocol::{Admit, Ask, Go, Reply, Route};
use crate::throttle::PermitId;
use std::rc::Rc;

/// How often leave is asked for, all told: an object that a deploy has just replaced answers the next ask, and a permit
/// that came late is handed back for another.
const TRIES: u32 = 4;

/// Leave to send once, now.
pub struct Permit {
    /// Whose.
    pub tenant: String,
    /// For which connection.
    pub connection: String,
    /// What to settle with.
    pub id: PermitId,
    /// Where to.
    pub route: Rc<Route>,
    /// The `RateLimit` field.
    pub rate_limit: String,
    /// The `Sluice-Would` field.
    pub would: Option<String>,
    /// When it came, Unix ms.
    pub at: i64,
}

/// Asks until there is a permit that may be used, or a refusal.
pub async fn obtain(call: &Call, mut admit: Admit) -> Result<Permit, Stop> {
    let tenant = admit.claims.tenant.clone();
    let connection = admit.connection.clone();
    let caller = Some((&call.request, call.id.as_str()));
    for _ in 0..TRIES {
        let Some(asked) = tenants::ask_once(&call.here, &tenant, &Ask::Admit(admit.clone()), caller).await else {
            admit.again = true;
            continue;
        };
        let go = match asked.reply {
            Reply::Go(go) => go,
            _ if asked.gone => return Err(Stop::Gone),
            Reply::No(no) => return Err(Stop::Refused(Box::new(no))),
            _ => {
                again(&mut admit, call, asked.at);
                continue;
            }
        };
        let stale = asked.elapsed_ms.saturating_sub(go.waited_ms) > go.slack_ms;
        let route = route(&tenant, &connection, &go);
        let permit = |route| Permit {
            tenant: tenant.clone(),
            connection: connection.clone(),
            id: go.permit,
            route,
            rate_limit: go.rate_limit.clone(),
            would: go.would.clone(),
            at: asked.at,
        };
        match route {
            Some(route) if !stale && !asked.gone => return Ok(permit(route)),
            // Too old, so the object's sums no longer hold for it; or of no use.
            _ => settle::unused(&call.here, &tenant, &connection, go.permit).await,
        }
        if asked.gone {
            return Err(Stop::Gone);
        }
        admit.knows = 0;
        again(&mut admit, call, asked.at);
    }
    Err(tenants::unavailable().into())
}

/// The same call once more, with what is left of the time it may wait.
fn again(admit: &mut Admit, call: &Call, now: i64) {
    admit.again = true;
    let spent = u64::try_from(now - call.incoming.at).unwrap_or_default();
    admit.wait_ms = call.prefer.wait_ms.map(|wait| wait.saturating_sub(spent));
}

/// The route that the permit is for: sent along, or known by its version.
fn route(tenant: &str, connection: &str, go: &Go) -> Option<Rc<Route>> {
    if let Some(route) = &go.route {
        let route = Rc::new(Route::clone(route));
        known::remember(tenant, connection, Rc::clone(&route));
        return Some(route);
    }
    known::route(tenant, connection).filter(|route| route.version == go.route_version)
}

/// A reply that no ask of this kind has: Worker and object are of different releases.
pub fn unexpected() -> Refusal {
    Refusal::new(Reason::Unavailable, "the tenant's object gave an answer of another release: try again in a moment")
}
