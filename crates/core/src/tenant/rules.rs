//! The rules of a connection: all that follows from its part of the policy alone.

use crate::codec;
use crate::http::{PolicyItem, policy_field};
use crate::policy::{App, Connection, MAX_LISTS, Matcher, Routes};
use crate::protocol::{Admit, BodyLength, Route, RouteVersion};
use crate::refusal::{Reason, Refusal};
use crate::upstream::grant::is_fetched;
use crate::upstream::methods;
use crate::upstream::profile::SizeLimit;
use sha2::{Digest, Sha256};
use sluice_limiter::calendar::{Reset, Zone};
use sluice_limiter::{AppRule, Counted, Kind, Limit, Mode, Plan, Unit, policy_item};
use std::collections::BTreeMap;

/// The most limits that a plan has: one bit of a mask stands for each.
const MOST_LIMITS: usize = 32;

/// The rules of one connection.
pub(super) struct Rules {
    policy: Connection,
    route: Box<Route>,
    /// The routes of each limit, which tell whether it counts a call.
    counting: Matcher,
    /// The longest targets that the vendor takes.
    targets: Sizes,
    /// The longest bodies that the vendor takes.
    bodies: Sizes,
    /// The vendor's own counts that go to a limit of another name: the vendor's name, and the
    /// limit's.
    renamed: Vec<(String, String)>,
}

/// The most bytes of something, for the calls of each list of routes.
type Sizes = Vec<(Matcher, Vec<u64>)>;

impl Rules {
    /// Derives the rules from a connection's part of the policy.
    pub(super) fn of(policy: &Connection) -> Self {
        Self {
            policy: policy.clone(),
            route: route(policy),
            counting: Matcher::of(policy.limits.iter().map(|(_, routes)| routes)),
            targets: sizes(&policy.profile.uri_bytes),
            bodies: sizes(&policy.profile.bodies),
            renamed: renamed(policy),
        }
    }

    /// The connection's part of the policy.
    pub(super) const fn policy(&self) -> &Connection {
        &self.policy
    }

    /// The route of the connection's calls.
    pub(super) const fn route(&self) -> &Route {
        &self.route
    }

    /// The plan of the connection's limiter, where the policy has these apps.
    pub(super) fn plan(&self, apps: &BTreeMap<String, App>) -> Plan {
        plan(&self.policy, apps)
    }

    /// Returns which limits count a call: bit i stands for limit i. A limit counts the call if it
    /// counts it under any of its methods.
    pub(super) fn mask(&self, methods: &str, path: &str) -> u32 {
        mask(&self.counting, methods, path)
    }

    /// Returns which limits count a call whose path is costly to come by. Most connections have no
    /// limit with routes: the path is then not asked for.
    pub(super) fn mask_with(&self, methods: &str, path: impl FnOnce() -> String) -> u32 {
        let path = if self.counting.is_routed() { path() } else { String::new() };
        self.mask(methods, &path)
    }

    /// Checks the lengths of target and body against those that the vendor takes, before any quota
    /// is spent.
    pub(super) fn check_sizes(&self, admit: &Admit) -> Result<(), Refusal> {
        if let Some(most) = most(&self.targets, admit).filter(|most| u64::from(admit.uri_bytes) > *most) {
            let bytes = admit.uri_bytes;
            let detail = format!("path and query are {bytes} bytes long, and the vendor takes {most} for this call");
            return Err(Refusal::new(Reason::Uri, detail));
        }
        let BodyLength::Bytes(bytes) = admit.body else { return Ok(()) };
        match most(&self.bodies, admit).filter(|most| bytes > *most) {
            Some(most) => {
                let detail = format!("the body is {bytes} bytes long, and the vendor takes {most} for this call");
                Err(Refusal::new(Reason::Payload, detail))
            }
            None => Ok(()),
        }
    }

