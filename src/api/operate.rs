//! Operating: an operator's key pauses and resumes connections.

use crate::api::admin;
use crate::config::{Config, Keys};
use crate::lost_keys;
use crate::request::Incoming;
use crate::response::{self, Reply};
use crate::tenant_client;
use sluice_core::http::{Address, Target};
use sluice_core::keys::{Claims, Role};
use sluice_core::protocol::{Ask, Operate, OperateAsk, Order, OrderKind};
use sluice_core::refusal::{Reason, Refusal};
use web_sys::Request;

/// Answers `POST /connections/{name}/pause` and `…/resume`.
pub async fn serve(config: &Config, keys: &Keys, request: &Request, incoming: &Incoming, target: &Target<'_>) -> Reply {
    if let Err(reply) = response::allows(incoming, &["POST"]) {
        return reply;
    }
    let (connection, kind) = match target.address {
        Address::Pause(name) => (name, OrderKind::Pause),
        Address::Resume(name) => (name, OrderKind::Resume),
        _ => return Refusal::new(Reason::NotFound, "nothing is at this address").into(),
    };
    let claims = match incoming.own_key().and_then(|key| keys.open(key, incoming.at)) {
        Ok(claims) => claims,
        Err(refusal) => return lost_keys::explain(config, keys, incoming, refusal).await.into(),
    };
    match order(config, request, incoming, claims, (connection, kind)).await {
        Ok(reply) => reply,
        Err(refusal) => refusal.into(),
    }
}

async fn order(
    config: &Config,
    request: &Request,
    incoming: &Incoming,
    claims: Claims,
    (connection, kind): (&str, OrderKind),
) -> Result<Reply, Refusal> {
    // A caller that may order nothing learns that first: the object refuses a resume by the role.
    if claims.role != Role::Operator {
        let what = Operate { app: None, order: Order::Resume };
        return ask(config, claims, connection, what).await;
    }
    let text = if incoming.has_body() { admin::body(request, incoming).await? } else { String::new() };
    let fault = |fault| Refusal::new(Reason::Request, format!("the body does not fit: {fault}"));
    let what = Operate::read(&text, kind).map_err(fault)?;
    ask(config, claims, connection, what).await
}

async fn ask(config: &Config, claims: Claims, connection: &str, what: Operate) -> Result<Reply, Refusal> {
    let tenant = claims.tenant.clone();
    let ask = Ask::Operate(Box::new(OperateAsk { claims, connection: connection.to_owned(), what }));
    Ok(response::said(tenant_client::ask(config, &tenant, &ask).await?))
}
