//! Keys that do not hold because `MASTER_KEY` has lost what they were signed with: their tenant's secrets are then lost too,
//! and its callers are to be told so rather than that their key is forged.
//!
//! Nobody has vouched for such a key. So the list of tenants is asked first whether its tenant is one at all, nothing is said
//! to the tenant's object but to say whether it can read its policy, and no isolate asks more than a few times in ten seconds,
//! whoever sends what.

use super::claims::{KeyFault, claimed_tenant, open};
use super::find::search;
use super::master::Master;

/// How long a reply of a tenant's object is believed, milliseconds.
const BELIEVED_MS: i64 = 10_000;

/// Tenants that are asked about, and remembered, within [`BELIEVED_MS`].
const MOST: usize = 16;

/// What an isolate knows of tenants whose keys do not hold.
#[derive(Debug, Default)]
pub struct LostKeys {
    /// Since when the asks of late are counted, Unix ms.
    since: i64,
    /// How many asks there were since then.
    asks: usize,
    tenants: Vec<Known>,
}

/// What this isolate remembers of one tenant whose keys were refused.
#[derive(Debug)]
struct Known {
    tenant: String,
    /// Until when it is believed, Unix ms.
    until: i64,
    /// Why the tenant's policy cannot be read; none if it can, or there is no such tenant.
    why: Option<String>,
}

/// What is done about a key that no master has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suspicion {
    /// The key is refused as a forged one.
    Forged,
    /// The tenant's secrets are lost, for this reason.
    Lost(String),
    /// The tenant has to be asked about first.
    Ask,
}

impl LostKeys {
    /// What is to be thought of a key that speaks of this tenant. An [`Suspicion::Ask`] is counted as one. `now` is Unix time in
    /// milliseconds.
    pub fn suspect(&mut self, tenant: &str, now: i64) -> Suspicion {
        if let Some(known) = self.tenants.iter().find(|known| known.tenant == tenant && now < known.until) {
            return known.why.clone().map_or(Suspicion::Forged, Suspicion::Lost);
        }
        // Also after a clock that was set back.
        if !(0..BELIEVED_MS).contains(&now.saturating_sub(self.since)) {
            (self.since, self.asks) = (now, 0);
        }
        self.asks = self.asks.saturating_add(1);
        if self.asks <= MOST { Suspicion::Ask } else { Suspicion::Forged }
    }

    /// Remembers what asking about a tenant has told: why its policy cannot be read, if it is one and it cannot. `now`: when it
    /// was asked, Unix ms.
    pub fn remember(&mut self, tenant: String, now: i64, why: Option<String>) {
        self.tenants.retain(|known| known.tenant != tenant && now < known.until);
        if self.tenants.len() >= MOST {
            self.tenants.remove(0);
        }
        self.tenants.push(Known { tenant, until: now.saturating_add(BELIEVED_MS), why });
    }
}

/// The tenant that the key of a request speaks of, if that key is of the right form and signed by no master that is listed.
pub fn lost_tenant(master: &Master, headers: &[(String, String)], url: &str) -> Option<String> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let found = search(master, headers, path, query).caller?;
    match open(master, &found.key, 0) {
        Err(KeyFault::Forged) => claimed_tenant(&found.key),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Claims, Role};
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    const NOW: i64 = 1_781_524_800_000;

    fn lost() -> Suspicion {
        Suspicion::Lost("the master key is another one".to_owned())
    }

    fn why() -> Option<String> {
        Some("the master key is another one".to_owned())
    }

    #[test]
    fn what_a_tenants_object_said_is_believed_for_ten_seconds() {
        let mut keys = LostKeys::default();
        assert_eq!(keys.suspect("acme", NOW), Suspicion::Ask);
        keys.remember("acme".to_owned(), NOW, why());
        assert_eq!(keys.suspect("acme", NOW), lost());
        assert_eq!(keys.suspect("acme", NOW + 9_999), lost());
        assert_eq!(keys.suspect("acme", NOW + 10_000), Suspicion::Ask);
        keys.remember("acme".to_owned(), NOW + 10_000, None);
        assert_eq!(keys.suspect("acme", NOW + 10_001), Suspicion::Forged, "its policy can be read again");
    }

    #[test]
    fn sixteen_tenants_are_asked_about_in_ten_seconds_whoever_sends_what() {
        let mut keys = LostKeys::default();
        let asked = (0..100).filter(|nth| keys.suspect(&format!("t{nth}"), NOW + nth) == Suspicion::Ask).count();
        assert_eq!(asked, 16);
        assert_eq!(keys.suspect("acme", NOW + 9_999), Suspicion::Forged);
        assert_eq!(keys.suspect("acme", NOW + 10_000), Suspicion::Ask);
    }

    #[test]
    fn a_clock_that_was_set_back_lets_ask_again() {
        let mut keys = LostKeys::default();
        (0..20).for_each(|nth| drop(keys.suspect(&format!("t{nth}"), NOW)));
        assert_eq!(keys.suspect("acme", NOW), Suspicion::Forged);
        assert_eq!(keys.suspect("acme", NOW - 1), Suspicion::Ask);
    }

    #[test]
    fn no_more_tenants_are_remembered_than_are_asked_about_and_the_first_is_forgotten_first() {
        let mut keys = LostKeys::default();
        (0..17).for_each(|nth| keys.remember(format!("t{nth}"), NOW, why()));
        assert_eq!(keys.tenants.len(), 16);
        assert_eq!(keys.suspect("t1", NOW), lost());
        assert_eq!(keys.suspect("t0", NOW), Suspicion::Ask);
        // What is too old gives its place up, and a tenant is remembered once.
        keys.remember("t1".to_owned(), NOW + 10_000, None);
        assert_eq!(keys.tenants.len(), 1);
        keys.remember("t1".to_owned(), NOW + 10_001, why());
        assert_eq!(keys.tenants.len(), 1);
        assert_eq!(keys.suspect("t1", NOW + 10_001), lost());
    }

    #[test]
    fn a_key_speaks_of_a_lost_tenant_if_it_has_a_keys_form_and_another_master_signed_it() {
        let master = |byte: u8| Master::parse(&STANDARD.encode([byte; 32])).unwrap();
        let key = |byte, expires| {
            let (tenant, id, app) = ("acme".to_owned(), "0123456789abcdef".to_owned(), Some("crm-sync".to_owned()));
            Claims { tenant, id, role: Role::App, app, expires }.sign(&master(byte)).unwrap()
        };
        let told =
            |name: &str, value: &str, url: &str| lost_tenant(&master(1), &[(name.to_owned(), value.to_owned())], url);
        let url = "https://s.example/v/c/x";
        assert_eq!(told("sluice-key", &key(2, None), url).as_deref(), Some("acme"));
        assert_eq!(told("authorization", &format!("Bearer {}", key(2, None)), url).as_deref(), Some("acme"));
        // Elsewhere a text is a key only if a master that is listed has signed it.
        assert_eq!(told("x-api-key", &key(2, None), url), None);
        assert_eq!(told("accept", "*/*", &format!("{url}?key={}", key(2, None))), None);
        // One that holds, one that has expired, one that is none, and none at all.
        assert_eq!(told("sluice-key", &key(1, None), url), None);
        assert_eq!(told("sluice-key", &key(1, Some(1)), url), None);
        assert_eq!(told("sluice-key", "slk_nonsense", url), None);
        assert_eq!(told("accept", "*/*", url), None);
    }
}
