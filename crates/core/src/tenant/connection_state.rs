//! The state of one connection: its part of the policy, its limiter, and the calls that wait for it.

use super::alerts::AlertSchedule;
use super::blocked::{self, Blocked};
use super::pauses::Pause;
use super::state::refused;
use super::stats;
use super::store::{Host, StoreError, Table};
use super::token_cache::TokenCache;
use crate::codec;
use crate::http::{PolicyItem, RemainingItem, policy_field, remaining_field};
use crate::lookup::Lookup;
use crate::policy::{App, Connection, MAX_LISTS, Matcher, Policy, Routes};
use crate::protocol::{Admit, Bearer, BodyLength, Granted, No, Reply, Route, RouteVersion, Settle};
use crate::refusal::{Reason, Refusal};
use crate::upstream::grant::is_fetched;
use crate::upstream::methods;
use crate::upstream::profile::SizeLimit;
use crate::usage::Usage;
use sha2::{Digest, Sha256};
use sluice_limiter::calendar::{Reset, Zone};
use sluice_limiter::{
    Admission, AppRule, Call, Denial, Grant, Kind, Limit, Limiter, Mode, ObservedDecision, Outcome, PermitId, Plan,
    Refused, SKEW_MS, SLACK_MS, Settled, Settlement, Stays, ThrottledBy, Ticket, Unit, policy_item,
};
use std::collections::BTreeMap;

/// One connection.
pub struct ConnectionState {
    pub(super) name: String,
    pub(super) policy: Connection,
    pub(super) limiter: Limiter,
    /// The calls that wait, by the limiter's tickets.
    waiting: Lookup<u64, WaitingCall>,
    /// The limiter's tickets by the tenant's.
    tickets: Lookup<u64, Ticket>,
    /// The access token, where the credential has to be exchanged for one.
    pub(super) access: Option<TokenCache>,
    pub(super) tenant: String,
    /// What it has counted.
    pub(super) usage: Usage,
    /// When its alerts are looked at next.
    pub(super) alert_schedule: AlertSchedule,
    /// When its jobs ask again, Unix ms, for want of an access token now.
    pub(super) jobs_again: Option<i64>,
    /// Permits of this life granted to jobs that are not on their way yet.
    pub(super) unsent: Vec<PermitId>,
    /// The tenant's tickets of those who wait until what they reported is stored.
    pub(super) unstored: Vec<u64>,
    /// What an operator has paused; some of it may be over.
    pub(super) pauses: Vec<Pause>,
    route: Box<Route>,
    /// Which limits count a call.
    counting: Matcher,
    /// The longest targets that the vendor takes.
    targets: Sizes,
    /// The longest bodies that the vendor takes.
    bodies: Sizes,
    /// What is known of routes that the vendor refuses each time.
    blocked: Blocked,
    /// Counts of the vendor's own that go to a limit of another name: theirs, and the limit's.
    renamed: Vec<(String, String)>,
}

/// The most bytes of something, and for which calls.
type Sizes = Vec<(Matcher, Vec<u64>)>;

/// A call that waits in the limiter.
struct WaitingCall {
    ticket: Ticket,
    /// The tenant's ticket.
    tenant: u64,
    admit: Box<Admit>,
}

/// What became of a call that asked.
pub enum AdmitResult {
    Now(Reply),
    Waiting,
}

/// A call that waited when the policy changed.
pub struct Displaced {
    /// The tenant's ticket.
    pub(super) tenant: u64,
    /// What it asked.
    pub(super) admit: Box<Admit>,
    /// How long it has waited, milliseconds.
    pub(super) waited_ms: u64,
}

