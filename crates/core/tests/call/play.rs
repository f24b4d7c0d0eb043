//! Runs one call by a script.

use sluice_core::call::{
    Action, Attempt, BodyCompletion, BodyEnd, CallMachine, CallSpec, Caller, Context, Event, HeldBack, Isolate, Log,
    ObjectReply, Pace, SendFailure,
};
use sluice_core::keys::{Claims, Role};
use sluice_core::policy::Credential;
use sluice_core::protocol::{Admit, BodyLength, Fetch, Granted, No, Reply, Route, RouteVersion, Settle};
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::upstream::grant::Exchange;
use sluice_core::upstream::outcome::{Answered, classify};
use sluice_core::upstream::{Dialect, Profile};
use sluice_limiter::PermitId;
use std::cell::Cell;

/// When every call comes, Unix ms.
pub const CAME: i64 = 1_000_000;

/// How long a permit may be on its way, milliseconds.
pub const SLACK_MS: u64 = 2_000;

/// The id of a permit.
pub fn id(seq: u64) -> PermitId {
    PermitId { epoch: 1, lane: 0, seq, slot: 0 }
}

/// A profile written in JSON.
pub fn profile(text: &str) -> Profile {
    Profile::inline(&serde_json::from_str(text).unwrap()).unwrap()
}

