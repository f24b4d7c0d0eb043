//! Finds parts of a policy that are valid and probably not meant. A warning refuses nothing; it has
//! the form of a fault.

use super::connection::Connection;
use super::document::Faults;
use super::{Credential, Policy, url};
use crate::upstream::profile::Account;
use sluice_limiter::{Kind, Limit, Unit};

impl Connection {
    /// Returns, for each count that the vendor gives, its name in the profile and the limit that
    /// takes it. A count goes to the limit of its name. If there is none, it goes to the first
    /// limit of a day that no other count takes, whatever its name. It never goes to a limit per
    /// app, and to one for only some routes just if that has its name.
    pub fn vendor_counts(&self) -> Vec<(&str, Option<&str>)> {
        let mut counts: Vec<&str> = Vec::new();
        for count in &self.profile.counts {
            if !counts.contains(&count.limit.as_str()) {
                counts.push(&count.limit);
            }
        }
        let named = |name: &str| self.limits.iter().any(|(limit, _)| limit.name == name && !limit.per_app);
        let mut days = self.limits.iter().filter(|(limit, routes)| {
            is_day(limit) && routes.fingerprint() == 0 && !counts.contains(&limit.name.as_str())
        });
        let limit = |name| match named(name) {
            true => Some(name),
            false if self.counts_days(name) => days.next().map(|(limit, _)| limit.name.as_str()),
            false => None,
        };
        counts.iter().copied().zip(counts.iter().copied().map(limit).collect::<Vec<_>>()).collect()
    }

    /// Whether the profile's own limit of that name is one of a day. A count without such a limit
    /// is assumed to be, as vendors give no others.
    fn counts_days(&self, name: &str) -> bool {
        let text = |limit: &crate::document::Tree, field: &str| limit.get(field)?.as_str().map(str::to_owned);
        let of_name = self.profile.limits.iter().find(|limit| text(limit, "name").as_deref() == Some(name));
        of_name.is_none_or(|limit| matches!(text(limit, "kind").as_deref(), Some("daily" | "rolling_day")))
    }
}

/// Whether a limit counts the calls of a day for all apps together.
const fn is_day(limit: &Limit) -> bool {
    matches!(limit.kind, Kind::RollingDay { .. } | Kind::Daily { unit: Unit::Calls, .. }) && !limit.per_app
}

/// Notes the parts of a policy that are probably not meant.
pub(super) fn note(policy: &Policy, warnings: &Faults) {
    for (name, connection) in &policy.connections {
        base_url(name, connection, warnings);
        counts(name, connection, warnings);
        shares(policy, name, connection, warnings);
    }
}

/// Warns of a path in `base_url` with which the profile's routes also begin. Callers then leave it
/// out, and no route matches their calls.
fn base_url(name: &str, connection: &Connection, warnings: &Faults) {
    let Ok(address) = url::check(&connection.base_url, true) else { return };
    let path = address.path.trim_end_matches('/');
    let profile = &connection.profile;
    let limits = profile.limits.iter().filter_map(|limit| limit.get("routes")?.as_array());
    let limits = limits.flatten().filter_map(|route| route.as_str());
    let bodies = profile.bodies.iter().flat_map(|limit| &limit.routes);
    let batches = profile.batches.iter().flat_map(|batch| &batch.routes);
    let cache = profile.cache.iter().map(|cache| &cache.route);
    let written = bodies.chain(batches).chain(cache).chain(&profile.repeatable).map(String::as_str);
    let token = profile.token_endpoint.iter().map(|endpoint| endpoint.path.as_str());
    let mut routes = limits.chain(written).chain(token).map(route_path);
    let first = |route: &str| route.split('/').nth(1).unwrap_or_default().to_owned();
    let meets = |route: &&str| path.split('/').skip(1).any(|segment| !segment.is_empty() && segment == first(route));
    if let Some(route) = routes.find(meets) {
        let tokens = profile.token_endpoint.as_ref().map(|endpoint| {
            format!(", and tokens are fetched at {path}{} unless the credential has a token_url", endpoint.path)
        });
        warnings.note(
            &format!("/connections/{name}/base_url"),
            format!(
                "its path {path} is also where the vendor's routes begin ({route}): a call without it matches none of them, so size limits, batch sizes, retries and limits by route do not apply to it{}. Leave the path out here, and let callers send it",
                tokens.unwrap_or_default()
            ),
        );
    }
}