impl ConnectionState {
    /// A connection as the policy has it, with the counts that were stored under its name.
    pub(super) fn open(
        (tenant, name): (&str, &str),
        policy: &Policy,
        host: &mut Host<'_>,
    ) -> Result<Option<Self>, StoreError> {
        let Some(connection) = policy.connections.get(name) else { return Ok(None) };
        let plan = plan(connection, &policy.apps);
        let mut row = host.store.load(Table::Limiter, name)?;
        if row.is_none() {
            row = host.store.load(Table::Tombstone, name)?.and_then(|row| Some(row.split_at_checked(8)?.1.to_vec()));
        }
        let (limiter, usage) = match row {
            Some(row) => {
                let (row, usage) = stats::split(&row);
                (Limiter::load(plan, row, host.time(), SKEW_MS).map_err(StoreError)?, usage)
            }
            None => (Limiter::new(plan, host.time()), Usage::default()),
        };
        let (route, counting) = (route(connection), counting(connection));
        let (targets, bodies) = (sizes(&connection.profile.uri_bytes), sizes(&connection.profile.bodies));
        let mut connection = Self {
            name: name.to_owned(),
            policy: connection.clone(),
            limiter,
            waiting: Lookup::default(),
            tickets: Lookup::default(),
            access: TokenCache::load((tenant, name), connection, host)?,
            tenant: tenant.to_owned(),
            usage,
            alert_schedule: AlertSchedule::default(),
            jobs_again: None,
            unsent: Vec::new(),
            unstored: Vec::new(),
            pauses: Vec::new(),
            route,
            counting,
            targets,
            blocked: Blocked::default(),
            renamed: renamed(connection),
            bodies,
        };
        connection.load_pauses(host)?;
        connection.reseal_access(host)?;
        Ok(Some(connection))
    }

    /// The connection is in the policy no more: what it has counted remains, and who waits is to be told.
    pub(super) fn leave(mut self, host: &mut Host<'_>) -> Result<(Usage, Vec<u64>), StoreError> {
        self.limiter.tick(host.time());
        self.hand_down(host);
        let usage = std::mem::take(&mut self.usage);
        Ok((usage, self.close(host)?))
    }

    /// Puts another policy's connection in force, but for its limits: those follow with [`Self::replan`], once it is known who may still
    /// wait. Gives those who waited for an access token, in the order in which they came; they are to ask anew.
    pub(super) fn edit(&mut self, connection: &Connection, host: &mut Host<'_>) -> Result<Vec<Displaced>, StoreError> {
        self.limiter.tick(host.time());
        self.count_unheard(host);
        self.usage.forget_day();
        let waiting = self.access.iter_mut().flat_map(TokenCache::take_waiting).map(|waiter| Displaced {
            tenant: waiter.tenant,
            waited_ms: u64::try_from(host.now.saturating_sub(waiter.since)).unwrap_or(0),
            admit: waiter.admit,
        });
        let waiting = waiting.collect();
        self.access = match self.access.take() {
            Some(access) => access.for_another(connection),
            None => TokenCache::of(connection),
        };
        self.policy = connection.clone();
        (self.alert_schedule, self.jobs_again) = (AlertSchedule::default(), None);
        (self.route, self.counting) = (route(connection), counting(connection));
        self.targets = sizes(&connection.profile.uri_bytes);
        self.bodies = sizes(&connection.profile.bodies);
        self.renamed = renamed(connection);
        self.store_access(host)?;
        Ok(waiting)
    }

    /// What becomes of each call that waits in the limiter: `check` says whether it may still be made.
    pub(super) fn who_stays(
        &self,
        check: impl Fn(&Admit) -> Result<(), Refusal>,
    ) -> BTreeMap<u64, Result<Stays, Refusal>> {
        let stays = |admit: &Admit| {
            check(admit)?;
            Ok(Stays { mask: self.mask(&admit.method, &admit.path), wait_ms: admit.wait_ms })
        };
        self.waiting.values().map(|held| (held.ticket.number(), stays(&held.admit))).collect()
    }

