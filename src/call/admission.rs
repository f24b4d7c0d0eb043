//! Leave to send: asked of the tenant's object, and not used once it has grown old.

use crate::call::context::{Call, CallEnd, Permit};
use crate::call::settle;
use crate::platform;
use crate::route_cache;
use crate::tasks::fetch_token;
use crate::tenant_client::{self, Asked};
use sluice_core::protocol::{Admit, Ask, Bearer, Granted, Reply, Route, Sent};
use sluice_core::upstream::methods;
use sluice_core::usage::fold;
use std::rc::Rc;

/// How often leave is asked for, all told: an object that a deploy has just replaced answers the
/// next ask, and a permit that came late is handed back for another.
const TRIES: u32 = 4;

/// Asks until there is a permit that may be used, or a refusal.
pub async fn acquire(call: &Call, admit: &mut Admit) -> Result<Permit, CallEnd> {
    ask(call, admit, 1, asked_until(call)).await?.ok_or_else(|| tenant_client::unavailable().into())
}

/// Asks for another permit for a call whose former one is settled; to be had until `deadline`, Unix
/// ms. `nth`: which vendor call of the caller's one it is for.
pub async fn acquire_for_retry(call: &Call, admit: &Admit, nth: u32, deadline: i64) -> Result<Permit, CallEnd> {
    let mut admit = another(admit, Some(deadline));
    ask(call, &mut admit, nth, Some(deadline)).await?.ok_or_else(|| tenant_client::unavailable().into())
}

/// Asks for a permit with another access token than the one that the vendor has refused. None:
/// there is no better one.
pub async fn acquire_with_another_token(
    call: &Call,
    admit: &Admit,
    nth: u32,
    rejected: u64,
) -> Result<Option<Permit>, CallEnd> {
    let deadline = asked_until(call);
    let mut admit = Admit { rejected, holds: rejected, ..another(admit, deadline) };
    ask(call, &mut admit, nth, deadline).await
}

/// A permit of its own needs an id of its own: asking twice with one id takes one permit.
fn another(admit: &Admit, deadline: Option<i64>) -> Admit {
    Admit { call: platform::random_id(), again: false, wait_ms: left(deadline, platform::now()), ..admit.clone() }
}

/// Until when the caller will wait, Unix ms, where it says so.
fn asked_until(call: &Call) -> Option<i64> {
    let wait = i64::try_from(call.prefer.wait_ms?).unwrap_or(i64::MAX);
    Some(call.incoming.at.saturating_add(wait))
}

async fn ask(call: &Call, admit: &mut Admit, nth: u32, deadline: Option<i64>) -> Result<Option<Permit>, CallEnd> {
    for _ in 0..TRIES {
        let Some(asked) = once(call, admit).await else {
            admit.again = true;
            continue;
        };
        let (tenant, connection) = (admit.claims.tenant.as_str(), admit.connection.as_str());
        let go = match asked.reply {
            Reply::Permit(go) => go,
            // Also for a caller that has gone: others may wait for the token.
            Reply::Fetch(fetch) => {
                Box::pin(fetch_token::fetch(&call.config, tenant, connection, *fetch)).await;
                again(admit, deadline, platform::now());
                continue;
            }
            Reply::TokenStands => return Ok(None),
            _ if asked.gone => return Err(CallEnd::CallerGone),
            Reply::Refused(no) => return Err(CallEnd::Refused(Box::new(no))),
            _ => {
                again(admit, deadline, asked.at);
                continue;
            }
        };
        let age = i64::try_from(asked.elapsed_ms).unwrap_or(i64::MAX).saturating_sub(go.since_ask_ms);
        let stale = u64::try_from(age).unwrap_or(0) > go.slack_ms;
        let route = route(tenant, connection, &go);
        let bearer = bearer(tenant, connection, &go);
        let route = route.filter(|route| route.credential.is_some() || bearer.is_some());
        let permit = |route| Permit {
            tenant: tenant.to_owned(),
            connection: connection.to_owned(),
            id: go.permit,
            route,
            bearer: bearer.clone(),
            rate_limit: go.rate_limit.clone(),
            would: go.would.clone(),
            at: asked.at,
            sent: Sent {
                app: admit.claims.app.clone().unwrap_or_default(),
                method: methods::sent(&admit.method).to_owned(),
                path: fold(&admit.path),
                nth,
                ago_ms: 0,
            },
        };
        match route {
            Some(route) if !stale && !asked.gone => return Ok(Some(permit(route))),
            // Too old, so the object's sums no longer hold for it; or of no use.
            _ => Box::pin(settle::unused(call, tenant, connection, go.permit)).await,
        }
        if asked.gone {
            return Err(CallEnd::CallerGone);
        }
        (admit.knows, admit.holds) = (0, 0);
        again(admit, deadline, asked.at);
    }
    Err(tenant_client::unavailable().into())
}

/// Asks the object.
fn once(call: &Call, admit: &Admit) -> impl Future<Output = Option<Asked>> + use<> {
    let caller = Some((&call.request, admit.call.as_str()));
    tenant_client::ask_once(&call.config, &admit.claims.tenant, &Ask::Admit(admit.clone()), caller)
}

/// The same call once more, with what is left of the time it may wait.
fn again(admit: &mut Admit, deadline: Option<i64>, now: i64) {
    admit.again = true;
    admit.wait_ms = left(deadline, now);
}

fn left(deadline: Option<i64>, now: i64) -> Option<u64> {
    deadline.map(|deadline| u64::try_from(deadline.saturating_sub(now)).unwrap_or_default())
}

/// The route that the permit is for: sent along, or known by its version.
fn route(tenant: &str, connection: &str, go: &Granted) -> Option<Rc<Route>> {
    if let Some(route) = &go.route {
        let route = Rc::new(Route::clone(route));
        route_cache::remember(tenant, connection, Rc::clone(&route));
        return Some(route);
    }
    route_cache::route(tenant, connection).filter(|route| route.version == go.route_version)
}

/// The access token that the permit is for: sent along, or known by its mark.
fn bearer(tenant: &str, connection: &str, go: &Granted) -> Option<Rc<Bearer>> {
    if let Some(bearer) = &go.bearer {
        let bearer = Rc::new(bearer.clone());
        route_cache::remember_bearer(tenant, connection, Rc::clone(&bearer));
        return Some(bearer);
    }
    route_cache::bearer(tenant, connection).filter(|bearer| bearer.mark == go.mark)
}
