//! The statistics of a tenant: each connection counts its calls, and reports are put together from the counts.

#![expect(clippy::arithmetic_side_effects, reason = "a letter of the alphabet")]

use super::authorize;
use super::connection_state::ConnectionState;
use super::state::{TenantState, refused};
use super::store::{Host, StoreError};
use crate::keys::Claims;
use crate::protocol::{Figures, Reply, ReportSpan, Settle};
use crate::usage::{Called, Counter, Entry, Exposition, Flight, Kind, Open, Usage, document, entries};
use sluice_limiter::calendar::DAY_MS;
use sluice_limiter::{Outcome, PermitId, Settled, Settlement};

/// First byte of a row that holds a limiter's row and, after it, a connection's counts. A limiter's own begins with its version, from 1.
const WITH_USAGE: u8 = 0;

/// A stored row in its two parts. Counts that this build cannot read begin anew.
pub(super) fn split(stored: &[u8]) -> (&[u8], Usage) {
    let parts = || {
        let (length, rest) = stored.strip_prefix(&[WITH_USAGE])?.split_first_chunk()?;
        rest.split_at_checked(u32::from_be_bytes(*length) as usize)
    };
    match parts() {
        Some((row, usage)) => (row, Usage::unpack(usage).unwrap_or_default()),
        None => (stored, Usage::default()),
    }
}

impl ConnectionState {
    /// The limiter's row together with the counts.
    pub(super) fn with_usage(&mut self, row: &[u8]) -> Vec<u8> {
        let flight = self.in_flight();
        let mut stored = vec![WITH_USAGE];
        stored.extend(u32::try_from(row.len()).unwrap_or(0).to_be_bytes());
        stored.extend_from_slice(row);
        stored.extend(self.usage.pack(&flight));
        stored
    }

    /// What is in flight.
    fn in_flight(&self) -> Flight {
        const MINUTE_MS: i64 = 60_000;
        let (mut open, epoch) = (Vec::<Open>::new(), self.limiter.epoch());
        // Where each lane's latest entry is. A day begins with a minute.
        let mut latest = Vec::new();
        let (mut unsent, place) = (self.unsent.clone(), |permit: &PermitId| (permit.lane, permit.seq));
        unsent.sort_unstable_by_key(place);
        self.limiter.for_each_open(&mut |lane, seq, app, granted| {
            if unsent.binary_search_by_key(&(lane, seq), place).is_ok() {
                return;
            }
            let (place, below) = (lane as usize, seq.saturating_add(1));
            if latest.len() <= place {
                latest.resize(place.saturating_add(1), usize::MAX);
            }
            let known = latest.get(place).and_then(|at: &usize| open.get_mut(*at));
            match known.filter(|open| open.since.div_euclid(MINUTE_MS) == granted.div_euclid(MINUTE_MS)) {
                Some(open) => (open.below, open.left, open.since) = (below, open.left.saturating_add(1), granted),
                None => {
                    if let Some(at) = latest.get_mut(place) {
                        *at = open.len();
                    }
                    open.push(Open { epoch, lane, below, left: 1, app: app.to_owned(), since: granted });
                }
            }
        });
        Flight { open, unsent, counted: self.limiter.cut_off().collect() }
    }

    /// Counts a vendor call, at the first report of its end. `outcome`: what it is taken for.
    pub(super) fn count(&mut self, report: &Settle, outcome: Outcome, settled: Settled, host: &Host<'_>) {
        let PermitId { epoch, .. } = report.permit;
        let own = epoch == self.limiter.epoch();
        if settled != Settled::News
            || !(own || self.usage.hears_of(report.permit, report.outcome == Outcome::Unknown))
            || report.outcome == Outcome::Unused
        {
            return;
        }
        let Some(sent) = &report.sent else { return };
        let ago = i64::try_from(sent.ago_ms).unwrap_or(DAY_MS).min(DAY_MS);
        let called = Called {
            app: &sent.app,
            endpoint: Some((&sent.method, &sent.path)),
            code: report.error_code.as_deref(),
            throttled: matches!(outcome, Outcome::Throttled { .. }),
            nth: sent.nth,
            sent_at: host.now.saturating_sub(ago),
            answered_in_ms: report.status.map(|_| sent.ago_ms.saturating_sub(report.since_headers_ms.unwrap_or(0))),
        };
        self.usage.call(&called, self.limiter.day_reset(), host.zones, host.now);
    }

