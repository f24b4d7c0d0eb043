//! The network between isolates and the object, and what happens on it.

use super::object::Object;
use super::vendor::Vendor;
use crate::play::{admit, answered};
use crate::witness::{Told, Witness};
use sluice_core::call::{
    Action, Attempt, BodyCompletion, BodyEnd, CallMachine, CallSpec, Caller, Context, Event, HeldBack, Isolate,
    ObjectReply, Pace, SendFailure, ms_between,
};
use sluice_core::keys::Claims;
use sluice_core::protocol::{Admit, Ask, Fetch, Reply, Settle, TokenReport};
use sluice_core::refusal::Reason;
use sluice_core::upstream::Profile;
use sluice_core::upstream::grant::{Failure, Issued};
use sluice_limiter::PermitId;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::ops::AddAssign;

/// 2026-06-15 12:00 UTC.
const NOON: i64 = 1_781_524_800_000;
const CALLS: usize = 80;
const ISOLATES: usize = 3;
/// No call lives longer: 30 s for permits, three attempts of 10 s with their rests, and messages
/// that are lost at each step.
const LONGEST_MS: i64 = 240_000;

/// What has happened over all seeds.
#[derive(Debug, Default)]
pub struct Sums {
    pub seeds: u64,
    pub calls: u64,
    pub sent: u64,
    /// Calls that were sent again.
    pub again: u64,
    /// Permits that were handed back.
    pub stale: u64,
    /// Messages and replies that were lost.
    pub lost: u64,
    /// Replies that came when nobody waited for them any more.
    pub late: u64,
    pub left: u64,
    pub fetched: u64,
    pub unavailable: u64,
}

impl AddAssign for Sums {
    fn add_assign(&mut self, more: Self) {
        self.seeds += more.seeds;
        self.calls += more.calls;
        self.sent += more.sent;
        self.again += more.again;
        self.stale += more.stale;
        self.lost += more.lost;
        self.late += more.late;
        self.left += more.left;
        self.fetched += more.fetched;
        self.unavailable += more.unavailable;
    }
}

/// A message to the object.
#[derive(Clone)]
struct Letter {
    call: usize,
    /// Which of its call's actions it carries out.
    step: u32,
    sent_at: i64,
    what: What,
    /// The platform has sent it twice, and hears one of the two.
    is_echo: bool,
}

#[derive(Clone)]
enum What {
    Admit(Box<Admit>),
    Settle(Settle),
    SettleBatch(Vec<Settle>),
    TokenReport(TokenReport),
    Gone(String),
}

/// What comes when its time has come.
enum Turn {
    Comes(usize),
    Leaves(usize),
    AtObject(Letter),
    /// For the call's machine, if it still waits for that.
    Happens(usize, u32, Event),
    /// A reply that its isolate has given up.
    Late(usize, u32, i64, Reply),
    ObjectFalls,
    IsolateDies(usize),
}

struct Live {
    isolate: usize,
    /// None before it has come, and if its isolate has died.
    machine: Option<CallMachine>,
    witness: Witness,
    connection: &'static str,
    method: String,
    /// The id under which it asks.
    asks_as: String,
    /// What it waits for can end when its caller goes.
    rests: bool,
    came_at: i64,
    gone: bool,
    executed: u32,
    /// The call as the vendor has it.
    at_vendor: Option<usize>,
}

pub struct World {
    rng: fastrand::Rng,
    now: i64,
    turns: BTreeMap<(i64, u64), Turn>,
    next: u64,
    object: Object<Letter>,
    vendor: Vendor,
    isolates: Vec<Isolate>,
    calls: Vec<Live>,
    told: BTreeMap<&'static str, Told>,
    /// When the object granted each permit of a connection, by the world's clock.
    granted: HashMap<(&'static str, PermitId), i64>,
    keys: Vec<Claims>,
    ids: Cell<u64>,
    /// Messages lost, of a hundred.
    loses: u8,
    pace: Pace,
    sums: Sums,
}

impl World {
    pub fn play(seed: u64) -> Sums {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut object = Object::new(NOON);
        let keys = vec![object.key("sync", NOON), object.key("form", NOON)];
        let mut world = Self {
            now: NOON,
            turns: BTreeMap::new(),
            next: 0,
            object,
            vendor: Vendor::default(),
            isolates: (0..ISOLATES).map(|_| Isolate::new()).collect(),
            calls: Vec::new(),
            told: BTreeMap::new(),
            granted: HashMap::new(),
            keys,
            ids: Cell::new(0),
            loses: [0, 3, 3, 10, 10, 30, 75][rng.usize(..7)],
            pace: Pace { spacing_ms: [0, 50][rng.usize(..2)], ..Pace::USUAL },
            sums: Sums { seeds: 1, calls: CALLS as u64, ..Sums::default() },
            rng,
        };
        world.prepare();
        world.run();
        world.check();
        world.sums
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.rng.u32(..n) == 0
    }

