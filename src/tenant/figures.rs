//! Statistics at the desk: what each connection counts, and what is told of it.

use super::desk::{Desk, refused};
use super::gate;
use super::line::Line;
use super::protocol::{Figures, Reply, Settle};
use super::store::{Host, StoreError};
use crate::civil::DAY_MS;
use crate::key::Claims;
use crate::throttle::{Outcome, PermitId, Settled};
use crate::usage::{Called, Entry, Kind, Open, Usage, document, entries};

/// First byte of a row that holds a throttle's row and, after it, a connection's counts. A throttle's own begins with its version, from 1.
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

impl Line {
    /// The throttle's row together with the counts.
    pub(super) fn with_usage(&mut self, row: &[u8], now: i64) -> Vec<u8> {
        let open = self.in_flight(now);
        let mut stored = vec![WITH_USAGE];
        stored.extend(u32::try_from(row.len()).unwrap_or(0).to_be_bytes());
        stored.extend_from_slice(row);
        stored.extend(self.usage.pack(&open));
        stored
    }

    /// What is in flight and not counted.
    fn in_flight(&self, now: i64) -> Vec<Open> {
        let (mut open, epoch) = (Vec::new(), self.throttle.epoch());
        self.throttle.for_each_open_lane(&mut |lane, below, left, app| {
            open.push(Open { epoch, lane, below, left, app: app.to_owned(), since: now });
        });
        open
    }

    /// Counts a vendor call, at the first report of its end.
    pub(super) fn count(&mut self, report: &Settle, settled: Settled, host: &Host<'_>) {
        let PermitId { epoch, .. } = report.permit;
        let own = epoch == self.throttle.epoch();
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
            throttled: matches!(report.outcome, Outcome::Throttled { .. }),
            nth: sent.nth,
            sent_at: host.now.saturating_sub(ago),
        };
        self.usage.call(&called, self.throttle.day_reset(), host.zones, host.now);
    }

    /// Counts the calls of whose end nobody will report any more: they were sent, as far as is known.
    pub(super) fn count_unheard(&mut self, host: &Host<'_>) {
        let unheard = |sent_at| Called { app: "", endpoint: None, code: None, throttled: false, nth: 1, sent_at };
        while let Some((app, granted)) = self.throttle.next_lapsed() {
            let called = Called { app: &app, ..unheard(granted) };
            self.usage.call(&called, self.throttle.day_reset(), host.zones, host.now);
        }
        for open in self.usage.never_heard(|epoch| self.throttle.remembers(epoch)) {
            for _ in 0..open.left {
                let called = Called { app: &open.app, ..unheard(open.since) };
                self.usage.call(&called, self.throttle.day_reset(), host.zones, host.now);
            }
        }
    }

    /// The throttle's life is about to end; its permits settle with the next.
    pub(super) fn hand_down(&mut self, host: &Host<'_>) {
        self.count_unheard(host);
        let open = self.in_flight(host.now);
        self.usage.inherit(open);
        self.usage.forget_day();
    }

    /// Has refusals stored that nothing else has led to a row for.
    pub(super) fn save_refusals(&mut self, now: i64) {
        if self.usage.wants_saving_at().is_some_and(|at| at <= now) {
            self.throttle.require_row();
        }
    }

    /// Adds what this connection has counted on a day to an entry of a report, calls in flight included.
    fn report(&mut self, kind: Kind, own: bool, entry: &mut Entry, host: &Host<'_>) {
        self.usage.report(kind, own, entry);
        if kind == Kind::Errors {
            return;
        }
        let (usage, reset) = (&mut self.usage, self.throttle.day_reset());
        self.throttle.for_each_open(&mut |app, granted| {
            let day = if own { usage.own_day(reset, host.zones, granted) } else { granted.div_euclid(DAY_MS) };
            if day == entry.day {
                entry.add(app, 1);
            }
        });
    }
}

/// Tells the figures, if the key may see them.
pub(super) fn told(
    desk: &mut Desk,
    claims: &Claims,
    figures: Figures,
    host: &mut Host<'_>,
) -> Result<Reply, StoreError> {
    if let Err(refusal) = gate::may_look(desk, claims, host.now) {
        return Ok(refused(refusal));
    }
    for line in desk.lines.values_mut() {
        line.throttle.tick(host.time());
        line.count_unheard(host);
    }
    let Figures { errors, week, connection } = figures;
    let kind = if errors { Kind::Errors } else { Kind::Usage };
    let mut bytes = [0; 6];
    (host.random)(&mut bytes);
    let request = bytes.iter().fold(String::new(), |id, byte| id + &char::from(b'a' + byte % 26).to_string());
    let body = match connection {
        Some(name) => {
            let Some(line) = desk.lines.get_mut(&name) else { return Ok(refused(gate::unknown(&name))) };
            let today = line.usage.own_day(line.throttle.day_reset(), host.zones, host.now);
            let mut entries = entries(today, week);
            entries.iter_mut().for_each(|entry| line.report(kind, true, entry, host));
            document(kind, &request, &mut entries)
        }
        None => {
            let mut entries = entries(host.now.div_euclid(DAY_MS), week);
            for line in desk.lines.values_mut() {
                entries.iter_mut().for_each(|entry| line.report(kind, false, entry, host));
            }
            document(kind, &request, &mut entries)
        }
    };
    Ok(Reply::Document { status: 200, body, warnings: Vec::new() })
}
