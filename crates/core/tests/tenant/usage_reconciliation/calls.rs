//! Direct calls and their Workers: they ask for permits, send, and report in settlement batches.

use super::*;

impl World {
    pub(super) fn begin(&mut self) {
        let app = self.rng.usize(..2);
        let claims = self.apps[app].clone();
        if self.one_in(8) {
            let mut keep = self.harness.keep(&claims, "crm", "GET");
            keep.request.url = "https://sluice.example/v/crm/things".to_owned();
            let rows = self.rows();
            self.harness.kept(keep);
            return self.go_on(rows);
        }
        let wait_ms = self.rng.bool().then_some(0);
        let admit = Admit { wait_ms, ..self.harness.admit(&claims, "crm") };
        let (id, repeats) = (self.next(), self.rng.u32(..3));
        self.calls.insert(id, Call { app, admit, repeats, reports: Vec::new() });
        self.ask(id);
    }

    pub(super) fn ask(&mut self, id: u32) {
        let Some(call) = self.calls.get(&id) else { return };
        let (admit, rows) = (call.admit.clone(), self.rows());
        match self.harness.ask(Ask::Admit(admit)) {
            Answer::Now(reply) => self.answered(id, reply, self.known_from(rows)),
            Answer::Wait(ticket) => drop(self.asking.insert(ticket, id)),
        }
        self.go_on(rows);
    }

    /// The row that has what has just happened: the one that was written with it, or the next.
    pub(super) fn known_from(&self, rows_before: u32) -> u32 {
        self.rows().max(rows_before + 1)
    }

    pub(super) fn answered(&mut self, id: u32, reply: Reply, known_from: u32) {
        match reply {
            Reply::Permit(go) => self.granted(id, go.permit, known_from),
            Reply::Refused(_) => self.events.push((self.harness.now, Event::Account(id))),
            other => panic!("{other:?}"),
        }
    }

    /// A permit came: most are used.
    pub(super) fn granted(&mut self, id: u32, permit: PermitId, known_from: u32) {
        let now = self.harness.now;
        let crashes = self.kills == Kills::Objects && self.one_in(400);
        let (unused, orphan, odds) = (self.one_in(20), self.one_in(40), self.rng.u32(..12));
        let Some(call) = self.calls.get_mut(&id) else { return };
        // One that was handed back, unheard, is given again: the row that had it has it.
        let before = call.reports.iter().find(|report| report.permit == permit).map(|report| report.known_from);
        let known_from = before.map_or(known_from, |before| before.min(known_from));
        call.reports.retain(|report| report.permit != permit);
        if crashes {
            // Before the Worker could hear of it.
            if known_from <= self.harness.memory.throttle_rows {
                count(&mut self.too_many, APPS[call.app], own_day(now));
            }
            call.admit.repeated = true;
            self.later(0, 200, Event::Ask(id));
            return self.kill();
        }
        if unused {
            call.admit.repeated = true;
            call.reports.push(Report { permit, sent: None, outcome: Outcome::Unused, code: None, told: 0, known_from });
            self.tell(id);
            return self.later(1, 50, Event::Ask(id));
        }
        let throttled = Outcome::Throttled { by: ThrottledBy::Rate, retry_after_ms: None };
        let (outcome, code) = match odds {
            0 => (throttled, Some("606")),
            1 => (Outcome::Answered, Some("500")),
            2 => (Outcome::Unknown, Some("timeout")),
            _ => (Outcome::Answered, None),
        };
        let (app, orphan) = (call.app, orphan && call.reports.is_empty());
        self.logged(APPS[app], now);
        if orphan {
            self.orphans.push((app, now, known_from));
            self.calls.remove(&id);
            return;
        }
        let report = Report { permit, sent: Some(now), outcome, code, told: 0, known_from };
        self.calls.get_mut(&id).unwrap().reports.push(report);
        code.inspect(|code| count(&mut self.codes, code, own_day(now)));
        self.later(20, 2_000, Event::Ends(id));
    }

    pub(super) fn logged(&mut self, app: &str, at: i64) {
        count(&mut self.log, app, own_day(at));
        count(&mut self.utc, app, utc_day(at));
    }

    /// What a Worker says of its permits, the last of them or all.
    pub(super) fn reports(&mut self, id: u32, all: bool) -> Vec<Settle> {
        let now = self.harness.now;
        let Some(call) = self.calls.get_mut(&id) else { return Vec::new() };
        let skipped = if all { 0 } else { call.reports.len().saturating_sub(1) };
        let settle = |(nth, report): (u32, &mut Report)| {
            report.told += 1;
            let sent = report.sent.map(|at| Sent {
                app: APPS[call.app].to_owned(),
                method: "GET".to_owned(),
                path: "/things".to_owned(),
                nth,
                ago_ms: u64::try_from(now - at).unwrap(),
            });
            Settle {
                connection: "crm".to_owned(),
                permit: report.permit,
                attempt: report.told,
                outcome: report.outcome,
                since_headers_ms: Some(0),
                response_bytes: 0,
                status: Some(200),
                counts: Vec::new(),
                error_code: report.code.map(str::to_owned),
                sent,
            }
        };
        (1..).zip(&mut call.reports).skip(skipped).map(settle).collect()
    }

    /// Says what became of the last permit, while the call goes on. Some of it is never heard.
    pub(super) fn tell(&mut self, id: u32) {
        for report in self.reports(id, false) {
            let rows = self.rows();
            if !self.one_in(10) {
                self.harness.told(Ask::Settle(report));
            }
            self.go_on(rows);
        }
    }

    pub(super) fn ends(&mut self, id: u32) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let failed = call.reports.last().is_some_and(|report| report.code.is_some());
        if !failed || call.repeats == 0 {
            return self.account(id);
        }
        call.repeats -= 1;
        let claims = call.admit.claims.clone();
        let admit = Admit { wait_ms: Some(5_000), ..self.harness.admit(&claims, "crm") };
        self.calls.get_mut(&id).unwrap().admit = admit;
        self.tell(id);
        self.later(100, 3_000, Event::Ask(id));
    }

    /// Gives account, until that is stored.
    pub(super) fn account(&mut self, id: u32) {
        let reports = self.reports(id, true);
        if reports.is_empty() {
            self.calls.remove(&id);
            return;
        }
        let rows = self.rows();
        let answer = self.harness.ask(Ask::SettleBatch(reports));
        self.said(id, answer, Event::Account(id));
        self.go_on(rows);
    }

    pub(super) fn said(&mut self, id: u32, answer: Answer, again: Event) {
        let lost = self.one_in(15);
        match answer {
            // The acknowledgement is lost on its way to the Worker.
            _ if lost => self.later(50, 200, again),
            Answer::Now(Reply::Done) => {
                self.calls.remove(&id);
                self.jobs.remove(&id);
            }
            Answer::Wait(ticket) => drop(self.telling.insert(ticket, id)),
            other => panic!("{other:?}"),
        }
    }
}