    /// Puts another policy's limits in force. Those who wait keep their places; those who may wait no longer are refused.
    pub(super) fn replan(
        &mut self,
        policy: &Policy,
        mut stays: BTreeMap<u64, Result<Stays, Refusal>>,
        host: &mut Host<'_>,
    ) -> Result<Vec<(u64, Reply)>, StoreError> {
        let plan = plan(&self.policy, &policy.apps);
        let stay = |ticket: Ticket, _: &str| stays.get(&ticket.number())?.as_ref().ok().copied();
        let gone = self.limiter.replan(plan, host.time(), stay);
        let mut told = Vec::new();
        for ticket in gone {
            let Some(held) = self.waiting.remove(&ticket.number()) else { continue };
            self.tickets.remove(&held.tenant);
            let refusal = match stays.remove(&ticket.number()) {
                Some(Err(refusal)) => refused(refusal),
                // No lane was left for it: it asks anew.
                _ => Reply::Retry,
            };
            told.push((held.tenant, refusal));
        }
        self.store(host)?;
        Ok(told)
    }

    /// The connection is removed with its tenant. What must outlive it is stored, and nothing is removed yet. Gives the tickets of
    /// those who wait.
    pub(super) fn close(self, host: &mut Host<'_>) -> Result<Vec<u64>, StoreError> {
        bury(&self.name, self.limiter, host)?;
        let for_a_token = self.access.map(|mut access| access.take_waiting()).unwrap_or_default();
        let for_a_token = for_a_token.into_iter().map(|waiter| waiter.tenant);
        Ok(self.waiting.into_values().map(|held| held.tenant).chain(for_a_token).collect())
    }

    /// Where its calls go.
    pub(super) fn route(&self) -> Box<Route> {
        self.route.clone()
    }

    /// Whether the vendor takes what is asked: lengths of target and body, before any quota is spent.
    pub(super) fn fits(&self, admit: &Admit) -> Result<(), Refusal> {
        let most = |sizes: &Sizes| {
            sizes.iter().find_map(|(matcher, most)| {
                most.get(mask(matcher, &admit.method, &admit.path).trailing_zeros() as usize).copied()
            })
        };
        if let Some(most) = most(&self.targets).filter(|most| u64::from(admit.uri_bytes) > *most) {
            let bytes = admit.uri_bytes;
            let detail = format!("path and query are {bytes} bytes long, and the vendor takes {most} for this call");
            return Err(Refusal::new(Reason::Uri, detail));
        }
        let BodyLength::Bytes(bytes) = admit.body else { return Ok(()) };
        let most = most(&self.bodies);
        match most.filter(|most| bytes > *most) {
            Some(most) => {
                let detail = format!("the body is {bytes} bytes long, and the vendor takes {most} for this call");
                Err(Refusal::new(Reason::Payload, detail))
            }
            None => Ok(()),
        }
    }

    /// Puts a call to the limiter. `tenant` is the ticket it waits under, if it waits; `waited` what it has waited already.
    pub(super) fn admit(&mut self, admit: Box<Admit>, tenant: u64, waited: u64, host: &Host<'_>) -> AdmitResult {
        let mask = self.mask(&admit.method, &admit.path);
        let app = admit.claims.app.as_deref().unwrap_or_default();
        let call = Call {
            app,
            mask,
            id: u128::from_str_radix(&admit.call, 16).unwrap_or_default(),
            again: admit.repeated,
            waited_ms: waited,
            wait_ms: admit.wait_ms,
            urgency: admit.urgency,
        };
        let id = call.id;
        let earlier = if call.again { self.limiter.ticket_of(id) } else { None };
        let admission = self.limiter.admit(host.time(), call);
        // The earlier ask of the same call has given its place to this one, unless it is the same place.
        if let Some(earlier) = earlier.filter(|earlier| self.limiter.ticket_of(id) != Some(*earlier))
            && let Some(held) = self.waiting.remove(&earlier.number())
        {
            self.tickets.remove(&held.tenant);
        }
        match admission {
            Admission::Granted(grant) => AdmitResult::Now(self.go(&grant, &admit, host.now)),
            Admission::Refused(refused) => {
                self.usage.refuse(refused.reason.into(), host.now);
                let left = self.left_for(app, mask);
                AdmitResult::Now(self.no(refused, left))
            }
            Admission::Waiting(ticket) => {
                if let Some(earlier) = self.waiting.insert(ticket.number(), WaitingCall { ticket, tenant, admit }) {
                    self.tickets.remove(&earlier.tenant);
                }
                self.tickets.insert(tenant, ticket);
                AdmitResult::Waiting
            }
        }
    }