    /// Gives the vendor's own counts under the names of the limits that they go to.
    pub(super) fn named_as_limits(&self, counts: &[Counted]) -> Vec<Counted> {
        let mut counts = counts.to_vec();
        for counted in &mut counts {
            if let Some((_, limit)) = self.renamed.iter().find(|(count, _)| *count == counted.limit) {
                counted.limit.clone_from(limit);
            }
        }
        counts
    }
}

fn plan(connection: &Connection, apps: &BTreeMap<String, App>) -> Plan {
    let utc = || Reset { minute: 0, zones: vec![Zone::Fixed(0)] };
    let day = connection.limits.iter().find_map(|(limit, _)| match &limit.kind {
        Kind::Daily { reset, unit: Unit::Calls, .. } => Some(reset.clone()),
        _ => None,
    });
    let limits =
        connection.limits.iter().map(|(limit, routes)| Limit { routes: routes.fingerprint(), ..limit.clone() });
    let rule =
        |(name, app): (&String, &App)| AppRule { name: name.clone(), weight: app.weight, daily_calls: app.daily_calls };
    Plan {
        limits: limits.take(MOST_LIMITS).collect(),
        queue: connection.queue,
        adaptive: connection.adaptive,
        mode: connection.mode,
        apps: apps.iter().map(rule).collect(),
        ceiling_ms: connection.timeout_ms.max(u64::from(connection.profile.ceiling_seconds) * 1_000),
        day: day.unwrap_or_else(utc),
    }
}

fn route(connection: &Connection) -> Box<Route> {
    let items = connection.limits.iter().map(|(limit, _)| {
        let (quota, unit, window_seconds) = policy_item(&limit.kind);
        PolicyItem { name: &limit.name, quota, window_seconds, unit: (unit != "requests").then_some(unit) }
    });
    let mut route = Route {
        version: RouteVersion(0),
        profile: connection.profile.clone(),
        base_url: connection.base_url.clone(),
        credential: Some(connection.credential.clone()).filter(|credential| !is_fetched(credential)),
        timeout_ms: connection.timeout_ms,
        // A connection that only observes sends the vendor exactly what its callers send.
        attempts: if connection.mode == Mode::Observe { 1 } else { connection.retry_attempts },
        max_wait_ms: connection.queue.max_wait_ms,
        max_pause_ms: connection.adaptive.max_pause_ms,
        unhurried: connection.limits.iter().all(|(limit, _)| limit.kind.counts_from_answers()),
        rate_limit_policy: policy_field(items),
    };
    // The version is the content's digest: the same content is known again, whichever epoch of the
    // object sends it.
    let digest = Sha256::digest(codec::write(Vec::new(), &route));
    route.version = RouteVersion(digest.first_chunk().map_or(1, |bytes| u64::from_be_bytes(*bytes)).max(1));
    Box::new(route)
}

fn renamed(connection: &Connection) -> Vec<(String, String)> {
    let counts = connection.vendor_counts().into_iter();
    counts
        .filter_map(|(count, limit)| Some((count.to_owned(), limit.filter(|limit| *limit != count)?.to_owned())))
        .collect()
}

/// The lists of routes that have a call, under any of its methods.
fn mask(matcher: &Matcher, methods: &str, path: &str) -> u32 {
    methods::each(methods).fold(0, |mask, method| mask | matcher.mask(method, path))
}

fn sizes(rules: &[SizeLimit]) -> Sizes {
    let of = |rules: &[SizeLimit]| {
        let routes: Vec<Routes> = rules.iter().map(|rule| Routes::of(&rule.routes)).collect();
        (Matcher::of(&routes), rules.iter().map(|rule| rule.bytes).collect())
    };
    rules.chunks(MAX_LISTS).map(of).collect()
}

/// The most bytes that the first list with the call allows it, if a list has the call.
fn most(sizes: &Sizes, admit: &Admit) -> Option<u64> {
    sizes.iter().find_map(|(matcher, most)| {
        most.get(mask(matcher, &admit.method, &admit.path).trailing_zeros() as usize).copied()
    })
}
