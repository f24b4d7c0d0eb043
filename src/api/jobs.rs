//! Jobs and dead letters, for those who may see them.

use crate::response::{self, Reply};

use crate::config::{Config, Keys};
use crate::lost_keys;
use crate::request::Incoming;
use crate::tenant_client;
use serde_json::{Value, json};
use sluice_core::http::{Address, Answer, Target};
use sluice_core::jobs::State;
use sluice_core::keys::is_name;
use sluice_core::protocol::{self, Ask, Deletable, Filter, JobsAsk, JobsWhat};
use sluice_core::refusal::{Reason, Refusal};

/// Jobs of a list that does not say how many.
const LISTED: u32 = 100;

/// An address under `/jobs` or `/dead-letters`.
pub async fn serve(config: &Config, keys: &Keys, incoming: &Incoming, target: &Target<'_>) -> Reply {
    let methods: &[&str] = match target.address {
        Address::Job(_) | Address::DeadLetter(_) => &["GET", "DELETE"],
        Address::Replay(_) | Address::ReplayAll => &["POST"],
        Address::Jobs | Address::DeadLetters => &["GET", "DELETE"],
        _ => &["GET"],
    };
    if let Err(reply) = response::allows(incoming, methods) {
        return reply;
    }
    let claims = incoming.own_key().and_then(|key| keys.open(key, incoming.at));
    let asked = claims.and_then(|claims| Ok((claims, what(incoming, target)?)));
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
    match ask.what {
        JobsWhat::ReplayAll(_) => return in_slices(config, &tenant, ask, "replayed").await,
        JobsWhat::DeleteAll(..) => return in_slices(config, &tenant, ask, "deleted").await,
        _ => {}
    }
    match tenant_client::ask(config, &tenant, &Ask::Jobs(Box::new(ask))).await {
        Ok(asked) => match asked.reply {
            protocol::Reply::Answer(answer) => response::stored(&answer, incoming),
            reply => response::said(reply),
        },
        Err(refusal) => refusal.into(),
    }
}

/// Asks until nothing is left that is meant, so that no event of the object changes more than some;
/// says how many there were. If it is cut short, to ask again does the rest.
async fn in_slices(config: &Config, tenant: &str, mut ask: JobsAsk, counted: &str) -> Reply {
    let mut all = 0_u64;
    loop {
        let reply = match tenant_client::ask(config, tenant, &Ask::Jobs(Box::new(ask.clone()))).await {
            Ok(asked) => asked.reply,
            Err(refusal) => return refusal.into(),
        };
        let told = match &reply {
            protocol::Reply::Document { body, .. } => serde_json::from_str::<Value>(body).ok(),
            _ => None,
        };
        let (protocol::Reply::Document { status, .. }, Some(told)) = (&reply, told) else {
            return response::said(reply);
        };
        all = all.saturating_add(told.get(counted).and_then(Value::as_u64).unwrap_or(0));
        match (told.get("next").and_then(Value::as_str), &mut ask.what) {
            (Some(next), JobsWhat::ReplayAll(after) | JobsWhat::DeleteAll(_, after)) => *after = Some(next.to_owned()),
            _ => {
                return Reply::Own(Answer::json(*status, json!({ counted: all }).to_string()));
            }
        }
    }
}

fn what(incoming: &Incoming, target: &Target) -> Result<JobsWhat, Refusal> {
    let deletes = incoming.method == "DELETE";
    let dead = matches!(target.address, Address::DeadLetters);
    Ok(match target.address {
        Address::Job(id) if deletes => JobsWhat::Delete(id.to_owned(), Deletable::Job),
        Address::DeadLetter(id) if deletes => JobsWhat::Delete(id.to_owned(), Deletable::DeadLetter),
        Address::Job(id) | Address::DeadLetter(id) => JobsWhat::Show(id.to_owned()),
        Address::JobResponse(id) => JobsWhat::Answer(id.to_owned()),
        Address::Replay(id) => JobsWhat::Replay(id.to_owned()),
        Address::ReplayAll => JobsWhat::ReplayAll(None),
        _ if deletes => {
            let Query { of, limit: None, after: None } = query(incoming, dead)? else { return Err(unknown()) };
            JobsWhat::DeleteAll(of, None)
        }
        _ => {
            let Query { of, limit, after } = query(incoming, dead)?;
            JobsWhat::List { of, limit: limit.unwrap_or(LISTED), after }
        }
    })
}

/// What a query says. A parameter without a value is as one that is not there.
struct Query {
    of: Filter,
    limit: Option<u32>,
    after: Option<String>,
}

fn query(incoming: &Incoming, dead: bool) -> Result<Query, Refusal> {
    let mut said = Query { of: Filter { dead, ..Filter::default() }, limit: None, after: None };
    let query = incoming.url.split_once('?').map_or("", |(_, query)| query);
    for parameter in query.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !["", "app", "connection", "state", "limit", "after"].contains(&name) {
            return Err(unknown());
        }
        if value.is_empty() {
            continue;
        }
        let known = match name {
            "app" => {
                said.of.app = Some(value.to_owned());
                is_name(value)
            }
            "connection" => {
                said.of.connection = Some(value.to_owned());
                is_name(value)
            }
            "state" => {
                said.of.state = State::NAMES.iter().find(|(known, _)| *known == value).map(|(_, state)| *state);
                said.of.state.is_some()
            }
            "limit" => {
                said.limit = value.parse().ok().filter(|limit| *limit > 0);
                said.limit.is_some()
            }
            _ => {
                said.after = Some(value.to_owned());
                name == "after"
            }
        };
        if !known {
            return Err(unknown());
        }
    }
    Ok(said)
}

fn unknown() -> Refusal {
    let detail = "the query may say app and connection (names), state (queued, running, done or dead), and of a list \
        limit (1 to 1,000) and after (an id)";
    Refusal::new(Reason::Request, detail)
}