    /// The caller of that ticket has gone: whether it waited in the limiter.
    pub(super) fn stops_waiting(&mut self, tenant: u64, host: &Host<'_>) -> bool {
        let Some(ticket) = self.tickets.remove(&tenant) else { return false };
        self.waiting.remove(&ticket.number());
        self.limiter.cancel(host.time(), ticket);
        true
    }

    /// Which limits count a call: bit i is limit i. Those that count it under any of its methods do.
    pub(super) fn mask_of(&self, methods: &str, path: impl FnOnce() -> String) -> u32 {
        // Most connections have no limit with routes: a job's path, which is sealed, is then left alone.
        let path = if self.counting.is_routed() { path() } else { String::new() };
        mask(&self.counting, methods, &path)
    }

    /// Tells which limits count a call whose path is at hand: bit i is limit i.
    pub(super) fn mask(&self, methods: &str, path: &str) -> u32 {
        mask(&self.counting, methods, path)
    }

    /// Takes a report. A vendor that counts a call when it ends has just counted it, however long ago it began to answer.
    pub(super) fn settle(&mut self, report: &Settle, host: &Host<'_>) {
        let own = self.is_routes_own(report, host.now);
        let before = self.limiter.factor_ppm();
        let outcome = if own { Outcome::Answered } else { report.outcome };
        if self.settle_as(report, outcome, host) != Settled::News {
            return;
        }
        let Some(sent) = sent(report, host.now) else { return };
        if own {
            if let Some(factor) = self.blocked.refused_again(&sent, host.now) {
                self.limiter.restore(host.time(), factor);
            }
        } else if is_throttle(report.outcome) {
            self.blocked.refused(&sent, host.now, (before, self.limiter.factor_ppm()));
        } else if report.outcome == Outcome::Answered && report.status.is_none_or(|status| status < 500) {
            self.blocked.passed(&sent, host.now);
        }
    }

    /// Whether the vendor's answer is a refusal of its route's own, which comes back however often the call is made.
    pub(super) fn is_routes_own(&self, report: &Settle, now: i64) -> bool {
        is_throttle(report.outcome) && sent(report, now).is_some_and(|sent| self.blocked.is_own(&sent))
    }

    fn settle_as(&mut self, report: &Settle, outcome: Outcome, host: &Host<'_>) -> Settled {
        let at_completion = self.policy.profile.counts_at_completion;
        let since_headers_ms = if at_completion { 0 } else { report.since_headers_ms.unwrap_or(0) };
        let settlement = Settlement {
            permit: report.permit,
            attempt: report.attempt,
            outcome,
            since_headers_ms,
            response_bytes: report.response_bytes,
        };
        if !report.counts.is_empty() {
            let mut counts = report.counts.clone();
            for counted in &mut counts {
                if let Some((_, limit)) = self.renamed.iter().find(|(count, _)| *count == counted.limit) {
                    counted.limit.clone_from(limit);
                }
            }
            self.limiter.on_vendor_count(host.time(), report.permit, since_headers_ms, &counts);
        }
        let settled = self.limiter.settle(host.time(), settlement);
        self.count(report, outcome, settled, host);
        settled
    }

    /// The next waiting call whose end is known, with the tenant's ticket.
    pub(super) fn next_ready(&mut self, now: i64) -> Option<(u64, Reply)> {
        loop {
            let (ticket, outcome) = self.limiter.next_ready()?;
            let Some(WaitingCall { tenant, admit, .. }) = self.waiting.remove(&ticket.number()) else { continue };
            self.tickets.remove(&tenant);
            let reply = match outcome {
                Ok(grant) => self.go(&grant, &admit, now),
                Err(refused) => {
                    self.usage.refuse(refused.reason.into(), now);
                    self.no(refused, String::new())
                }
            };
            return Some((tenant, reply));
        }
    }

