//! Workers: they ask for permits for their callers, and send while the permit is fresh.

use super::place::{To, Waiter};
use super::scenario::SECOND;
use super::spec::TARGETS;
use super::tell::{End, Report};
use super::world::{Event, ISOLATES, Parcel, World};
use sluice_core::protocol::{Admit, Ask, BodyLength, Granted, Reply};
use sluice_core::refusal::Reason;
use sluice_core::tenant::state::Answer;
use sluice_limiter::PermitId;

/// How often a Worker asks for one permit.
const ASKS: u32 = 8;

/// One caller's call, as its Worker knows it.
pub struct Call {
    pub tenant: usize,
    pub conn: String,
    pub app: String,
    pub target: usize,
    pub urgency: u8,
    /// Until when its caller waits, where it says so.
    pub until: Option<i64>,
    pub isolate: usize,
    pub generation: u32,
    /// Its Worker's clock less true time.
    pub offset: i64,
    /// Which permit it is after: each takes an id of its own.
    pub nth: u32,
    /// Counts its messages: an answer to an earlier one is ignored.
    pub no: u32,
    pub asks: u32,
    pub again: bool,
    pub asked_at: i64,
    pub gone: bool,
    pub ended: bool,
    pub reports: Vec<Report>,
    /// What is to be noted when the vendor is done.
    pub end: Option<End>,
    /// After a report alone, the call is tried again so much later.
    pub then: Option<i64>,
    pub tells: u32,
    /// Calls whose ends are reported with this one's.
    pub with: Vec<usize>,
    /// The object's last reply.
    pub said: Said,
}

/// What an object says to an ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Said {
    Nothing,
    Waits,
    Granted,
    No(Reason, Option<u64>),
}

/// What a Worker learns of its ask.
pub enum Heard {
    /// To go: the permit, when after its ask it was granted, for how long it is good, and which grant it is.
    Granted { permit: PermitId, since_ask_ms: i64, slack_ms: i64, grant: Grant },
    /// Refused, and not to be asked for again.
    No,
    /// No answer, or none that helps: it asks again.
    Nothing,
}

/// A grant, in the order of them all.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    pub order: u64,
    pub at: i64,
    pub version: usize,
    pub life: u64,
}

/// What had passed at the object between this ask and the grant, milliseconds, as its reply says.
const fn since_ask_ms(go: &Granted) -> i64 {
    go.since_ask_ms
}

/// The age of a permit at its Worker, milliseconds: what has passed since it asked, less what had passed by the grant.
const fn age_ms(elapsed_ms: i64, since_ask_ms: i64) -> i64 {
    elapsed_ms - since_ask_ms
}