    /// Counts the calls of whose end nobody will report any more: they were sent, as far as is known.
    pub(super) fn count_unheard(&mut self, host: &Host<'_>) {
        let unheard = |sent_at| Called {
            app: "",
            endpoint: None,
            code: None,
            throttled: false,
            nth: 1,
            sent_at,
            answered_in_ms: None,
        };
        while let Some((app, granted)) = self.limiter.next_lapsed() {
            let called = Called { app: &app, ..unheard(granted) };
            self.usage.call(&called, self.limiter.day_reset(), host.zones, host.now);
        }
        for open in self.usage.never_heard(|epoch| self.limiter.remembers(epoch)) {
            for _ in 0..open.left {
                let called = Called { app: &open.app, ..unheard(open.since) };
                self.usage.call(&called, self.limiter.day_reset(), host.zones, host.now);
            }
        }
    }

    /// The limiter's life is about to end; its permits settle with the next.
    pub(super) fn hand_down(&mut self, host: &Host<'_>) {
        self.count_unheard(host);
        let flight = self.in_flight();
        self.unsent.clear();
        self.usage.inherit(flight);
        self.usage.forget_day();
    }

    /// A permit that nothing was sent with. One of an earlier life, which may have been taken for sent, is none any more.
    pub(super) fn hand_back(&mut self, permit: PermitId, host: &Host<'_>) {
        let outcome = Outcome::Unused;
        self.unsent.retain(|unsent| *unsent != permit);
        let settlement = Settlement { permit, attempt: 1, outcome, since_headers_ms: 0, response_bytes: 0 };
        let news = self.limiter.settle(host.time(), settlement) == Settled::News;
        if news && permit.epoch != self.limiter.epoch() {
            self.usage.hears_of(permit, false);
        }
    }

    /// Has refusals stored that nothing else has led to a row for.
    pub(super) fn save_refusals(&mut self, now: i64) {
        if self.usage.wants_saving_at().is_some_and(|at| at <= now) {
            self.limiter.require_snapshot();
        }
    }

    /// Adds what this connection has counted on a day to an entry of a report, calls in flight included.
    fn report(&mut self, kind: Kind, own: bool, entry: &mut Entry, host: &Host<'_>) {
        self.usage.report(kind, own, entry);
        if kind == Kind::Errors {
            return;
        }
        let inherited = self.usage.inherited().to_vec();
        let (usage, reset) = (&mut self.usage, self.limiter.day_reset());
        let mut flies = |app: &str, since: i64, n: u64| {
            let day = if own { usage.own_day(reset, host.zones, since) } else { since.div_euclid(DAY_MS) };
            if day == entry.day {
                entry.add(app, n);
            }
        };
        self.limiter.for_each_open(&mut |_, _, app, granted| flies(app, granted, 1));
        for open in inherited {
            flies(&open.app, open.since, open.left);
        }
    }
}

/// Adds what a connection that is no longer in the policy has counted. Of what was in flight at its end nobody hears any more.
fn report_removed(usage: &mut Usage, kind: Kind, entry: &mut Entry) {
    usage.report(kind, false, entry);
    if kind == Kind::Usage {
        let day = entry.day;
        for open in usage.inherited().iter().filter(|open| open.since.div_euclid(DAY_MS) == day) {
            entry.add(&open.app, open.left);
        }
    }
}

/// Tells the figures, if the key may see them.
pub(super) fn told(
    tenant: &mut TenantState,
    claims: &Claims,
    figures: Figures,
    host: &mut Host<'_>,
) -> Result<Reply, StoreError> {
    if let Err(refusal) = authorize::may_look(tenant, claims, host.now) {
        return Ok(refused(refusal));
    }
    for connection in tenant.connections.values_mut() {
        connection.limiter.tick(host.time());
        connection.count_unheard(host);
    }
    let Figures::Days { kind, span, connection } = figures else {
        let body = metrics(tenant);
        return Ok(Reply::Document { status: 200, body, warnings: Vec::new() });
    };
    let week = span == ReportSpan::Week;
    let mut bytes = [0; 6];
    (host.random)(&mut bytes);
    let request = bytes.iter().fold(String::new(), |id, byte| id + &char::from(b'a' + byte % 26).to_string());
    let body = match connection {
        Some(name) => {
            let Some(connection) = tenant.connections.get_mut(&name) else {
                return Ok(refused(authorize::unknown(&name)));
            };
            let today = connection.usage.own_day(connection.limiter.day_reset(), host.zones, host.now);
            let mut entries = entries(today, week);
            entries.iter_mut().for_each(|entry| connection.report(kind, true, entry, host));
            document(kind, &request, &mut entries)
        }
        None => {
            let mut entries = entries(host.now.div_euclid(DAY_MS), week);
            for connection in tenant.connections.values_mut() {
                entries.iter_mut().for_each(|entry| connection.report(kind, false, entry, host));
            }
            for removed in tenant.removed.values_mut() {
                entries.iter_mut().for_each(|entry| report_removed(&mut removed.usage, kind, entry));
            }
            document(kind, &request, &mut entries)
        }
    };
    Ok(Reply::Document { status: 200, body, warnings: Vec::new() })
}

