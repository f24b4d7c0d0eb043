//! Jobs and dead letters, for those who may see them: what is asked, `sluice_core::api::jobs` reads.

use crate::config::{Config, Keys};
use crate::lost_keys;
use crate::request::Incoming;
use crate::response::{self, Reply};
use crate::tenant_client;
use sluice_core::api::jobs::{Slice, Slices, asked, methods};
use sluice_core::http::{Answer, Target};
use sluice_core::protocol::{self, Ask, JobsAsk};

/// Answers at an address under `/jobs` or `/dead-letters`.
pub async fn serve(config: &Config, keys: &Keys, incoming: &Incoming, target: &Target<'_>) -> Reply {
    if let Err(reply) = response::allows(incoming, methods(&target.address)) {
        return reply;
    }
    let query = incoming.url.split_once('?').map(|(_, query)| query);
    let claims = incoming.own_key().and_then(|key| keys.open(key, incoming.at));
    let asked = claims.and_then(|claims| Ok((claims, asked(&incoming.method, &target.address, query)?)));
    let (claims, what) = match asked {
        Ok(asked) => asked,
        Err(refusal) => return lost_keys::explain(config, keys, incoming, refusal).await.into(),
    };
    let tenant = claims.tenant.clone();
    let ask = JobsAsk {
        claims,
        from_browser: incoming.is_page(),
        origin: incoming.origin().map(str::to_owned),
        own_origin: incoming.is_own_page(target),
        what,
    };
    if let Some(slices) = Slices::of(&ask.what) {
        return in_slices(config, &tenant, ask, slices).await;
    }
    match tenant_client::ask(config, &tenant, &Ask::Jobs(Box::new(ask))).await {
        Ok(protocol::Reply::Answer(answer)) => response::stored(&answer, incoming),
        Ok(reply) => response::said(reply),
        Err(refusal) => refusal.into(),
    }
}

/// Asks slice by slice until nothing is left that is meant.
async fn in_slices(config: &Config, tenant: &str, mut ask: JobsAsk, mut slices: Slices) -> Reply {
    loop {
        let reply = match tenant_client::ask(config, tenant, &Ask::Jobs(Box::new(ask.clone()))).await {
            Ok(reply) => reply,
            Err(refusal) => return refusal.into(),
        };
        match slices.heard(reply, &mut ask.what) {
            Slice::Next => {}
            Slice::Done(status, document) => return Reply::Own(Answer::json(status, document)),
            Slice::Other(reply) => return response::said(reply),
        }
    }
}
