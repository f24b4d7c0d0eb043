//! Jobs and dead letters, for those who may see them.

use super::answers::{self, Reply};
use super::call::open_key;
use super::incoming::Incoming;
use super::installation::{Installation, Keys};
use super::status::own_key;
use super::{allows, is_own_page, keep, lost, tenants};
use crate::http::{Address, Target};
use crate::job::State;
use crate::refusal::{Reason, Refusal};
use crate::tenant::protocol::{self, Ask, JobsAsk, JobsWhat};

/// Jobs of a list that does not say how many.
const LISTED: u32 = 100;

/// An address under `/jobs` or `/dead-letters`.
pub async fn serve(here: &Installation, keys: &Keys, incoming: &Incoming, target: &Target<'_>) -> Reply {
    let methods: &[&str] = match target.address {
        Address::Job(_) | Address::DeadLetter(_) => &["GET", "DELETE"],
        Address::Replay(_) | Address::ReplayAll => &["POST"],
        _ => &["GET"],
    };
    if let Err(reply) = allows(incoming, methods) {
        return reply;
    }
    let claims = own_key(incoming).and_then(|key| open_key(keys, key, incoming.at));
    let asked = claims.and_then(|claims| Ok((claims, what(incoming, target)?)));
    let (claims, what) = match asked {
        Ok(asked) => asked,
        Err(refusal) => return lost::explain(here, keys, incoming, refusal).await.into(),
    };
    let tenant = claims.tenant.clone();
    let ask = JobsAsk {
        claims,
        page: incoming.is_page(),
        origin: incoming.origin().map(str::to_owned),
        own_origin: is_own_page(incoming, target),
        what,
    };
    match tenants::ask(here, &tenant, &Ask::Jobs(Box::new(ask))).await {
        Ok(asked) => match asked.reply {
            protocol::Reply::Answer(answer) => keep::answered(&answer, incoming.origin()),
            reply => answers::said(reply),
        },
        Err(refusal) => refusal.into(),
    }
}

fn what(incoming: &Incoming, target: &Target) -> Result<JobsWhat, Refusal> {
    let deletes = incoming.method == "DELETE";
    Ok(match target.address {
        Address::Job(id) if deletes => JobsWhat::Delete(id.to_owned(), false),
        Address::DeadLetter(id) if deletes => JobsWhat::Delete(id.to_owned(), true),
        Address::Job(id) | Address::DeadLetter(id) => JobsWhat::Show(id.to_owned()),
        Address::JobResponse(id) => JobsWhat::Answer(id.to_owned()),
        Address::Replay(id) => JobsWhat::Replay(id.to_owned()),
        Address::ReplayAll => JobsWhat::ReplayAll,
        _ => list(incoming, matches!(target.address, Address::DeadLetters))?,
    })
}

fn list(incoming: &Incoming, dead: bool) -> Result<JobsWhat, Refusal> {
    let (mut state, mut limit, mut after) = (None, LISTED, None);
    let query = incoming.url.split_once('?').map_or("", |(_, query)| query);
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let known = match name {
            "state" => {
                state = State::NAMES.iter().find(|(known, _)| *known == value).map(|(_, state)| *state);
                state.is_some() || value.is_empty()
            }
            "limit" => value.parse().map(|n| limit = n).is_ok() && limit > 0,
            "after" => {
                after = (!value.is_empty()).then(|| value.to_owned());
                true
            }
            _ => false,
        };
        if !known {
            let detail =
                "a list of jobs knows state (queued, running, done or dead), limit (1 to 1,000) and after (an id)";
            return Err(Refusal::new(Reason::Request, detail));
        }
    }
    Ok(JobsWhat::List { dead, state, limit, after })
}
