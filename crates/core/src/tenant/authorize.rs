//! The checks of who may ask what of a tenant. They are made in the object, so a change of the
//! policy or of a key is in force at once.

use super::connection::ConnectionState;
use super::keys::KeyState;
use super::state::TenantState;
use crate::jobs::Record;
use crate::keys::{Claims, Role};
use crate::policy::{App, Credential};
use crate::protocol::{Admit, JobsAsk};
use crate::refusal::{Reason, Refusal};
use crate::upstream::methods;

/// Checks whether a call may go to its connection, and whether the vendor takes its lengths.
/// Nothing is counted before this has passed.
pub(super) fn admissible<'a>(tenant: &'a TenantState, admit: &Admit, now: i64) -> Result<&'a ConnectionState, Refusal> {
    let (app, connection) = connected(tenant, admit, now)?;
    routed(app, admit)?;
    connection.rules().check_sizes(admit)?;
    Ok(connection)
}

/// Checks whether a caller may know where a call would go. At the vendor's token endpoint that
/// takes no route: Sluice itself answers what a client asks for there, and the vendor does not hear
/// of it.
pub(super) fn describe<'a>(tenant: &'a TenantState, admit: &Admit, now: i64) -> Result<&'a ConnectionState, Refusal> {
    let (app, connection) = connected(tenant, admit, now)?;
    if connection.policy().profile.about_token(methods::sent(&admit.method), &admit.path).is_none() {
        routed(app, admit)?;
    }
    Ok(connection)
}

/// Finds the app that calls and the connection that it calls, if the app may use it from where it
/// is.
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
    if !admit.key_in_header && matches!(connection.policy().credential, Credential::Passthrough) {
        let detail = "the connection passes the vendor's own credential through, so the key must come in sluice-key";
        return Err(Refusal::new(Reason::Key, detail));
    }
    Ok((app, connection))
}

/// Checks whether an app's routes include a call.
fn routed(app: &App, admit: &Admit) -> Result<(), Refusal> {
    match methods::each(&admit.method).find(|method| !app.routes.allow(method, &admit.path)) {
        None => Ok(()),
        Some(method) => {
            let detail = format!("the app's routes do not include {method} {}", admit.path);
            Err(Refusal::new(Reason::Route, detail))
        }
    }
}

/// Checks whether a key may see the figures.
pub(super) fn may_look(tenant: &TenantState, claims: &Claims, now: i64) -> Result<(), Refusal> {
    listed(tenant, claims, now)?;
    if claims.role == Role::App && !app(tenant, claims)?.origins.is_empty() {
        return Err(Refusal::new(Reason::Role, "a key that pages carry does not see the figures: use a viewer's key"));
    }
    Ok(())
}

/// Checks whether a key may see jobs. Which ones, and what of them, is decided later.
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

/// Why a job may no longer be made when its turn has come, as the error of a dead letter: its app
/// has gone or lost the connection, or the route.
pub(super) fn bars_job(tenant: &TenantState, record: &Record, path: &str) -> Option<&'static str> {
    let app = tenant.policy.as_ref().and_then(|policy| policy.apps.get(&record.app));
    match app.filter(|app| app.may_use(&record.connection)) {
        None => Some("app"),
        Some(app) if methods::each(&record.method).any(|method| !app.routes.allow(method, path)) => Some("route"),
        Some(_) => None,
    }
}

/// Checks whether a key may pause and resume.
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

/// Checks that a key is one of the tenant's and may be used.
fn listed(tenant: &TenantState, claims: &Claims, now: i64) -> Result<(), Refusal> {
    let known = claims.tenant == tenant.name && tenant.policy.is_some();
    match tenant.keys.state(claims, now) {
        KeyState::Works if known => Ok(()),
        KeyState::Expired if known => Err(Refusal::new(Reason::Key, "the key has expired: ask for a new one")),
        _ => Err(Refusal::new(Reason::Key, "the key is not one of the tenant's, or was revoked: ask for a new one")),
    }
}

/// Finds the app that carries a key.
fn app<'a>(tenant: &'a TenantState, claims: &Claims) -> Result<&'a App, Refusal> {
    let name = claims.app.as_deref().unwrap_or_default();
    let app = tenant.policy.as_ref().and_then(|policy| policy.apps.get(name));
    app.ok_or_else(|| Refusal::new(Reason::Key, "the key's app is no longer in the policy: ask for another key"))
}

/// Checks where a call comes from: the key of an app with origins works from those pages and
/// nowhere else, any other from no page.
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