    fn within(&mut self, from: i64, to: i64) -> i64 {
        self.rng.i64(from..to)
    }

    fn at(&mut self, at: i64, turn: Turn) {
        self.next += 1;
        self.turns.insert((at, self.next), turn);
    }

    fn after(&mut self, ms: i64, turn: Turn) {
        self.at(self.now + ms, turn);
    }

    fn prepare(&mut self) {
        let mut at = NOON;
        for call in 0..CALLS {
            at += if self.one_in(2) { self.within(0, 1_500) } else { self.within(0, 40) };
            let connection = ["window", "slots", "token"][self.rng.usize(..3)];
            let method = ["GET", "POST"][self.rng.usize(..2)];
            self.calls.push(Live {
                isolate: self.rng.usize(..ISOLATES),
                machine: None,
                witness: Witness::new(method == "POST", self.pace.tries, self.pace.spacing_ms),
                connection,
                method: method.to_owned(),
                asks_as: String::new(),
                rests: false,
                came_at: at,
                gone: false,
                executed: 0,
                at_vendor: None,
            });
            self.at(at, Turn::Comes(call));
            if self.one_in(8) {
                let leaves = at + if self.one_in(2) { self.within(0, 300) } else { self.within(0, 20_000) };
                self.at(leaves, Turn::Leaves(call));
            }
        }
        for _ in 0..self.rng.u32(..4) {
            let fall = self.within(NOON, at + 20_000);
            self.at(fall, Turn::ObjectFalls);
        }
        if self.one_in(2) {
            let (death, isolate) = (self.within(NOON, at + 10_000), self.rng.usize(..ISOLATES));
            self.at(death, Turn::IsolateDies(isolate));
        }
    }

    fn run(&mut self) {
        loop {
            let next = self.turns.first_key_value().map(|((at, _), _)| *at);
            let wakes = self.object.wakes_at.filter(|at| next.is_none_or(|next| *at <= next));
            if let Some(at) = wakes.filter(|_| next.is_some() || !self.object.nobody_waits()) {
                self.now = self.now.max(at);
                let said = self.object.wake(self.now);
                self.replies(said);
                continue;
            }
            let Some(((at, _), turn)) = self.turns.pop_first() else { return };
            self.now = self.now.max(at);
            self.turn(turn);
        }
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Comes(call) => self.comes(call),
            Turn::Leaves(call) => self.leaves(call),
            Turn::AtObject(letter) => self.at_object(letter),
            Turn::Happens(call, step, mut event) => {
                if let Event::Replied(asked) = &mut event {
                    asked.caller = self.caller(call);
                }
                self.happens(call, step, event);
            }
            Turn::Late(call, step, sent_at, reply) => {
                let asked = ObjectReply { reply, elapsed_ms: ms_between(sent_at, self.now), caller: self.caller(call) };
                self.sums.late += 1;
                self.happens(call, step, Event::Replied(asked));
            }
            Turn::ObjectFalls => {
                for letter in self.object.falls(self.now) {
                    match self.one_in(2) {
                        true => self.replies(vec![(letter, Reply::Retry)]),
                        false => self.no_reply(&letter, 5),
                    }
                }
            }
            Turn::IsolateDies(isolate) => {
                self.isolates[isolate] = Isolate::new();
                for call in self.calls.iter_mut().filter(|call| call.isolate == isolate) {
                    call.machine = None;
                }
            }
        }
    }

    fn comes(&mut self, call: usize) {
        let key = self.keys[self.rng.usize(..2)].clone();
        let wait_ms = [None, None, Some(0), Some(4_000)][self.rng.usize(..4)];
        let (now, pace) = (self.now, self.pace);
        let live = &mut self.calls[call];
        let isolate = &mut self.isolates[live.isolate];
        let id = fresh(&self.ids);
        let known = isolate.route("acme", live.connection).map(|route| route.version);
        let holds = isolate.token("acme", live.connection).map(|token| token.mark);
        let admit = Admit {
            call: id.clone(),
            claims: key,
            connection: live.connection.to_owned(),
            method: live.method.clone(),
            wait_ms,
            known_route: known,
            known_token: holds,
            ..admit()
        };
        let of = CallSpec {
            id,
            number: isolate.begin_call(),
            came_at: now,
            wait_ms,
            path: "/things/17".to_owned(),
            logged_path: "/things/17".to_owned(),
            idempotency_key: false,
            body_is_kept: true,
            pace,
        };
        let ids = &self.ids;
        let mut context = Context { now, isolate, random_id: &|| fresh(ids), log: &mut |_| {} };
        let (machine, action) = CallMachine::begin(of, admit, &mut context);
        live.machine = Some(machine);
        self.acts(call, action);
    }