    /// Stores the limiter's row, if one is due: before anything of this event leaves.
    pub(super) fn store(&mut self, host: &mut Host<'_>) -> Result<(), StoreError> {
        self.count_unheard(host);
        match self.limiter.snapshot_due() {
            Some(row) => {
                let row = self.with_usage(&row);
                host.store.save(Table::Limiter, &self.name, &row)
            }
            None => Ok(()),
        }
    }

    /// The `RateLimit` field for a permit's call.
    pub(super) fn rate_limit(&mut self, permit: PermitId) -> String {
        let mut items = Vec::with_capacity(4);
        let mut names = Vec::with_capacity(4);
        self.limiter.left(permit, |left| {
            names.push(left.name.to_owned());
            items.push((left.remaining, left.seconds));
        });
        let items = names.iter().zip(items).map(|(name, (remaining, reset_seconds))| RemainingItem {
            name,
            remaining,
            reset_seconds,
        });
        remaining_field(items)
    }

    fn go(&mut self, grant: &Grant, admit: &Admit, now: i64) -> Reply {
        self.usage.waited(grant.waited_ms);
        let rate_limit = self.rate_limit(grant.permit);
        let held = self.access.as_ref().and_then(|access| access.current(now));
        Reply::Permit(Granted {
            permit: grant.permit,
            waited_ms: grant.waited_ms,
            since_ask_ms: grant.since_ask_ms,
            slack_ms: u64::try_from(SLACK_MS).unwrap_or(0),
            route: (admit.known_route != Some(self.route.version)).then(|| self.route()),
            route_version: self.route.version,
            bearer: held
                .filter(|held| Some(held.mark) != admit.known_token)
                .map(|held| Bearer { token: held.token.clone(), mark: held.mark }),
            token_mark: held.map(|held| held.mark),
            rate_limit,
            would: grant.would.map(would),
        })
    }

    /// A refusal in the vendor's words, of a call that has not come to its limits.
    pub(super) fn turned_away(&self, refusal: Refusal) -> Reply {
        Reply::Refused(No { refusal, dialect: self.policy.profile.dialect, rate_limit: None })
    }

    fn left_for(&mut self, app: &str, mask: u32) -> String {
        let mut kept = Vec::with_capacity(4);
        self.limiter.left_for(app, mask, |left| kept.push((left.name.to_owned(), left.remaining, left.seconds)));
        remaining_field(kept.iter().map(|(name, remaining, reset_seconds)| RemainingItem {
            name,
            remaining: *remaining,
            reset_seconds: *reset_seconds,
        }))
    }

    fn no(&mut self, refused: Refused, left: String) -> Reply {
        let refusal = Refusal {
            reason: refused.reason.into(),
            detail: self.detail(&refused),
            retry_after_seconds: Some(refused.retry_after_seconds),
            violated: refused.violated,
        };
        let fields = (!left.is_empty()).then(|| (self.route.rate_limit_policy.clone(), left));
        Reply::Refused(No { refusal, dialect: self.policy.profile.dialect, rate_limit: fields })
    }

    /// Where the vendor's own figures and the policy's differ, what a spent day is about.
    fn of_vendor(&mut self, violated: &[String]) -> String {
        let limits = self.limiter.limits();
        let spent = limits.iter().filter(|limit| violated.contains(&limit.name));
        let told = spent.filter_map(|limit| Some((limit, limit.vendor_limit?)));
        let mut said = String::new();
        for (limit, total) in told {
            let name = &limit.name;
            let used = limit.vendor_used.map(|used| format!("{used} of ")).unwrap_or_default();
            if total < limit.of {
                said.push_str(&format!(
                    "; the vendor itself counts {used}{total}, which holds in place of the {} of {name} in the policy",
                    limit.of
                ));
            } else if total > limit.of {
                said.push_str(&format!(
                    "; the vendor itself counts {used}{total}, more than the {} of {name} in the policy: give the limit its calls there",
                    limit.of
                ));
            }
        }
        said
    }

