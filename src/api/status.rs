//! Statistics for those who may see them: `/status.json`, `/status/live`, `/stats/…`, `/metrics`.

use crate::response::{self, Reply};

use crate::config::{Config, Keys};
use crate::lost_keys;
use crate::request::Incoming;
use crate::tenant_client;
use crate::transport;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sluice_core::http::{Address, Answer, Target};
use sluice_core::keys::{self, Claims, Role};
use sluice_core::protocol::{self, Ask, Figures, ReportSpan, from_wire, to_wire};
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::usage::Kind;

/// `GET /status.json` and the statistics.
pub async fn document(config: &Config, keys: &Keys, incoming: &Incoming, target: &Target<'_>) -> Reply {
    if let Err(reply) = response::allows(incoming, &["GET"]) {
        return reply;
    }
    let claims = match incoming.own_key().and_then(|key| keys.open(key, incoming.at)) {
        Ok(claims) => claims,
        Err(refusal) => return lost_keys::explain(config, keys, incoming, refusal).await.into(),
    };
    let tenant = claims.tenant.clone();
    let figures = match figures(target) {
        Ok(figures) => figures,
        Err(refusal) => return refusal.into(),
    };
    let foreign = is_foreign_page(&claims, incoming, target);
    let metrics = figures == Some(Figures::Metrics);
    let ask = match figures {
        Some(figures) => Ask::Figures(claims, figures),
        None => Ask::Status(claims),
    };
    match tenant_client::ask(config, &tenant, &ask).await {
        Ok(asked) => match asked.reply {
            protocol::Reply::Document { .. } if foreign => foreign_page(),
            protocol::Reply::Document { status: 200, body, .. } if metrics => {
                Reply::Own(Answer::typed(200, "text/plain; version=0.0.4; charset=utf-8", body))
            }
            reply => response::said(reply),
        },
        Err(refusal) => refusal.into(),
    }
}

/// Which statistics are asked for; none for the status.
fn figures(target: &Target<'_>) -> Result<Option<Figures>, Refusal> {
    let (kind, week) = match target.address {
        Address::Usage { week } => (Kind::Usage, week),
        Address::Errors { week } => (Kind::Errors, week),
        Address::Metrics => return Ok(Some(Figures::Metrics)),
        _ => return Ok(None),
    };
    let mut connection = None;
    for pair in target.query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        match pair.strip_prefix("connection=") {
            Some(name) => connection = Some(name.to_owned()),
            None => {
                return Err(Refusal::new(Reason::Request, "the query may say connection=NAME, and nothing else"));
            }
        }
    }
    let span = if week { ReportSpan::Week } else { ReportSpan::Today };
    Ok(Some(Figures::Days { kind, span, connection }))
}

/// `GET /status/live`, as a WebSocket.
pub async fn live(config: &Config, keys: &Keys, incoming: &Incoming, target: &Target<'_>) -> Reply {
    if let Err(reply) = response::allows(incoming, &["GET"]) {
        return reply;
    }
    if !incoming.is_upgrade() {
        let detail = "the live status is a websocket: ask with one, or poll /status.json";
        return Reply::Own(response::refused(&Refusal::new(Reason::Request, detail)).with("Upgrade", "websocket"));
    }
    // A browser can set no header on a WebSocket, but can offer the key as a protocol.
    let offered = incoming.header("sec-websocket-protocol");
    let in_protocols = offered.and_then(keys::in_protocols);
    let found = in_protocols.map_or_else(|| incoming.own_key(), Ok);
    let claims = match found.and_then(|key| keys.open(key, incoming.at)) {
        Ok(claims) => claims,
        Err(refusal) => return lost_keys::explain(config, keys, incoming, refusal).await.into(),
    };
    if is_foreign_page(&claims, incoming, target) {
        return foreign_page();
    }
    let offers = offered.is_some_and(|offered| offered.split(',').any(|protocol| protocol.trim() == "sluice.v1"));
    let note = URL_SAFE_NO_PAD.encode(to_wire(&claims));
    let Ok(response) = tenant_client::open_live(config, &claims.tenant, &note, offers.then_some("sluice.v1")).await
    else {
        return unavailable();
    };
    if response.status() == 101 {
        return Reply::Done(response);
    }
    match transport::reply_in(&response).await.ok().and_then(|reply| from_wire(&reply)) {
        Some(reply) => response::said(reply),
        None => unavailable(),
    }
}

/// Whether this is a page that an app's key does not work from: any but Sluice's own. The object
/// has had its say before, and lets no app with origins see the figures at all.
fn is_foreign_page(claims: &Claims, incoming: &Incoming, target: &Target) -> bool {
    claims.role == Role::App && incoming.is_page() && !incoming.is_own_page(target)
}

fn foreign_page() -> Reply {
    Refusal::new(Reason::Origin, "an app's key does not work from a page: use a viewer's key").into()
}

fn unavailable() -> Reply {
    tenant_client::unavailable().into()
}
