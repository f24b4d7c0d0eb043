//! Explains to callers whose tenant's secrets are lost that they are, rather than that their key is
//! forged: `sluice_core::keys::LostKeys` decides what is asked, and how often.

use crate::config::{Config, Keys};
use crate::request::Incoming;
use crate::tenant_client::{self, DIRECTORY};
use sluice_core::keys::{LostKeys, Suspicion, lost_tenant};
use sluice_core::protocol::{Ask, Directory, Reply};
use sluice_core::refusal::{Reason, Refusal};
use std::cell::RefCell;

thread_local! {
    static KNOWN: RefCell<LostKeys> = RefCell::default();
}

/// Returns the refusal of a call; or where its key does not hold since its tenant's secrets are
/// lost, a refusal that says that.
pub async fn explain(config: &Config, keys: &Keys, incoming: &Incoming, refusal: Refusal) -> Refusal {
    if refusal.reason != Reason::Key {
        return refusal;
    }
    let Some(tenant) = lost_tenant(&keys.master, &incoming.headers, &incoming.url) else { return refusal };
    let why = match KNOWN.with_borrow_mut(|known| known.suspect(&tenant, incoming.at)) {
        Suspicion::Forged => None,
        Suspicion::Lost(why) => Some(why),
        Suspicion::Ask => {
            let why = ask(config, &tenant).await;
            KNOWN.with_borrow_mut(|known| known.remember(tenant, incoming.at, why.clone()));
            why
        }
    };
    why.map_or(refusal, |why| Refusal::new(Reason::Setup, why))
}

/// Asks why a tenant's policy cannot be read, if there is such a tenant and it cannot.
async fn ask(config: &Config, tenant: &str) -> Option<String> {
    let listed = tenant_client::ask(config, DIRECTORY, &Ask::Directory(Directory::Has(tenant.to_owned()))).await;
    if !matches!(listed, Ok(Reply::Done)) {
        return None;
    }
    match tenant_client::ask(config, tenant, &Ask::Readable).await {
        Ok(Reply::Refused(no)) if no.refusal.reason == Reason::Setup => Some(no.refusal.detail),
        _ => None,
    }
}