    fn leaves(&mut self, call: usize) {
        let live = &mut self.calls[call];
        live.gone = true;
        let Some(machine) = &live.machine else { return };
        let (step, asks_as) = (machine.step(), live.asks_as.clone());
        if live.rests {
            self.happens(call, step, Event::Waited(Caller::Gone));
        } else if !asks_as.is_empty() {
            self.sends(Letter { call, step, sent_at: self.now, what: What::Gone(asks_as), is_echo: true });
        }
    }

    fn caller(&self, call: usize) -> Caller {
        if self.calls[call].gone { Caller::Gone } else { Caller::Present }
    }

    fn happens(&mut self, call: usize, step: u32, event: Event) {
        let now = self.now;
        let live = &mut self.calls[call];
        let Some(machine) = &mut live.machine else { return };
        live.witness.event(&event, step == machine.step(), machine.is_settling());
        let ids = &self.ids;
        let isolate = &mut self.isolates[live.isolate];
        let mut context = Context { now, isolate, random_id: &|| fresh(ids), log: &mut |_| {} };
        if let Some(action) = machine.handle(step, event, &mut context) {
            self.acts(call, action);
        }
    }

    fn acts(&mut self, call: usize, action: Action) {
        let live = &mut self.calls[call];
        let (step, gone) = (live.machine.as_ref().map_or(0, CallMachine::step), live.gone);
        live.rests = matches!(action, Action::Rest(_));
        live.asks_as.clear();
        let told = self.told.entry(live.connection).or_default();
        live.witness.action(&action, live.machine.as_ref().and_then(CallMachine::permit), told, self.now);
        let (sent_at, is_echo) = (self.now, false);
        let letter = |what| Letter { call, step, sent_at, what, is_echo };
        match action {
            Action::Ask(_) if gone => {
                // The platform asks nothing for a caller that has gone.
                let asked = ObjectReply { reply: Reply::Done, elapsed_ms: 0, caller: Caller::Gone };
                self.after(0, Turn::Happens(call, step, Event::Replied(asked)));
            }
            Action::Ask(admit) => {
                live.asks_as.clone_from(&admit.call);
                live.method.clone_from(&admit.method);
                self.sends(letter(What::Admit(admit)));
            }
            Action::FetchToken { fetch, .. } => self.fetches(call, step, &fetch),
            Action::Settle { settlement, .. } => {
                self.sums.stale += u64::from(settlement.sent.is_none() && settlement.attempt == 1);
                self.sends(letter(What::Settle(*settlement)));
            }
            Action::SettleBatch { settlements, .. } => self.sends(letter(What::SettleBatch(settlements))),
            Action::ReadMethods => {
                let changed = format!("{} =PUT", live.method);
                let same = live.method.clone();
                let methods = if self.one_in(60) { changed } else { same };
                self.after(0, Turn::Happens(call, step, Event::MethodsRead(Ok(methods))));
            }
            Action::Send => self.is_sent(call, step),
            Action::HoldBack => {
                let held = if self.one_in(20) { HeldBack::No } else { HeldBack::Whole(9) };
                let ms = self.within(0, 50);
                self.after(ms, Turn::Happens(call, step, Event::HeldBack(held)));
                if held != HeldBack::No {
                    self.vendor_is_done(call, ms);
                }
            }
            Action::Rest(_) if gone => self.after(0, Turn::Happens(call, step, Event::Waited(Caller::Gone))),
            Action::Rest(ms) | Action::Wait(ms) => {
                let ms = i64::try_from(ms).unwrap();
                self.after(ms, Turn::Happens(call, step, Event::Waited(Caller::Present)));
            }
            Action::PassOn { .. } => {
                let event = if self.one_in(50) { Event::NotDeliverable } else { Event::CallerAnswered };
                if matches!(event, Event::NotDeliverable) {
                    self.vendor_is_done(call, 0);
                }
                self.after(0, Turn::Happens(call, step, event));
            }
            Action::Refuse { no, attempts } => {
                let unavailable = no.refusal.reason == Reason::Unavailable;
                self.sums.unavailable += u64::from(unavailable && attempts.is_none());
                self.after(0, Turn::Happens(call, step, Event::CallerAnswered));
            }
            Action::Leave => self.after(0, Turn::Happens(call, step, Event::CallerAnswered)),
            Action::AwaitBody => self.body_comes(call, step),
            Action::End => {}
        }
    }

