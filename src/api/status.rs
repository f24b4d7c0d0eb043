//! Statistics for those who may see them: `/status.json`, `/status/live`, `/stats/…`, `/metrics`.

use crate::config::{Config, Keys};
use crate::lost_keys;
use crate::request::Incoming;
use crate::response::{self, Reply};
use crate::tenant_client;
use crate::transport;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sluice_core::api::figures;
use sluice_core::http::{Answer, Target};
use sluice_core::keys;
use sluice_core::protocol::{self, Ask, Figures, from_wire, to_wire};
use sluice_core::refusal::{Reason, Refusal};

/// Answers `GET /status.json` and the statistics.
pub async fn document(config: &Config, keys: &Keys, incoming: &Incoming, target: &Target<'_>) -> Reply {
    if let Err(reply) = response::allows(incoming, &["GET"]) {
        return reply;
    }
    let claims = match incoming.own_key().and_then(|key| keys.open(key, incoming.at)) {
        Ok(claims) => claims,
        Err(refusal) => return lost_keys::explain(config, keys, incoming, refusal).await.into(),
    };
    let tenant = claims.tenant.clone();
    let asked = match figures::asked(target) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.into(),
    };
    let foreign = figures::is_foreign_page(&claims, incoming.is_page(), incoming.is_own_page(target));
    let metrics = asked == Some(Figures::Metrics);
    let ask = match asked {
        Some(asked) => Ask::Figures(claims, asked),
        None => Ask::Status(claims),
    };
    match tenant_client::ask(config, &tenant, &ask).await {
        Ok(protocol::Reply::Document { .. }) if foreign => figures::foreign_page().into(),
        Ok(protocol::Reply::Document { status: 200, body, .. }) if metrics => {
            Reply::Own(Answer::typed(200, "text/plain; version=0.0.4; charset=utf-8", body))
        }
        Ok(reply) => response::said(reply),
        Err(refusal) => refusal.into(),
    }
}

/// Answers `GET /status/live`, as a WebSocket.
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
    if figures::is_foreign_page(&claims, incoming.is_page(), incoming.is_own_page(target)) {
        return figures::foreign_page().into();
    }
    let offers = offered.is_some_and(figures::offers_live_protocol);
    let note = URL_SAFE_NO_PAD.encode(to_wire(&claims));
    let Ok(response) =
        tenant_client::open_live(config, &claims.tenant, &note, offers.then_some(figures::LIVE_PROTOCOL)).await
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

fn unavailable() -> Reply {
    tenant_client::unavailable().into()
}
