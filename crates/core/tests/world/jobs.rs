//! Jobs: they are stored for callers who do not wait, handed to Workers as tasks, run and reported.

use super::journal::Whose;
use super::moments::Moment;
use super::place::{To, Waiter};
use super::scenario::SECOND;
use super::spec::TARGETS;
use super::tell::{End, Report, settle};
use super::vendor::course;
use super::work::{Grant, admit};
use super::world::{Event, ISOLATES, Parcel, World};
use sluice_core::jobs::{Bytes, Request};
use sluice_core::protocol::{Ask, Reply, RunReport, SubmitJob};
use sluice_core::tenant::state::Answer;
use sluice_core::tenant::task::{FRESH_MS, Task};
use sluice_core::upstream::profile::Executed;
use sluice_limiter::Outcome;

/// A call that was left to Sluice.
pub struct Job {
    pub tenant: usize,
    pub conn: String,
    pub app: String,
    pub target: usize,
    pub urgency: u8,
    pub made: i64,
    pub tries: u32,
    /// Its caller knows that it is kept.
    pub known: bool,
    pub id: Option<String>,
    /// Its tenant was removed since.
    pub void: bool,
    /// Whether each of its runs that were sent is known not to have been executed.
    pub runs: Vec<bool>,
}

/// A run at a Worker.
pub struct Run {
    place: usize,
    job: usize,
    isolate: usize,
    generation: u32,
    offset: i64,
    ran: RunReport,
    report: Report,
    tells: u32,
    ended: bool,
}