const COUNTERS: [(Counter, &str, &str, &str); 6] = [
    (Counter::Calls, "sluice_vendor_calls_total", "counter", "Vendor calls that have ended, each attempt once."),
    (Counter::Errors, "sluice_vendor_errors_total", "counter", "Vendor calls that ended in an error, by its code."),
    (
        Counter::Throttled,
        "sluice_vendor_throttled_total",
        "counter",
        "Vendor calls that the vendor refused as one too many.",
    ),
    (Counter::Refused, "sluice_refused_total", "counter", "Calls that Sluice refused in the vendor's place."),
    (Counter::Waits, "sluice_queue_wait_seconds", "summary", "How long calls waited for leave to go."),
    (
        Counter::Answers,
        "sluice_vendor_answer_seconds",
        "summary",
        "How long the vendor took to the headers of its answers.",
    ),
];

const GAUGES: [(&str, usize, &str); 6] = [
    ("sluice_in_flight_calls", 0, "Vendor calls in flight, as far as is known."),
    ("sluice_queue_calls", 0, "Calls that wait."),
    ("sluice_queue_size_calls", 0, "Calls that may wait."),
    ("sluice_queue_oldest_wait_seconds", 3, "How long the first of them has waited."),
    ("sluice_rate_factor_ratio", 6, "The part of the rate that is left after the vendor's throttles."),
    ("sluice_paused", 0, "Whether the vendor asked to be left alone."),
];

const LIMITS: [(&str, &str); 2] = [
    ("sluice_limit_calls", "A limit in force, after share and rate factor; bytes for a limit on bytes."),
    ("sluice_limit_used_calls", "What it counts now, calls in flight included."),
];

/// `/metrics`.
fn metrics(tenant: &mut TenantState) -> String {
    let mut to = Exposition::default();
    for (counter, name, kind, help) in COUNTERS {
        to.family(name, kind, help);
        for connection in tenant.connections.values() {
            connection.usage.expose(counter, &connection.name, &mut to);
        }
    }
    for ((name, places, help), at) in GAUGES.iter().zip(0..) {
        to.family(name, "gauge", help);
        for connection in tenant.connections.values() {
            let (limiter, queue) = (&connection.limiter, connection.limiter.queue());
            let value = match at {
                0 => limiter.in_flight(),
                1 => queue.depth as u64,
                2 => u64::from(queue.size),
                3 => queue.oldest_wait_ms,
                4 => u64::from(limiter.factor_ppm()),
                _ => u64::from(limiter.paused_until().is_some()),
            };
            to.sample("", &[("connection", &connection.name)], value, *places);
        }
    }
    for ((name, help), at) in LIMITS.iter().zip(0..) {
        to.family(name, "gauge", help);
        for connection in tenant.connections.values_mut() {
            for limit in connection.limiter.limits() {
                let labels = [("connection", connection.name.as_str()), ("limit", &limit.name), ("kind", limit.kind)];
                to.sample("", &labels, if at == 0 { limit.limit } else { limit.used }, 0);
            }
        }
    }
    to.family("sluice_callbacks", "gauge", "Callbacks that are to be delivered, and those that could not be.");
    let (queued, dead) = tenant.outbox.counts();
    for (state, number) in [("queued", queued), ("dead", dead)] {
        to.sample("", &[("state", state)], number as u64, 0);
    }
    to.family("sluice_alert", "gauge", "Alerts that are raised, each 1.");
    for connection in tenant.connections.values() {
        for alert in &connection.usage.alerts {
            let limit = alert.limit().to_string();
            to.sample("", &[("connection", &connection.name), ("kind", alert.kind()), ("limit", &limit)], 1, 0);
        }
    }
    to.into_text()
}