    fn detail(&mut self, refused: &Refused) -> String {
        let spent = refused.reason == Denial::DailyQuota;
        let of_vendor = if spent { self.of_vendor(&refused.violated) } else { String::new() };
        let (name, seconds) = (&self.name, refused.retry_after_seconds);
        let limits = refused.violated.join(", ");
        match refused.reason {
            Denial::DailyQuota => {
                format!("the day's quota of connection {name} is spent ({limits}): ask again in {seconds} s{of_vendor}")
            }
            Denial::AppBudget => {
                format!("the app's daily_calls on connection {name} are spent: ask again in {seconds} s")
            }
            Denial::Paused if self.limiter.paused_until().is_none() => {
                format!("an operator has paused connection {name}, or this app on it: ask again in {seconds} s")
            }
            Denial::Paused => {
                format!("the vendor of connection {name} asked to be left alone: ask again in {seconds} s")
            }
            Denial::QueueFull => {
                format!("no place is left in the queue of connection {name}: ask again in {seconds} s")
            }
            Denial::Deadline => {
                format!(
                    "connection {name} will not be free ({limits}) within the time the call may wait: ask again in {seconds} s"
                )
            }
            _ => format!("connection {name} is full ({limits}) and the call may not wait: ask again in {seconds} s"),
        }
    }
}

/// Whether it refuses a call as one too many, for now: one that asks for a pause, and one that names the day, mean the connection whatever
/// else passes.
const fn is_throttle(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Throttled { by: ThrottledBy::Rate | ThrottledBy::Concurrency, retry_after_ms: None | Some(0) }
    )
}

/// The call that a report is about, where it was sent.
fn sent(report: &Settle, now: i64) -> Option<blocked::Sent<'_>> {
    let sent = report.sent.as_ref()?;
    let at = now.saturating_sub(i64::try_from(sent.ago_ms).unwrap_or(0));
    Some(blocked::Sent { method: &sent.method, path: &sent.path, at })
}

/// Keeps what a removed connection's windows and days still need, until they need it no more. This is stored before anything of the
/// connection is removed; where its own row is still there, that row holds. For a connection that needs nothing kept an empty
/// tombstone is stored, so that what else there is of it is removed even if storage refuses meanwhile.
fn bury(name: &str, limiter: Limiter, host: &mut Host<'_>) -> Result<(), StoreError> {
    let mut stone = Vec::new();
    if let Some((until, row)) = limiter.bury(host.time()) {
        stone.extend(until.to_be_bytes());
        stone.extend(row);
    }
    host.store.save(Table::Tombstone, name, &stone)
}

/// Until when a tombstone is kept, Unix milliseconds; 0 for an empty one.
pub(super) fn kept_until(stone: &[u8]) -> i64 {
    stone.first_chunk().map_or(0, |until| i64::from_be_bytes(*until))
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
        limits: limits.take(32).collect(),
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
        // A connection that is only watched is asked exactly what its callers ask.
        attempts: if connection.mode == Mode::Observe { 1 } else { connection.retry_attempts },
        max_wait_ms: connection.queue.max_wait_ms,
        max_pause_ms: connection.adaptive.max_pause_ms,
        unhurried: connection.limits.iter().all(|(limit, _)| limit.kind.counts_from_answers()),
        rate_limit_policy: policy_field(items),
    };
    // The version is the content's digest: the same content is known again, whichever life of the object sends it.
    let digest = Sha256::digest(codec::write(Vec::new(), &route));
    route.version = RouteVersion(digest.first_chunk().map_or(1, |bytes| u64::from_be_bytes(*bytes)).max(1));
    Box::new(route)
}

fn counting(connection: &Connection) -> Matcher {
    Matcher::of(connection.limits.iter().map(|(_, routes)| routes))
}

fn renamed(connection: &Connection) -> Vec<(String, String)> {
    let counts = connection.vendor_counts().into_iter();
    counts
        .filter_map(|(count, limit)| Some((count.to_owned(), limit.filter(|limit| *limit != count)?.to_owned())))
        .collect()
}

/// The lists that have a call, under any of its methods.
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

fn would(would: ObservedDecision) -> String {
    match would {
        ObservedDecision::Wait(ms) => format!("wait;ms={ms}"),
        ObservedDecision::Refuse(reason) => format!("refuse;reason={}", Reason::from(reason).as_str()),
    }
}