/// Returns a route without its method.
fn route_path(route: &str) -> &str {
    let route = route.strip_prefix('!').unwrap_or(route);
    route.split_once(' ').map_or(route, |(_, path)| path)
}

/// Warns of a count that the vendor gives and no limit takes.
fn counts(name: &str, connection: &Connection, warnings: &Faults) {
    for (count, limit) in connection.vendor_counts() {
        if limit.is_none() {
            warnings.note(
                &format!("/connections/{name}/limits"),
                format!(
                    "the vendor reports its own count of the day ({count}) and no limit uses it, so calls made elsewhere are not counted: add a limit of kind daily or rolling_day"
                ),
            );
        }
    }
}

/// Warns of connections of one account whose parts of a limit add up to more than the limit.
fn shares(policy: &Policy, name: &str, connection: &Connection, warnings: &Faults) {
    let account: Vec<(&String, &Connection)> =
        policy.connections.iter().filter(|(_, other)| same_account(connection, other)).collect();
    if account.len() < 2 {
        return;
    }
    for (limit, _) in connection.limits.iter().filter(|(limit, _)| limit.pool.is_none() && !limit.per_app) {
        let same = |other: &Limit| other.name == limit.name && kind(other) == kind(limit) && other.pool.is_none();
        let parts = account.iter().filter_map(|(_, other)| {
            let (part, _) = other.limits.iter().find(|(other, _)| same(other))?;
            Some((amount(&part.kind), part.of))
        });
        let parts: Vec<(u64, u64)> = parts.collect();
        let sum = parts.iter().fold(0_u64, |sum, (part, _)| sum.saturating_add(*part));
        let whole = parts.iter().map(|(_, of)| *of).chain(vendors(connection, limit)).max().unwrap_or(0);
        if parts.len() > 1 && sum > whole {
            let others: Vec<&str> =
                account.iter().map(|(other, _)| other.as_str()).filter(|other| *other != name).collect();
            warnings.note(
                &format!("/connections/{name}/share"),
                format!(
                    "together with {} of the same account, its limit {} adds up to {sum} and the account has {whole}: give each connection a share, so that the shares add up to at most 1",
                    others.join(", "),
                    limit.name
                ),
            );
            return;
        }
    }
}

/// Whether two connections are known to use the same account at their vendor: by the host, where
/// each account has its own, else by the credential.
fn same_account(one: &Connection, other: &Connection) -> bool {
    if one.vendor != other.vendor || one.inline || other.inline {
        return false;
    }
    let (Ok(here), Ok(there)) = (url::check(&one.base_url, true), url::check(&other.base_url, true)) else {
        return false;
    };
    here.same_origin(&there)
        && match one.profile.account {
            Account::Host => true,
            Account::Credential => one.credential != Credential::Passthrough && one.credential == other.credential,
            Account::Unknown => false,
        }
}

/// Returns the profile's own number for a limit of that name and kind.
fn vendors(connection: &Connection, limit: &Limit) -> Option<u64> {
    let written = connection.profile.limits.iter().find(|written| {
        let is = |field: &str, text: &str| written.get(field).and_then(|value| value.as_str()) == Some(text);
        is("name", &limit.name) && is("kind", sluice_limiter::kind_name(&limit.kind))
    })?;
    written.get("calls").or_else(|| written.get("burst"))?.as_u64()
}

fn kind(limit: &Limit) -> &'static str {
    sluice_limiter::kind_name(&limit.kind)
}

const fn amount(kind: &Kind) -> u64 {
    match kind {
        Kind::TokenBucket { burst, .. } => *burst,
        Kind::RollingWindow { calls, .. } | Kind::RollingDay { calls } | Kind::Concurrency { calls, .. } => *calls,
        Kind::Daily { amount, .. } => *amount,
    }
}
