//! Ends of the object and of the machine.

use super::*;

impl World {
    /// The object's life ends, and with the machine all its Workers.
    pub(super) fn kill(&mut self) {
        self.killed += 1;
        let rows = self.rows();
        for (app, at, known_from) in std::mem::take(&mut self.orphans) {
            if known_from > rows {
                count(&mut self.missed, APPS[app], own_day(at));
            } else {
                // The row has it, and so has every later one.
                self.orphans.push((app, at, 0));
            }
        }
        let telling = std::mem::take(&mut self.telling);
        let asking = std::mem::take(&mut self.asking);
        if self.kills == Kills::Machines {
            self.die_with_it(rows);
        } else {
            for id in telling.into_values() {
                let again = if self.calls.contains_key(&id) { Event::Account(id) } else { Event::JobTold(id) };
                self.later(0, 200, again);
            }
            for id in asking.into_values() {
                self.calls.get_mut(&id).unwrap().admit.repeated = true;
                self.later(0, 200, Event::Ask(id));
            }
            // What no row knows of, the next life learns of as it is told.
            let unknown =
                self.calls.values_mut().flat_map(|call| &mut call.reports).map(|report| &mut report.known_from);
            let unknown = unknown.chain(self.jobs.values_mut().map(|job| &mut job.known_from));
            unknown.filter(|known_from| **known_from > rows).for_each(|known_from| *known_from = u32::MAX);
        }
        self.harness.reopen();
    }

    pub(super) fn die_with_it(&mut self, rows: u32) {
        self.events.clear();
        for call in std::mem::take(&mut self.calls).into_values() {
            for report in call.reports {
                self.dies(APPS[call.app], report.sent, report.known_from > rows, report.code);
            }
        }
        for job in std::mem::take(&mut self.jobs).into_values() {
            self.dies(&job.app, job.sent, job.known_from > rows, job.ran.settle.error_code.as_deref());
        }
    }

    pub(super) fn dies(&mut self, app: &str, sent: Option<i64>, unknown: bool, code: Option<&str>) {
        match sent {
            Some(at) => {
                code.inspect(|code| count(&mut self.missed_codes, code, own_day(at)));
                if unknown {
                    count(&mut self.missed, app, own_day(at));
                }
            }
            None if !unknown => count(&mut self.too_many, app, own_day(self.harness.now)),
            None => {}
        }
    }
}
