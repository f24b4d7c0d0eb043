//! Who may ask what of a tenant: checked in the object, in force from the moment a policy or a key changes.

use super::connection_state::ConnectionState;
use super::state::TenantState;
use crate::jobs::Record;
use crate::keys::{Claims, Role};
use crate::policy::{App, Credential};
use crate::protocol::{Admit, JobsAsk};
use crate::refusal::{Reason, Refusal};
use crate::upstream::methods;

/// Whether a call may be put to its connection. Nothing is counted before this has passed.
pub(super) fn check<'a>(tenant: &'a TenantState, admit: &Admit, now: i64) -> Result<&'a ConnectionState, Refusal> {
    let (app, connection) = connected(tenant, admit, now)?;
    routed(app, admit)?;
    Ok(connection)
}

/// Whether a caller may know where a call would go. At the vendor's token endpoint that takes no route: what a client
/// asks for there Sluice answers itself, and the vendor hears nothing of it.
pub(super) fn describe<'a>(tenant: &'a TenantState, admit: &Admit, now: i64) -> Result<&'a ConnectionState, Refusal> {
    let (app, connection) = connected(tenant, admit, now)?;
    if connection.policy.profile.about_token(methods::sent(&admit.method), &admit.path).is_none() {
        routed(app, admit)?;
    }
    Ok(connection)
}

/// The app that calls and the connection it calls, if it may use that from where it is.
fn connected<'a>(tenant: &'a TenantState, admit: &Admit, now: i64) -> Result<(&'a App, &'a ConnectionState), Refusal> {
    listed(tenant, &admit.claims, now)?;
    if admit.claims.role != Role::App {
        return Err(Refusal::new(Reason::Role, "only an app's key makes calls: ask the administrator for one"));
    }
    let app = app(tenant, &admit.claims)?;
    let connection = tenant.connections.get(&admit.connection).ok_or_else(|| unknown(&admit.connection))?;
    if !app.may_use(&admit.connection) {
        let detail = format!("the app may not use connection {}: its policy lists others", admit.connection);
        return Err(Refusal::new(Reason::ConnectionForbidden, detail));
    }
    allowed_from(app, admit.from_browser, admit.origin.as_ref())?;
    if !admit.key_in_header && matches!(connection.policy.credential, Credential::Passthrough) {
        let detail = "the connection passes the vendor's own credential through, so the key must come in sluice-key";
        return Err(Refusal::new(Reason::Key, detail));
    }
    Ok((app, connection))
}

fn routed(app: &App, admit: &Admit) -> Result<(), Refusal> {
    match methods::each(&admit.method).find(|method| !app.routes.allow(method, &admit.path)) {
        None => Ok(()),
        Some(method) => {
            let detail = format!("the app's routes do not include {method} {}", admit.path);
            Err(Refusal::new(Reason::Route, detail))
        }
    }
}

/// Whether a key may see the figures.
pub(super) fn may_look(tenant: &TenantState, claims: &Claims, now: i64) -> Result<(), Refusal> {
    listed(tenant, claims, now)?;
    if claims.role == Role::App && !app(tenant, claims)?.origins.is_empty() {
        return Err(Refusal::new(Reason::Role, "a key that pages carry does not see the figures: use a viewer's key"));
    }
    Ok(())
}

/// Whether a key may see jobs: which ones, and what of them, is for later.
pub(super) fn may_see_jobs(tenant: &TenantState, ask: &JobsAsk, now: i64) -> Result<(), Refusal> {
    listed(tenant, &ask.claims, now)?;
    if ask.claims.role != Role::App {
        return Ok(());
    }
    let app = app(tenant, &ask.claims)?;
    if !(ask.own_origin && ask.from_browser) {
        allowed_from(app, ask.from_browser, ask.origin.as_ref())?;
    }
    // Every visitor of a page has its key: what one of them has sent is not for the next to list.
    if !app.origins.is_empty() && !ask.what.is_of_one() {
        let detail =
            "a key that pages carry reads a job by its id alone: list jobs with another app's or a viewer's key";
        return Err(Refusal::new(Reason::Role, detail));
    }
    Ok(())
}

/// Why a job may not be made any more when its turn has come, as the error of a dead letter: its app has gone or lost the connection,
/// or the route.
pub(super) fn bars_job(tenant: &TenantState, record: &Record, path: &str) -> Option<&'static str> {
    let app = tenant.policy.as_ref().and_then(|policy| policy.apps.get(&record.app));
    match app.filter(|app| app.may_use(&record.connection)) {
        None => Some("app"),
        Some(app) if methods::each(&record.method).any(|method| !app.routes.allow(method, path)) => Some("route"),
        Some(_) => None,
    }
}

/// Whether a key may pause and resume.
pub(super) fn may_operate(tenant: &TenantState, claims: &Claims, now: i64) -> Result<(), Refusal> {
    listed(tenant, claims, now)?;
    match claims.role {
        Role::Operator => Ok(()),
        _ => {
            Err(Refusal::new(Reason::Role, "only an operator's key pauses and resumes: ask the administrator for one"))
        }
    }
}

/// The refusal of a connection that the tenant does not have.
pub(super) fn unknown(connection: &str) -> Refusal {
    Refusal::new(Reason::ConnectionUnknown, format!("the tenant has no connection {connection}: see its policy"))
}

fn listed(tenant: &TenantState, claims: &Claims, now: i64) -> Result<(), Refusal> {
    let row = tenant.keys.get(&claims.id).filter(|row| row.role == claims.role && row.app == claims.app);
    let Some(row) = row.filter(|_| claims.tenant == tenant.name && tenant.policy.is_some()) else {
        return Err(Refusal::new(Reason::Key, "the key is not one of the tenant's, or was revoked: ask for a new one"));
    };
    if row.expires.is_some_and(|at| i64::try_from(at).is_ok_and(|at| at.saturating_mul(1_000) <= now)) {
        return Err(Refusal::new(Reason::Key, "the key has expired: ask for a new one"));
    }
    Ok(())
}

fn app<'a>(tenant: &'a TenantState, claims: &Claims) -> Result<&'a App, Refusal> {
    let name = claims.app.as_deref().unwrap_or_default();
    let app = tenant.policy.as_ref().and_then(|policy| policy.apps.get(name));
    app.ok_or_else(|| Refusal::new(Reason::Key, "the key's app is no longer in the policy: ask for another key"))
}

/// A key with origins works from those pages and nowhere else; one without works from no page.
fn allowed_from(app: &App, from_browser: bool, origin: Option<&String>) -> Result<(), Refusal> {
    if app.origins.is_empty() {
        return if from_browser {
            Err(Refusal::new(Reason::Origin, "the app's key does not work from a page: its policy lists no origins"))
        } else {
            Ok(())
        };
    }
    match origin {
        Some(origin) if app.origins.contains(origin) => Ok(()),
        Some(origin) => Err(Refusal::new(
            Reason::Origin,
            format!("the app's key does not work from {origin}: its policy lists others"),
        )),
        None => Err(Refusal::new(Reason::Origin, "the app's key works from its pages alone, and no origin was sent")),
    }
}