/// A vendor that says with 401 that its access token has expired.
pub fn plain() -> Profile {
    profile(r#"{"title": "plain", "answers": [{"status": 401, "means": "expired"}]}"#)
}

/// A route with a credential of its own, three attempts and a minute to wait.
pub fn route() -> Route {
    Route {
        version: RouteVersion(7),
        profile: plain(),
        base_url: "https://crm.example.com".to_owned(),
        credential: Some(Credential::Bearer { token: "crm-secret".to_owned() }),
        timeout_ms: 30_000,
        attempts: 3,
        max_wait_ms: 60_000,
        max_pause_ms: 3_600_000,
        unhurried: false,
        rate_limit_policy: String::new(),
    }
}

/// The same route for a connection whose access token is fetched.
pub fn route_with_token() -> Route {
    Route { credential: None, ..route() }
}

/// A permit that was granted when it was asked for.
pub fn go(seq: u64, route: Option<Route>) -> Granted {
    Granted {
        permit: id(seq),
        waited_ms: 0,
        since_ask_ms: 0,
        slack_ms: SLACK_MS,
        route_version: route.as_ref().map_or(RouteVersion(7), |route| route.version),
        route: route.map(Box::new),
        bearer: None,
        token_mark: None,
        rate_limit: String::new(),
        would: None,
    }
}

pub fn refused(reason: Reason) -> Reply {
    Reply::Refused(No { refusal: Refusal::new(reason, "no"), dialect: Dialect::Generic, rate_limit: None })
}

pub fn fetch() -> Reply {
    let exchange = Exchange {
        url: "https://t.example.com".to_owned(),
        basic: None,
        form: String::new(),
        sign: None,
        timeout_ms: 1,
    };
    Reply::Fetch(Box::new(Fetch { exchange, whose: 1, began: 1 }))
}

pub fn admit() -> Admit {
    Admit {
        call: "0".repeat(32),
        claims: Claims {
            tenant: "acme".to_owned(),
            id: "k".to_owned(),
            role: Role::App,
            app: Some("sync".to_owned()),
            expires: None,
        },
        connection: "crm".to_owned(),
        method: "GET".to_owned(),
        path: "/things/17".to_owned(),
        uri_bytes: 10,
        body: BodyLength::Bytes(0),
        from_browser: false,
        origin: None,
        own_origin: false,
        key_in_header: true,
        wait_ms: None,
        urgency: 3,
        repeated: false,
        known_route: None,
        known_token: None,
        rejected_token: None,
    }
}

pub fn call() -> CallSpec {
    CallSpec {
        id: "0".repeat(32),
        number: 1,
        came_at: CAME,
        wait_ms: None,
        path: "/things/17".to_owned(),
        logged_path: "/things/17".to_owned(),
        idempotency_key: false,
        body_is_kept: true,
        pace: Pace::USUAL,
    }
}

/// A call under way.
pub struct Play {
    pub now: i64,
    pub isolate: Isolate,
    pub machine: CallMachine,
    pub action: Action,
    pub log: Vec<Log>,
    ids: Cell<u32>,
}

impl Play {
    /// A call that has just come to an isolate that knows nothing.
    pub fn new() -> Self {
        Self::of(call(), admit())
    }

    /// A call of that method.
    pub fn with_method(method: &str) -> Self {
        Self::of(call(), Admit { method: method.to_owned(), ..admit() })
    }

    /// A call whose caller says how long it waits, milliseconds.
    pub fn waiting(wait_ms: u64) -> Self {
        let wait_ms = Some(wait_ms);
        Self::of(CallSpec { wait_ms, ..call() }, Admit { wait_ms, ..admit() })
    }

    pub fn of(call: CallSpec, admit: Admit) -> Self {
        let mut isolate = Isolate::new();
        let call = CallSpec { number: isolate.begin_call(), ..call };
        Self::within(isolate, call, admit)
    }

    pub fn within(mut isolate: Isolate, call: CallSpec, admit: Admit) -> Self {
        let (ids, mut log) = (Cell::new(0), Vec::new());
        let mut context =
            Context { now: CAME, isolate: &mut isolate, random_id: &|| fresh(&ids), log: &mut |line| log.push(line) };
        let (machine, action) = CallMachine::begin(call, admit, &mut context);
        Self { now: CAME, isolate, machine, action, log, ids }
    }

    /// An event; whether the machine has waited for it.
    pub fn try_event(&mut self, event: Event) -> bool {
        self.try_event_of(self.machine.step(), event)
    }

    /// What came of an action, which may be an earlier one; whether the machine has waited for it.
    pub fn try_event_of(&mut self, step: u32, event: Event) -> bool {
        let (ids, log) = (&self.ids, &mut self.log);
        let mut context = Context {
            now: self.now,
            isolate: &mut self.isolate,
            random_id: &|| fresh(ids),
            log: &mut |line| log.push(line),
        };
        match self.machine.handle(step, event, &mut context) {
            Some(action) => {
                self.action = action;
                true
            }
            None => false,
        }
    }

    pub fn event(&mut self, event: Event) {
        let shown = format!("{event:?}");
        assert!(self.try_event(event), "{shown} does not follow on {:?}", self.action);
    }

    /// The ask that the machine wants to be put.
    pub fn asks(&self) -> &Admit {
        match &self.action {
            Action::Ask(admit) => admit,
            other => panic!("it does not ask: {other:?}"),
        }
    }

    /// The object replies after so many milliseconds.
    pub fn replies(&mut self, after_ms: u64, reply: Reply) {
        self.replies_to(Caller::Present, after_ms, reply);
    }

    pub fn replies_to(&mut self, caller: Caller, after_ms: u64, reply: Reply) {
        self.asks();
        self.now += i64::try_from(after_ms).unwrap();
        self.event(Event::Replied(ObjectReply { reply, elapsed_ms: after_ms, caller }));
    }

    /// It is granted a permit, reads its methods, and is sent.
    pub fn is_sent(&mut self, seq: u64) {
        let known = self.asks().known_route.is_some();
        self.is_sent_with(go(seq, if known { None } else { Some(route()) }));
    }

    pub fn is_sent_with(&mut self, go: Granted) {
        let permit = go.permit;
        let method = self.asks().method.clone();
        self.replies(5, Reply::Permit(go));
        if matches!(self.action, Action::ReadMethods) {
            self.event(Event::MethodsRead(Ok(method)));
        }
        assert!(matches!(self.action, Action::Send), "{:?}", self.action);
        assert_eq!(self.machine.permit().unwrap().id, permit);
    }

    /// The vendor answers with that status after 100 ms.
    pub fn answers(&mut self, status: u16, headers: &[(&str, &str)]) {
        self.now += 100;
        let attempt = answered(&plain(), status, headers, self.now);
        self.event(Event::Attempted(Box::new(attempt)));
    }

    /// The vendor does not answer, which is known after 100 ms.
    pub fn fails(&mut self, failure: SendFailure) {
        self.now += 100;
        self.event(Event::Attempted(Box::new(Attempt::failed(failure, self.now))));
    }

    /// The answer is read to its end while it is held back.
    pub fn is_held_back(&mut self) {
        assert!(matches!(self.action, Action::HoldBack), "{:?}", self.action);
        self.event(Event::HeldBack(HeldBack::Whole(12)));
    }

    /// Returns the settlement that the machine wants to be reported at once.
    pub fn settles(&self) -> &Settle {
        match &self.action {
            Action::Settle { settlement, .. } => settlement,
            other => panic!("it settles nothing: {other:?}"),
        }
    }

    /// Returns the settlements that the machine wants to be reported together.
    pub fn settles_all(&self) -> &[Settle] {
        match &self.action {
            Action::SettleBatch { settlements, .. } => settlements,
            other => panic!("it settles nothing: {other:?}"),
        }
    }

    pub fn is_heard(&mut self) {
        self.event(Event::Acknowledged);
    }

    /// The wait, milliseconds.
    pub fn rests(&self) -> u64 {
        match self.action {
            Action::Rest(ms) => ms,
            ref other => panic!("it does not rest: {other:?}"),
        }
    }

    /// It rests as long as it wants to, and its caller stays.
    pub fn has_rested(&mut self) {
        self.now += i64::try_from(self.rests()).unwrap();
        self.event(Event::Waited(Caller::Present));
    }

    /// The reason and the attempts of the refusal that the caller gets.
    pub fn refuses(&self) -> (&'static str, Option<u32>) {
        match &self.action {
            Action::Refuse { no, attempts } => (no.refusal.reason.as_str(), *attempts),
            other => panic!("it does not refuse: {other:?}"),
        }
    }

    /// The answer goes to the caller whole, and all is settled. The outcomes, each with its attempt.
    pub fn ends(&mut self) -> Vec<(u64, &'static str, u32)> {
        if matches!(self.action, Action::PassOn { .. } | Action::Refuse { .. } | Action::Leave) {
            self.event(Event::CallerAnswered);
        }
        if matches!(self.action, Action::Wait(0)) {
            self.event(Event::Waited(Caller::Present));
        }
        if matches!(self.action, Action::AwaitBody) {
            self.event(Event::BodyEnded(BodyCompletion { end: BodyEnd::Whole, bytes: 12, more: false }));
        }
        assert!(self.machine.is_settling());
        let mut told = Vec::new();
        if let Action::SettleBatch { settlements, .. } = &self.action {
            told.extend(settlements.iter().map(|one| (one.permit.seq, one.outcome.as_str(), one.attempt)));
            self.is_heard();
        }
        assert!(matches!(self.action, Action::End), "{:?}", self.action);
        told
    }
}

/// An answer of a vendor of that profile, come at `at`.
pub fn answered(profile: &Profile, status: u16, headers: &[(&str, &str)], at: i64) -> Attempt {
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let verdict = classify(profile, &Answered { status, headers: &headers, said: None, now: at });
    Attempt::answered(status, at, verdict, Vec::new())
}

fn fresh(ids: &Cell<u32>) -> String {
    ids.set(ids.get() + 1);
    format!("{:032x}", ids.get())
}
