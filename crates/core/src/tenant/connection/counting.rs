//! What a connection counts of its calls, and how the counts outlive the object's memory.

use super::ConnectionState;
use crate::protocol::Settle;
use crate::tenant::store::Host;
use crate::usage::{Called, Entry, Flight, Kind, Open, Usage};
use sluice_limiter::calendar::DAY_MS;
use sluice_limiter::{Outcome, PermitId, Settled};

/// The first byte of a row that holds a limiter's row and, after it, a connection's counts. A
/// limiter's row alone begins with its version, which is 1 or more.
const WITH_USAGE: u8 = 0;

/// Splits a stored row into the limiter's row and the counts. Counts that this build cannot read
/// begin anew.
pub(in crate::tenant) fn split_row(stored: &[u8]) -> (&[u8], Usage) {
    let parts = || {
        let (length, rest) = stored.strip_prefix(&[WITH_USAGE])?.split_first_chunk()?;
        rest.split_at_checked(u32::from_be_bytes(*length) as usize)
    };
    match parts() {
        Some((row, usage)) => (row, Usage::unpack(usage).unwrap_or_default()),
        None => (stored, Usage::default()),
    }
}

/// The days by which a report counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tenant) enum ReportDays {
    /// The days of the connection's own daily quota.
    Quota,
    /// Days of UTC.
    Utc,
}

impl ConnectionState {
    /// Joins the limiter's row and the counts to the row that is stored.
    pub(super) fn with_usage(&mut self, row: &[u8]) -> Vec<u8> {
        let flight = self.in_flight();
        let mut stored = vec![WITH_USAGE];
        stored.extend(u32::try_from(row.len()).unwrap_or(0).to_be_bytes());
        stored.extend_from_slice(row);
        stored.extend(self.usage.pack(&flight));
        stored
    }

    /// Returns the calls in flight, as the row hands them down to the next epoch.
    fn in_flight(&self) -> Flight {
        const MINUTE_MS: i64 = 60_000;
        let (mut open, epoch) = (Vec::<Open>::new(), self.limiter.epoch());
        // Where each lane's latest entry is. A day begins with a minute.
        let mut latest = Vec::new();
        let (unsent, place) = (self.job_permits.unsent(), |permit: &PermitId| (permit.lane, permit.seq));
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

    /// Counts a vendor call at the first report of its end, with the outcome that it is taken for.
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

    /// Counts the calls whose end nobody will report: they were sent, as far as is known.
    pub(in crate::tenant) fn count_unheard(&mut self, host: &Host<'_>) {
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

    /// Hands the counts down to the limiter's next epoch, with which the permits of this one
    /// settle.
    pub(super) fn end_life(&mut self, host: &Host<'_>) {
        self.count_unheard(host);
        let flight = self.in_flight();
        self.job_permits.clear();
        self.usage.inherit(flight);
        self.usage.forget_day();
    }

    /// Requires a row for refusals that nothing else has led to a row for.
    pub(super) fn save_refusals(&mut self, now: i64) {
        if self.usage.wants_saving_at().is_some_and(|at| at <= now) {
            self.limiter.require_snapshot();
        }
    }

    /// Adds what the connection has counted on a day to an entry of a report, calls in flight
    /// included.
    pub(in crate::tenant) fn report(&mut self, kind: Kind, days: ReportDays, entry: &mut Entry, host: &Host<'_>) {
        let own = days == ReportDays::Quota;
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

    /// The number of the connection's quota day that it is now.
    pub(in crate::tenant) fn today(&mut self, host: &Host<'_>) -> i64 {
        self.usage.own_day(self.limiter.day_reset(), host.zones, host.now)
    }
}