    fn body_comes(&mut self, call: usize, step: u32) {
        let (mut ms, n) = (self.within(0, 2_000), self.rng.u32(..20));
        let end = match n {
            0 => BodyEnd::CutOff,
            1 => BodyEnd::TimedOut,
            _ if self.calls[call].gone && n < 10 => BodyEnd::CallerGone,
            _ => BodyEnd::Whole,
        };
        if end == BodyEnd::TimedOut {
            ms = 9_000;
        }
        let body = BodyCompletion { end, bytes: 9, more: false };
        self.after(ms, Turn::Happens(call, step, Event::BodyEnded(body)));
        self.vendor_is_done(call, ms);
    }

    fn vendor_is_done(&mut self, call: usize, ms: i64) {
        let live = &mut self.calls[call];
        if let Some(at_vendor) = live.at_vendor.take() {
            self.vendor.is_done(live.connection, at_vendor, self.now + ms);
        }
    }

    /// A call goes to the vendor.
    fn is_sent(&mut self, call: usize, step: u32) {
        let live = &self.calls[call];
        let permit = live.machine.as_ref().and_then(CallMachine::permit).unwrap();
        let granted = self.granted[&(live.connection, permit.id)];
        assert!(self.now - granted <= 2_000, "a permit of {} ms ago", self.now - granted);
        self.sums.sent += 1;
        self.sums.again += u64::from(permit.sent.nth > 1);
        let (connection, mark) = (live.connection, permit.token_mark().map_or(0, |mark| mark.0));
        if connection == "token" && self.one_in(12) {
            self.vendor.token_from = self.vendor.token_from.max(mark + 1);
        }
        let way = self.within(1, 200);
        let (attempt, took, came, executed) = match self.rng.u32(..24) {
            0 => (Err(SendFailure::TimedOut(10_000)), 10_000, true, self.rng.bool()),
            1 => (Err(SendFailure::Unreachable), way + 20, true, self.rng.bool()),
            2 => (Err(SendFailure::NotSendable), 0, false, false),
            3 => (Err(SendFailure::BodyBrokeOff), way + 5, true, false),
            _ if connection == "token" && mark < self.vendor.token_from => (Ok((401, None)), way + 30, true, false),
            4 | 5 => (Ok((429, None)), way + 30, true, false),
            6 => (Ok((429, Some("1"))), way + 30, true, false),
            7 => (Ok((503, Some("1"))), way + 30, true, self.rng.bool()),
            8 => (Ok((500, None)), way + 30, true, self.rng.bool()),
            9 => (Ok((504, None)), way + 900, true, self.rng.bool()),
            _ => (Ok((200, None)), way + self.within(5, 700), true, true),
        };
        let at = self.now + took;
        let attempt = match attempt {
            Ok((status, wait)) => {
                let headers: Vec<_> = wait.into_iter().map(|wait| ("Retry-After", wait)).collect();
                answered(&Profile::built_in("generic").unwrap(), status, &headers, at)
            }
            Err(failure) => Attempt::failed(failure, at),
        };
        let live = &mut self.calls[call];
        live.executed += u32::from(executed);
        live.at_vendor = None;
        if came {
            // Until it is known better, it works on it for as long as its headers took.
            live.at_vendor = Some(self.vendor.comes(connection, self.now + way, at.max(self.now + way)));
        }
        self.after(took, Turn::Happens(call, step, Event::Attempted(Box::new(attempt))));
    }

    /// Fetches a token and reports it, if nothing comes between.
    fn fetches(&mut self, call: usize, step: u32, fetch: &Fetch) {
        self.sums.fetched += 1;
        let took = self.within(20, 600);
        let result = match self.rng.u32(..10) {
            0 => Err(Failure::Silent),
            _ => Ok(Issued { token: format!("token-{}", fresh(&self.ids)), refresh_token: None, life_s: Some(3_600) }),
        };
        let report = TokenReport { connection: "token".to_owned(), whose: fetch.whose, began: fetch.began, result };
        let sent_at = self.now + took;
        // The report is repeated until it is acknowledged, and then the call goes on.
        if !self.one_in(10) {
            let letter = Letter { call, step, sent_at, what: What::TokenReport(report), is_echo: true };
            self.at(sent_at, Turn::AtObject(letter));
        }
        self.after(took + 20, Turn::Happens(call, step, Event::TokenFetched));
    }
}