impl World<'_> {
    pub fn leave_job(&mut self, tenant: usize, conn: &str, app: &str, target: usize) {
        let urgency = if self.s.faults.calm { 3 } else { *self.dice.pick(&[5, 5, 3, 1]) };
        let (conn, app) = (conn.to_owned(), app.to_owned());
        let made = self.now.div_euclid(1_000);
        self.jobs.push(Job {
            tenant,
            conn,
            app,
            target,
            urgency,
            made,
            tries: 0,
            known: false,
            id: None,
            void: false,
            runs: Vec::new(),
        });
        self.journal.counts.jobs += 1;
        let trip = self.trip();
        self.after(trip, Event::KeepAt(self.jobs.len() - 1));
    }

    pub fn keep_at(&mut self, job: usize) {
        let held = &mut self.jobs[job];
        held.tries += 1;
        if held.known || held.tries > 8 {
            return;
        }
        let held = &self.jobs[job];
        let (place, made) = (held.tenant, held.made);
        let Some(claims) = self.keys.get(&(place, held.app.clone())).cloned() else { return };
        let number = (1_u128 << 100) + job as u128;
        let admit = admit(claims, &held.conn, held.target, number, None, held.urgency, held.tries > 1);
        let request = Request {
            method: TARGETS[held.target].0.to_owned(),
            url: format!("https://sluice.example/v/{}{}", held.conn, TARGETS[held.target].1),
            headers: Vec::new(),
            body: Bytes::default(),
            callback: None,
        };
        let keep = SubmitJob { admit, request, made, key: None, wait_ms: None };
        // Asked for again until its caller knows.
        let again = self.dice.from(SECOND, 4 * SECOND);
        self.after(again, Event::KeepAt(job));
        let done = self.event(place, To::Any, |tenant, _, host| tenant.handle(Ask::SubmitJob(Box::new(keep)), host));
        let Some(done) = done else { return };
        if let Answer::Now(Reply::Queued(id)) = &done.value {
            self.jobs[job].id = Some(id.clone());
            self.say(place, done.instance, Parcel::Kept(job));
            self.trace(|| format!("job {job} is kept as {id}"));
        } else {
            self.jobs[job].tries = 9;
        }
        self.hand_out(place, done.instance, done.ready);
    }

    pub fn kept(&mut self, job: usize) {
        self.jobs[job].known = true;
    }

    /// All jobs are gone with their tenant.
    pub fn forget_jobs(&mut self, tenant: usize) {
        self.jobs.iter_mut().filter(|job| job.tenant == tenant).for_each(|job| job.void = true);
    }

    /// The object hands tasks over one after another, several of these at once; this one's last was taken, or comes back.
    pub fn taken(&mut self, place: usize, instance: u64, back: Option<Box<Task>>) {
        let done = self.event(place, To::Instance(instance), |tenant, _, host| {
            if let Some(task) = back {
                tenant.task_refused(*task, host)?;
            }
            tenant.next_task(host)
        });
        let Some(done) = done else { return };
        match done.value {
            Some(task) => {
                let grant = match &task {
                    Task::Run(run) => Some(self.job_grant(place, instance, run.granted)),
                    _ => None,
                };
                self.say(place, instance, Parcel::Task(Box::new(task), grant));
            }
            None => {
                if let Some(held) = self.places[place].instances.iter_mut().find(|held| held.id == instance) {
                    held.handing -= 1;
                }
            }
        }
        self.hand_out(place, done.instance, done.ready);
    }

    pub fn task_at(&mut self, place: usize, instance: u64, task: Task, grant: Option<Grant>) {
        let trip = self.trip();
        let unheard = !self.quiet && self.dice.in_thousand(self.s.faults.lost_words);
        if unheard && self.dice.half() {
            return self.after(trip, Event::Taken(place, instance, Some(Box::new(task))));
        }
        self.after(trip, Event::Taken(place, instance, None));
        match task {
            Task::Run(run) if !unheard => self.begin_run(place, *run, grant.unwrap()),
            _ => {}
        }
    }

    fn begin_run(&mut self, place: usize, run: sluice_core::tenant::task::Run, grant: Grant) {
        // Its number is the end of its id. A job that storage refused to keep whole may run before it is left again.
        let job = usize::from_str_radix(&run.job[16..], 16).unwrap_or(usize::MAX);
        if job >= self.jobs.len() || self.jobs[job].tenant != place {
            return self.fault("job", format!("the object runs a job {} that nobody has left", run.job));
        }
        let isolate = self.dice.below(ISOLATES);
        let offset = self.dice.from(-500_000, 500_000);
        let stale = (self.now - self.back + offset).div_euclid(1_000) - run.granted > FRESH_MS;
        let worker_ms = (self.now + offset).div_euclid(1_000);
        let (conn, app, target) = (self.jobs[job].conn.clone(), self.jobs[job].app.clone(), self.jobs[job].target);
        let mut report = Report {
            permit: run.permit,
            end: End { outcome: Outcome::Unused, headers_at: None, bytes: 0, status: 0, counts: Vec::new() },
            told: 0,
            sent: None,
            sent_at: worker_ms,
        };
        let mut ends = 1_000;
        let (mut executed, mut transient, mut retry_after_ms) = (Executed::Maybe, false, None);
        if !stale {
            let course = course(&mut self.dice, &self.s.faults, self.quiet);
            let sent = self.log(Whose::Job(job), (place, &conn, &app, target), grant, &course);
            self.trace(|| format!("job {job} ({app}) is sent with {:?}, {:?}", run.permit, course.outcome));
            self.watch_run(job, target);
            let counts = self.counts(sent, &course);
            let headers_at = course.has_headers.then(|| worker_ms + (course.headers / 1_000) + 1);
            report.end =
                End { outcome: course.outcome, headers_at, bytes: course.bytes, status: course.status, counts };
            report.sent = Some(sent);
            ends = course.ends;
            (executed, transient, retry_after_ms) = match course.outcome {
                Outcome::Throttled { retry_after_ms, .. } => (Executed::No, true, retry_after_ms),
                Outcome::Answered => (Executed::Yes, false, None),
                _ => (Executed::Maybe, true, None),
            };
            self.jobs[job].runs.push(executed == Executed::No);
        }
        let ran = RunReport {
            settle: settle(&conn, &app, target, run.run, &report, worker_ms),
            job: run.job.clone(),
            run: run.run,
            executed,
            transient,
            retry_after_ms,
            rejected_token: None,
            answer: None,
        };
        let generation = self.isolates[isolate];
        self.runs.push(Run { place, job, isolate, generation, offset, ran, report, tells: 0, ended: false });
        self.after(ends, Event::RunEnded(self.runs.len() - 1));
    }

    /// A job's call that may have been executed is not made again, unless that does no harm.
    fn watch_run(&mut self, job: usize, target: usize) {
        let held = &self.jobs[job];
        let repeatable = TARGETS[target].0 != "POST";
        if !repeatable && held.runs.iter().any(|not_executed| !not_executed) {
            let text = format!("job {job} ({}) is sent though it may have been executed", TARGETS[target].0);
            self.fault("job twice", text);
        }
    }

    /// The event in which an instance granted a job's permit, by its clock.
    fn job_grant(&mut self, place: usize, instance: u64, granted: i64) -> Grant {
        let held = self.places[place].instances.iter().find(|held| held.id == instance);
        match held.and_then(|held| held.moments.at(granted)) {
            Some(Moment { at, order, version }) => {
                Grant { order, at, version: version.unwrap_or(usize::MAX), life: instance }
            }
            None => {
                self.fault("job", format!("a job's permit is of {granted}, when instance {instance} had no event"));
                Grant { order: self.order, at: self.now, version: usize::MAX, life: instance }
            }
        }
    }

    /// The Worker reports the end of a run until that is acknowledged.
    pub fn run_ended(&mut self, run: usize) {
        let held = &mut self.runs[run];
        if held.ended || self.isolates[held.isolate] != held.generation {
            return;
        }
        held.tells += 1;
        held.report.told += 1;
        let now_ms = (self.now + held.offset).div_euclid(1_000);
        let job = &self.jobs[held.job];
        held.ran.settle = settle(&job.conn, &job.app, job.target, held.ran.run, &held.report, now_ms);
        let ran = held.ran.clone();
        let late = !self.quiet && self.dice.in_thousand(self.s.faults.late);
        let leg = if late { self.dice.from(SECOND, 30 * SECOND) } else { self.trip() };
        if !self.quiet && self.dice.in_thousand(self.s.faults.lost_words) {
            return self.after(leg, Event::RanHeard(run, false));
        }
        self.after(leg, Event::RanAt(run, Box::new(ran)));
    }

    pub fn ran_at(&mut self, run: usize, ran: RunReport) {
        let (place, sent) = (self.runs[run].place, self.runs[run].report.sent);
        self.trace(|| format!("run {run} is told of: {:?} {:?}", ran.settle.permit, ran.settle.outcome));
        let bytes = ran.settle.response_bytes > 0;
        let conn = ran.settle.connection.clone();
        let done = self.event(place, To::Any, |tenant, waiting, host| {
            let answer = tenant.handle(Ask::RunReport(Box::new(ran)), host)?;
            if let Answer::Wait(ticket) = &answer {
                waiting.insert(*ticket, Waiter::RunReport { run });
            }
            Ok(answer)
        });
        let Some(done) = done else {
            return self.after(20_000, Event::RanHeard(run, false));
        };
        let listed = self.version_of(place, done.instance).is_some_and(|version| {
            self.versions[version].spec.as_ref().is_some_and(|spec| spec.conns.contains_key(&conn))
        });
        if let Some(sent) = sent.filter(|_| bytes && listed) {
            self.journal.sent[sent].told.push((done.instance, self.now));
        }
        if matches!(done.value, Answer::Now(_)) {
            self.say(place, done.instance, Parcel::RanHeard(run));
        }
        self.hand_out(place, done.instance, done.ready);
    }

    pub fn run_acknowledged(&mut self, run: usize) {
        let now = self.now;
        if let Some(sent) = self.runs[run].report.sent {
            let sent = &mut self.journal.sent[sent];
            if !sent.told.is_empty() {
                sent.known = sent.known.min(now);
            }
        }
    }

    pub fn ran_heard(&mut self, run: usize, done: bool) {
        let held = &mut self.runs[run];
        if done || held.tells >= 8 {
            held.ended = true;
            return;
        }
        let pause = self.dice.from(50_000, 1_600_000);
        self.after(pause, Event::RunEnded(run));
    }
}
