//! Reports to objects about permits: a report at once where the call goes on, and a settlement
//! batch at its end, repeated until it is stored.

use super::place::{To, Waiter};
use super::scenario::SECOND;
use super::spec::TARGETS;
use super::world::{Event, Parcel, Telling, World};
use sluice_core::protocol::{Ask, Sent as Told, Settle};
use sluice_core::tenant::state::Answer;
use sluice_limiter::{Counted, Outcome, PermitId};

/// What is to be reported of one permit.
#[derive(Clone)]
pub struct Report {
    pub permit: PermitId,
    pub end: End,
    pub told: u32,
    /// In the log of what was sent.
    pub sent: Option<usize>,
    pub sent_at: i64,
}

#[derive(Clone)]
pub struct End {
    pub outcome: Outcome,
    /// By the Worker's clock, milliseconds.
    pub headers_at: Option<i64>,
    pub bytes: u64,
    pub status: u16,
    pub counts: Vec<Counted>,
}

impl World<'_> {
    pub fn hand_back(&mut self, call: usize, permit: PermitId) {
        self.journal.counts.unused += 1;
        self.trace(|| format!("call {call} hands {permit:?} back"));
        let end = End { outcome: Outcome::Unused, headers_at: None, bytes: 0, status: 0, counts: Vec::new() };
        self.report(call, Report { permit, end, told: 0, sent: None, sent_at: 0 });
        let held = &mut self.calls[call];
        (held.then, held.again) = (Some(0), true);
        self.tell_anew(call, false);
    }

    /// One that was handed back, unheard, and then given again, is told of once.
    fn report(&mut self, call: usize, report: Report) {
        let reports = &mut self.calls[call].reports;
        let told = reports.iter().find(|old| old.permit == report.permit).map_or(0, |old| old.told);
        reports.retain(|old| old.permit != report.permit);
        reports.push(Report { told, ..report });
    }

    /// The vendor's answer, or the want of one, is at the Worker.
    pub fn ended(&mut self, call: usize) {
        if !self.lives(call) {
            return;
        }
        let held = &mut self.calls[call];
        let (Some(end), Some(last)) = (held.end.take(), held.reports.last_mut()) else { return };
        let throttled = matches!(end.outcome, Outcome::Throttled { .. });
        let retry = match end.outcome {
            Outcome::Throttled { retry_after_ms, .. } => i64::try_from(retry_after_ms.unwrap_or(300)).unwrap() * 1_000,
            _ => 0,
        };
        last.end = end;
        if throttled && held.nth < 3 && !held.gone && retry < 10 * SECOND && self.dice.half() {
            self.calls[call].then = Some(retry + self.dice.from(0, SECOND));
            self.calls[call].again = false;
            self.calls[call].nth += 1;
            self.calls[call].asks = 0;
            return self.tell_anew(call, false);
        }
        self.account(call);
    }

    /// A call's end: all that came of its permits is told until it is stored.
    pub fn account(&mut self, call: usize) {
        self.calls[call].then = None;
        if self.calls[call].reports.is_empty() {
            self.calls[call].ended = true;
            return;
        }
        let held = &self.calls[call];
        let key = (held.isolate, held.generation, held.tenant, held.conn.clone());
        if let Some(others) = self.gathered.remove(&key) {
            self.calls[call].with = others;
        } else if !self.quiet && self.dice.in_thousand(self.s.faults.gathered) {
            self.gathered.insert(key, vec![call]);
            self.calls[call].no += 1;
            return self.after(50_000, Event::Gathered(call));
        }
        self.tell_anew(call, true);
    }

    /// No other call ended soon enough to be reported with this one.
    pub fn gather_no_more(&mut self, call: usize) {
        let held = &self.calls[call];
        let key = (held.isolate, held.generation, held.tenant, held.conn.clone());
        if self.lives(call) && self.gathered.get(&key).is_some_and(|calls| calls.contains(&call)) {
            self.gathered.remove(&key);
            self.tell_anew(call, true);
        }
    }

    fn tell_anew(&mut self, call: usize, account: bool) {
        let late = !self.quiet && self.dice.in_thousand(self.s.faults.late);
        let after = if late { self.dice.from(SECOND, 40 * SECOND) } else { 0 };
        let held = &mut self.calls[call];
        held.tells = 0;
        held.no += 1;
        let no = held.no;
        self.after(after, Event::Tell(call, account, no));
    }

    pub fn tell(&mut self, call: usize, account: bool, no: u32) {
        if !self.lives(call) || self.calls[call].no != no {
            return;
        }
        let now_ms = self.worker_ms(call);
        let held = &mut self.calls[call];
        held.tells += 1;
        let first = if account { 0 } else { held.reports.len() - 1 };
        let conn = held.conn.clone();
        let (app, target, nth) = (held.app.clone(), held.target, held.nth);
        let mut reports = Vec::new();
        for report in &mut held.reports[first..] {
            report.told += 1;
            reports.push(settle(&conn, &app, target, nth, report, now_ms));
        }
        let mut sent: Vec<Option<usize>> = held.reports[first..].iter().map(|report| report.sent).collect();
        let place = held.tenant;
        for other in if account { held.with.clone() } else { Vec::new() } {
            let now_ms = self.worker_ms(other);
            let held = &mut self.calls[other];
            for report in &mut held.reports {
                report.told += 1;
                reports.push(settle(&conn, &held.app, held.target, held.nth, report, now_ms));
                sent.push(report.sent);
            }
        }
        let (trip, lost) = (self.trip(), !self.quiet && self.dice.in_thousand(self.s.faults.lost_words));
        if lost {
            let found_out = self.dice.from(50_000, 500_000);
            return self.after(found_out, Event::Told(call, account, no, false));
        }
        self.after(trip, Event::TellAt(Box::new(Telling { call, place, account, no, reports, sent })));
    }

    pub fn tell_at(&mut self, telling: Telling) {
        let Telling { call, place, account, no, reports, sent } = telling;
        let bytes: Vec<bool> = reports.iter().map(|report| report.response_bytes > 0).collect();
        if let Some(first) = reports.first() {
            let text = format!(
                "{} of call {call}, try {}: {:?} {:?}",
                if account { "account" } else { "report" },
                first.attempt,
                first.permit,
                first.outcome
            );
            self.trace(|| text);
        }
        let conn = self.calls[call].conn.clone();
        let done = self.event(place, To::Any, |tenant, waiting, host| {
            let ask =
                if account { Ask::SettleBatch(reports) } else { Ask::Settle(reports.into_iter().next().unwrap()) };
            let answer = tenant.handle(ask, host)?;
            if let Answer::Wait(ticket) = &answer {
                waiting.insert(*ticket, Waiter::Told { call, account, no });
            }
            Ok(answer)
        });
        let Some(done) = done else {
            let trip = self.trip();
            return self.after(trip, Event::Told(call, account, no, false));
        };
        let listed = self.version_of(place, done.instance).is_some_and(|version| {
            self.versions[version].spec.as_ref().is_some_and(|spec| spec.conns.contains_key(&conn))
        });
        for (sent, _) in sent.iter().zip(bytes).filter(|(_, bytes)| *bytes && listed) {
            if let Some(sent) = sent {
                self.journal.sent[*sent].told.push((done.instance, self.now));
            }
        }
        if matches!(done.value, Answer::Now(_)) {
            self.say(place, done.instance, Parcel::Told(call, account, no));
        }
        self.hand_out(place, done.instance, done.ready);
    }

    /// The word of a call's bytes is durable.
    pub fn acknowledged(&mut self, call: usize) {
        let now = self.now;
        let with = self.calls[call].with.iter().flat_map(|other| &self.calls[*other].reports);
        for report in self.calls[call].reports.iter().chain(with) {
            if let Some(sent) = report.sent {
                let sent = &mut self.journal.sent[sent];
                if !sent.told.is_empty() {
                    sent.known = sent.known.min(now);
                }
            }
        }
    }

    pub fn told(&mut self, call: usize, account: bool, no: u32, done: bool) {
        if !self.lives(call) || self.calls[call].no != no {
            return;
        }
        let tries = if account { 7 } else { 3 };
        if !done && self.calls[call].tells < tries {
            let slow = self.dice.in_thousand(30);
            let pause = if slow { self.dice.from(SECOND, 20 * SECOND) } else { self.dice.from(20_000, 800_000) };
            return self.after(pause, Event::Tell(call, account, no));
        }
        match self.calls[call].then.take() {
            Some(pause) if !self.calls[call].gone => self.after(pause, Event::Ask(call, no)),
            Some(_) => self.account(call),
            None => {
                self.calls[call].ended = true;
                for other in std::mem::take(&mut self.calls[call].with) {
                    self.calls[other].ended = true;
                }
            }
        }
    }
}

pub fn settle(conn: &str, app: &str, target: usize, nth: u32, report: &Report, now_ms: i64) -> Settle {
    let since = |at: i64| u64::try_from(now_ms - at).unwrap_or(0);
    let (method, path) = TARGETS[target];
    let end = &report.end;
    let error = match end.outcome {
        Outcome::Answered if end.status < 400 => None,
        Outcome::Unused => None,
        Outcome::Unknown => Some("timeout".to_owned()),
        _ => Some(end.status.to_string()),
    };
    Settle {
        connection: conn.to_owned(),
        permit: report.permit,
        attempt: report.told,
        outcome: end.outcome,
        since_headers_ms: end.headers_at.map(since),
        response_bytes: end.bytes,
        status: (end.status > 0).then_some(end.status),
        counts: end.counts.clone(),
        error_code: error,
        sent: (end.outcome != Outcome::Unused).then(|| Told {
            app: app.to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            nth,
            ago_ms: since(report.sent_at),
        }),
    }
}
