//! A key that does not hold because `MASTER_KEY` has lost what it was signed with: its tenant's
//! secrets are then lost too, and its callers are told so rather than that their key is forged.
//!
//! Nobody has vouched for such a key. So the list of tenants is asked first whether its tenant is
//! one at all, nothing is said to the tenant's object but to say whether it can read its policy,
//! and no isolate asks more than a few times in ten seconds, whoever sends what.

use crate::config::{Config, Keys};
use crate::request::Incoming;
use crate::tenant_client::{self, DIRECTORY};
use sluice_core::keys::{self, KeyFault};
use sluice_core::protocol::{Ask, Directory, Reply};
use sluice_core::refusal::{Reason, Refusal};
use std::cell::RefCell;

/// How long what a tenant's object said is believed, milliseconds.
const BELIEVED_MS: i64 = 10_000;

/// Tenants that are asked about, and remembered, within [`BELIEVED_MS`].
const MOST: usize = 16;

#[derive(Default)]
struct Known {
    /// Since when the asks of late are counted, Unix ms, and how many they are.
    since: i64,
    asks: usize,
    /// A tenant, until when that is believed, and why its policy cannot be read.
    tenants: Vec<(String, i64, Option<String>)>,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// The refusal of a call; or where its key does not hold since its tenant's secrets are lost, a
/// refusal that says that.
pub async fn explain(config: &Config, keys: &Keys, incoming: &Incoming, refusal: Refusal) -> Refusal {
    if refusal.reason != Reason::Key {
        return refusal;
    }
    let Some(tenant) = claimed(keys, incoming) else { return refusal };
    let why = match known(&tenant, incoming.at) {
        Some(why) => why,
        None if may_ask(incoming.at) => {
            let why = ask(config, &tenant).await;
            remember(tenant, incoming.at, why.clone());
            why
        }
        None => None,
    };
    why.map_or(refusal, |why| Refusal::new(Reason::Setup, why))
}

/// The tenant that a key speaks of which is of the right form, and signed by no master that is
/// listed.
fn claimed(keys: &Keys, incoming: &Incoming) -> Option<String> {
    let headers = incoming.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let (path, query) = incoming.url.split_once('?').unwrap_or((&incoming.url, ""));
    let found = keys::search(&keys.master, headers, path, query).caller?;
    match keys::open(&keys.master, &found.key, 0) {
        Err(KeyFault::Forged) => keys::claimed_tenant(&found.key),
        _ => None,
    }
}

fn known(tenant: &str, now: i64) -> Option<Option<String>> {
    KNOWN.with_borrow(|known| {
        let found = known.tenants.iter().find(|(name, until, _)| name == tenant && now < *until)?;
        Some(found.2.clone())
    })
}

fn may_ask(now: i64) -> bool {
    KNOWN.with_borrow_mut(|known| {
        if !(0..BELIEVED_MS).contains(&now.saturating_sub(known.since)) {
            (known.since, known.asks) = (now, 0);
        }
        known.asks = known.asks.saturating_add(1);
        known.asks <= MOST
    })
}

fn remember(tenant: String, now: i64, why: Option<String>) {
    KNOWN.with_borrow_mut(|known| {
        known.tenants.retain(|(name, until, _)| *name != tenant && now < *until);
        if known.tenants.len() >= MOST {
            known.tenants.remove(0);
        }
        known.tenants.push((tenant, now.saturating_add(BELIEVED_MS), why));
    });
}

/// Why a tenant's policy cannot be read, if there is such a tenant and it cannot.
async fn ask(config: &Config, tenant: &str) -> Option<String> {
    let listed =
        tenant_client::ask(config, DIRECTORY, &Ask::Directory(Directory::Has(tenant.to_owned()))).await.ok()?;
    if !matches!(listed.reply, Reply::Done) {
        return None;
    }
    match tenant_client::ask(config, tenant, &Ask::Readable).await.ok()?.reply {
        Reply::Refused(no) if no.refusal.reason == Reason::Setup => Some(no.refusal.detail),
        _ => None,
    }
}