impl World<'_> {
    pub fn arrive(&mut self, tenant: usize, at: usize) {
        if self.now >= self.end || self.quiet {
            return;
        }
        let s = self.s;
        let traffic = &s.tenants[tenant].traffic[at];
        let times = if self.now < s.start + traffic.turn { traffic.before } else { traffic.after };
        if times <= 0.0 {
            let turn = s.start + traffic.turn;
            if self.now < turn {
                self.at(turn, Event::Arrive(tenant, at));
            }
            return;
        }
        for _ in 0..traffic.volley {
            let target = *self.dice.pick(&traffic.targets);
            if self.dice.in_thousand(traffic.jobs) {
                self.leave_job(tenant, &traffic.conn, &traffic.app, target);
            } else {
                let call = self.new_call(tenant, &traffic.conn, &traffic.app, target);
                self.ask(call, 0);
            }
        }
        let gap = self.dice.exponential(traffic.volley as f64 / traffic.per_second / times);
        self.after(gap, Event::Arrive(tenant, at));
    }

    pub fn new_call(&mut self, tenant: usize, conn: &str, app: &str, target: usize) -> usize {
        let f = &self.s.faults;
        let says = self.dice.in_thousand(f.say_wait);
        let wait = says.then(|| *self.dice.pick(&[0, 0, 200_000, SECOND, 5 * SECOND, 40 * SECOND]));
        let urgency = if f.calm { 3 } else { *self.dice.pick(&[0, 1, 3, 3, 3, 3, 6, 7]) };
        let isolate = self.dice.below(ISOLATES);
        let call = Call {
            tenant,
            conn: conn.to_owned(),
            app: app.to_owned(),
            target,
            urgency,
            until: wait.map(|wait| self.now + wait),
            isolate,
            generation: self.isolates[isolate],
            offset: self.dice.from(-500_000, 500_000),
            nth: 1,
            no: 0,
            asks: 0,
            again: false,
            asked_at: self.now,
            gone: false,
            ended: false,
            reports: Vec::new(),
            end: None,
            then: None,
            tells: 0,
            with: Vec::new(),
            said: Said::Nothing,
        };
        self.calls.push(call);
        let call = self.calls.len() - 1;
        if self.dice.in_thousand(f.leave) {
            let after = self.dice.exponential(3.0);
            self.after(after, Event::CallerLeaves(call));
        }
        call
    }

    /// Whether its Worker still lives.
    pub fn lives(&self, call: usize) -> bool {
        let held = &self.calls[call];
        self.isolates[held.isolate] == held.generation && !held.ended
    }

    pub fn worker_ms(&self, call: usize) -> i64 {
        (self.now + self.calls[call].offset).div_euclid(1_000)
    }

    /// Asks, unless there has been another word since.
    pub fn ask(&mut self, call: usize, no: u32) {
        if !self.lives(call) || self.calls[call].no != no {
            return;
        }
        let (trip, lost) = (self.trip(), !self.quiet && self.dice.in_thousand(self.s.faults.lost_words));
        let held = &mut self.calls[call];
        if held.asks >= ASKS || held.gone && held.asks > 0 {
            return self.account(call);
        }
        held.asks += 1;
        held.no += 1;
        held.asked_at = self.now;
        let no = held.no;
        if lost {
            let found_out = self.dice.from(50_000, SECOND);
            return self.after(found_out, Event::Heard(call, no, Heard::Nothing));
        }
        self.after(trip, Event::AskAt(call, no));
    }

    pub fn ask_at(&mut self, call: usize, no: u32) {
        let held = &self.calls[call];
        let place = held.tenant;
        let wait_ms = held.until.map(|until| u64::try_from((until - held.asked_at).div_euclid(1_000)).unwrap_or(0));
        let Some(admit) = self.admit(call, wait_ms) else {
            return self.reach_worker(call, no, Heard::No);
        };
        if admit.repeated {
            self.trace(|| format!("call {call} asks again"));
        }
        let Some(done) = self.event(place, To::Any, |tenant, waiting, host| {
            let answer = tenant.handle(Ask::Admit(admit), host)?;
            if let Answer::Wait(ticket) = &answer {
                waiting.retain(|_, other| !matches!(other, Waiter::Call { call: other, .. } if *other == call));
                waiting.insert(*ticket, Waiter::Call { call, no });
            }
            Ok(answer)
        }) else {
            return self.reach_worker(call, no, Heard::Nothing);
        };
        self.journal.mix(call as u64);
        match done.value {
            Answer::Now(reply) => {
                self.watch_answer(place, done.instance, call, &reply, wait_ms, false);
                self.answer(place, done.instance, call, no, reply);
                self.hand_out(place, done.instance, done.ready);
            }
            Answer::Wait(ticket) => {
                self.journal.counts.waited += 1;
                self.calls[call].said = Said::Waits;
                let (app, target) = (&self.calls[call].app, self.calls[call].target);
                let text = format!(
                    "call {call} ({app} {}) waits as ticket {} at {}",
                    TARGETS[target].1, ticket.0, done.instance
                );
                self.trace(|| text);
                self.watch_wait(place, done.instance, ticket, call, wait_ms);
                self.hand_out(place, done.instance, done.ready);
                self.watch_depth(place, done.instance, call);
            }
        }
    }

    fn reach_worker(&mut self, call: usize, no: u32, heard: Heard) {
        let trip = self.trip();
        self.after(trip, Event::Heard(call, no, heard));
    }

    fn admit(&self, call: usize, wait_ms: Option<u64>) -> Option<Admit> {
        let held = &self.calls[call];
        let number = call as u128 * 64 + u128::from(held.nth);
        let claims = self.keys.get(&(held.tenant, held.app.clone()))?.clone();
        Some(admit(claims, &held.conn, held.target, number, wait_ms, held.urgency, held.again))
    }

    /// What an object says to those that waited.
    pub fn hand_out(
        &mut self,
        place: usize,
        instance: u64,
        ready: Vec<(Waiter, sluice_core::tenant::state::Ticket, Reply)>,
    ) {
        for (waiter, ticket, reply) in ready {
            match waiter {
                Waiter::Call { call, no } => {
                    self.watch_end(instance, ticket, call, &reply);
                    self.answer(place, instance, call, no, reply);
                }
                Waiter::Told { call, account, no } => self.say(place, instance, Parcel::Told(call, account, no)),
                Waiter::RunReport { run } => self.say(place, instance, Parcel::RanHeard(run)),
            }
        }
        self.fair_check(instance);
    }

    fn answer(&mut self, place: usize, instance: u64, call: usize, no: u32, reply: Reply) {
        let heard = match reply {
            Reply::Permit(go) => {
                self.calls[call].said = Said::Granted;
                let grant = self.granted(place, instance, call, &go);
                let (app, target) = (self.calls[call].app.clone(), self.calls[call].target);
                self.trace(|| {
                    format!(
                        "call {call} ({app} {} {}) is granted {:?} by {instance}, waited {} ms",
                        TARGETS[target].0,
                        TARGETS[target].1,
                        go.permit,
                        since_ask_ms(&go)
                    )
                });
                Heard::Granted {
                    permit: go.permit,
                    since_ask_ms: since_ask_ms(&go),
                    slack_ms: i64::try_from(go.slack_ms).unwrap(),
                    grant,
                }
            }
            Reply::Refused(no) => {
                self.journal.counts.refused += 1;
                self.calls[call].said = Said::No(no.refusal.reason, no.refusal.retry_after_seconds);
                let app = self.calls[call].app.clone();
                self.trace(|| {
                    let refusal = &no.refusal;
                    let (reason, after) = (refusal.reason, refusal.retry_after_seconds);
                    format!(
                        "call {call} ({app}) is refused by {instance}: {reason:?}, {:?}, again in {after:?} s",
                        refusal.violated
                    )
                });
                Heard::No
            }
            _ => Heard::Nothing,
        };
        self.say(place, instance, Parcel::ToCall(call, no, heard));
    }

    /// Takes down a grant; that of a permit asked for again is the first one.
    fn granted(&mut self, place: usize, instance: u64, call: usize, go: &Granted) -> Grant {
        let key = (instance, call, (go.permit.epoch, go.permit.lane, go.permit.seq));
        if let Some(known) = self.grants.get(&key) {
            return *known;
        }
        self.order += 1;
        let version = self.version_of(place, instance).unwrap_or(usize::MAX);
        let grant = Grant { order: self.order, at: self.now, version, life: instance };
        self.grants.insert(key, grant);
        self.watch_grant(place, instance, call);
        grant
    }

    pub fn heard(&mut self, call: usize, no: u32, heard: Heard) {
        if !self.lives(call) || self.calls[call].no != no {
            return;
        }
        match heard {
            Heard::Granted { permit, since_ask_ms, slack_ms, grant } => {
                let asked_ms = (self.calls[call].asked_at + self.calls[call].offset).div_euclid(1_000);
                let elapsed_ms = self.worker_ms(call) - asked_ms;
                if age_ms(elapsed_ms, since_ask_ms) > slack_ms || self.calls[call].gone {
                    return self.hand_back(call, permit);
                }
                self.send(call, permit, grant);
            }
            Heard::No => self.account(call),
            Heard::Nothing => {
                let held = &mut self.calls[call];
                held.again = true;
                if held.until.is_some_and(|until| until < self.now) && held.asks > 2 {
                    return self.account(call);
                }
                let pause = self.dice.from(1_000, 500_000);
                self.after(pause, Event::Ask(call, no));
            }
        }
    }

    pub fn caller_leaves(&mut self, call: usize) {
        if !self.lives(call) || self.calls[call].end.is_some() {
            return;
        }
        self.calls[call].gone = true;
        self.journal.counts.cancelled += 1;
        let trip = self.trip();
        self.after(trip, Event::CancelAt(call));
    }

    /// A caller's leaving is at its object: where the call waits, it gives up its place.
    pub fn cancel_at(&mut self, call: usize) {
        let place = self.calls[call].tenant;
        let waits = |waiter: &Waiter| matches!(waiter, Waiter::Call { call: other, .. } if *other == call);
        let found = self.places[place].instances.iter().find_map(|held| {
            held.waiting.iter().find(|(_, waiter)| waits(waiter)).map(|(ticket, _)| (held.id, *ticket))
        });
        let Some((instance, ticket)) = found else { return };
        self.trace(|| format!("call {call} gives up ticket {} at {instance}", ticket.0));
        self.watch_cancel(instance, ticket);
        let done = self.event(place, To::Instance(instance), |tenant, waiting, host| {
            waiting.remove(&ticket);
            tenant.cancel(ticket, host)
        });
        if let Some(done) = done {
            self.hand_out(place, done.instance, done.ready);
        }
        let no = self.calls[call].no;
        self.reach_worker(call, no, Heard::No);
    }
}

pub fn admit(
    claims: sluice_core::keys::Claims,
    conn: &str,
    target: usize,
    number: u128,
    wait_ms: Option<u64>,
    urgency: u8,
    again: bool,
) -> Admit {
    let (method, path) = TARGETS[target];
    Admit {
        call: format!("{number:032x}"),
        claims,
        connection: conn.to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        uri_bytes: 10,
        body: BodyLength::Bytes(0),
        from_browser: false,
        origin: None,
        own_origin: false,
        key_in_header: true,
        wait_ms,
        urgency,
        repeated: again,
        known_route: None,
        known_token: None,
        rejected_token: None,
    }
}