/// The network.
impl World {
    fn way(&mut self) -> i64 {
        match self.rng.u32(..30) {
            0 => self.within(60, 4_000),
            _ => self.within(1, 60),
        }
    }

    fn is_lost(&mut self) -> bool {
        let lost = self.rng.u8(..100) < self.loses;
        self.sums.lost += u64::from(lost);
        lost
    }

    fn sends(&mut self, letter: Letter) {
        let way = self.way();
        if self.is_lost() {
            self.no_reply(&letter, way + 20);
            return;
        }
        if self.one_in(25) && !letter.is_echo {
            let (again, mut twin) = (way + self.within(0, 3_000), letter.clone());
            twin.is_echo = true;
            self.after(again, Turn::AtObject(twin));
        }
        self.after(way, Turn::AtObject(letter));
    }

    fn at_object(&mut self, letter: Letter) {
        let now = self.now;
        let (ask, id) = match letter.what.clone() {
            What::Admit(admit) => {
                let id = u128::from_str_radix(&admit.call, 16).unwrap();
                (Ask::Admit(*admit), Some(id))
            }
            What::Settle(settle) => (Ask::Settle(settle), None),
            What::SettleBatch(settles) => (Ask::SettleBatch(settles), None),
            What::TokenReport(report) => (Ask::TokenReport(report), None),
            What::Gone(id) => {
                let said = self.object.gone(u128::from_str_radix(&id, 16).unwrap(), now);
                self.replies(said);
                return;
            }
        };
        let said = self.object.ask(ask, id, letter, now);
        self.replies(said);
    }

    fn replies(&mut self, said: Vec<(Letter, Reply)>) {
        for (letter, reply) in said {
            if let Reply::Permit(go) = &reply {
                let key = (self.calls[letter.call].connection, go.permit);
                self.granted.entry(key).or_insert(self.now);
            }
            if letter.is_echo {
                continue;
            }
            let way = self.way();
            let at = self.now + way;
            if self.is_lost() {
                self.no_reply(&letter, way);
                if matches!(letter.what, What::Admit(_)) && self.one_in(2) {
                    let late = at + self.within(1, 3_000);
                    self.at(late, Turn::Late(letter.call, letter.step, letter.sent_at, reply));
                }
                continue;
            }
            let event = match letter.what {
                What::Admit(_) => {
                    let caller = self.caller(letter.call);
                    Event::Replied(ObjectReply { reply, elapsed_ms: ms_between(letter.sent_at, at), caller })
                }
                _ if matches!(reply, Reply::Done) => Event::Acknowledged,
                _ => Event::NotAcknowledged,
            };
            self.at(at, Turn::Happens(letter.call, letter.step, event));
        }
    }

    fn no_reply(&mut self, letter: &Letter, ms: i64) {
        let event = match letter.what {
            What::Admit(_) => Event::NotReplied,
            What::Settle(_) | What::SettleBatch(_) => Event::NotAcknowledged,
            What::TokenReport(_) | What::Gone(_) => return,
        };
        if !letter.is_echo {
            self.after(ms, Turn::Happens(letter.call, letter.step, event));
        }
    }
}

/// After all.
impl World {
    fn check(&mut self) {
        self.vendor.check();
        for live in self.calls.iter().filter(|live| live.machine.is_some()) {
            live.witness.check(live.connection, &self.told[live.connection]);
            self.sums.left += u64::from(live.witness.left);
        }
        for (at, live) in self.calls.iter().enumerate() {
            assert!(live.executed <= 1 || live.method.starts_with("GET"), "call {at} was executed twice");
            assert!(self.now - live.came_at < LONGEST_MS + 100_000, "call {at} has taken too long");
        }
        // Every lease is over by then.
        for _ in 0..400 {
            self.now += 1_000;
            let said = self.object.wake(self.now);
            assert!(said.is_empty(), "somebody has waited all the time");
        }
        let status = self.object.status(self.now);
        for (name, connection) in status["connections"].as_object().unwrap() {
            assert_eq!((&connection["in_flight"], &connection["queue"]["depth"]), (&0.into(), &0.into()), "{name}");
        }
    }
}

fn fresh(ids: &Cell<u64>) -> String {
    ids.set(ids.get() + 1);
    format!("{:032x}", ids.get())
}
