//! A tenant state over storage that can be killed, superseded and inspected.

use serde_json::{Value, json};
use sluice_core::jobs::{Bytes, Request};
use sluice_core::keys::{Claims, Master, open};
use sluice_core::protocol::{
    Admin, Admit, Ask, BodyLength, Figures, Granted, JobsAsk, JobsWhat, NewKey, No, Reply, ReportSpan, Sent, Settle,
    SubmitJob,
};
use sluice_core::tenant::state::{Answer, TenantState, Ticket};
use sluice_core::tenant::store::{Host, Settings, Store, StoreError, Table};
use sluice_core::tenant::task::Task;
use sluice_core::usage::Kind;
use sluice_limiter::calendar::Zones;
use sluice_limiter::{Outcome, PermitId};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

/// 2026-06-15 12:00 UTC.
pub const NOON: i64 = 1_781_524_800_000;

#[derive(Default)]
pub struct Memory {
    pub rows: BTreeMap<(u8, String), Vec<u8>>,
    pub superseded: bool,
    /// How many more rows may be written or removed, tables cleared, until storage refuses; none for all.
    pub operations_left: Option<u32>,
    pub writes: u32,
    /// Rows read one by one.
    pub loads: Cell<u32>,
    /// Rows of limiters among them.
    pub throttle_rows: u32,
}

impl Memory {
    fn operate(&mut self) -> Result<(), StoreError> {
        match &mut self.operations_left {
            Some(0) => Err(StoreError("storage refuses".to_owned())),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Store for Memory {
    fn load(&self, table: Table, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.loads.set(self.loads.get() + 1);
        Ok(self.rows.get(&(table as u8, id.to_owned())).cloned())
    }

    fn all(&self, table: Table) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let rows = self.rows.iter().filter(|((held, _), _)| *held == table as u8);
        Ok(rows.map(|((_, id), row)| (id.clone(), row.clone())).collect())
    }

    fn some(&self, table: Table, after: &str, most: u32) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let rows = self.rows.range((Excluded((table as u8, after.to_owned())), Unbounded));
        let rows = rows.take_while(|((held, _), _)| *held == table as u8).take(most as usize);
        Ok(rows.map(|((_, id), row)| (id.clone(), row.clone())).collect())
    }

    fn save(&mut self, table: Table, id: &str, value: &[u8]) -> Result<(), StoreError> {
        self.writes += 1;
        self.throttle_rows += u32::from(matches!(table, Table::Limiter));
        if self.superseded {
            return Err(StoreError("superseded".to_owned()));
        }
        self.operate()?;
        self.rows.insert((table as u8, id.to_owned()), value.to_vec());
        Ok(())
    }

    fn remove(&mut self, table: Table, id: &str) -> Result<(), StoreError> {
        self.operate()?;
        self.rows.remove(&(table as u8, id.to_owned()));
        Ok(())
    }

    fn clear(&mut self, table: Table) -> Result<(), StoreError> {
        self.operate()?;
        self.rows.retain(|(held, _), _| *held != table as u8);
        Ok(())
    }
}

struct Summer;

impl Zones for Summer {
    fn offset_seconds(&self, zone: &str, _: i64) -> Option<i32> {
        (zone == "America/Chicago").then_some(-18_000)
    }
}

pub struct Harness {
    pub now: i64,
    pub memory: Memory,
    pub tenant: TenantState,
    settings: Settings,
    random: Cell<u64>,
    calls: u32,
}

macro_rules! host {
    ($harness:ident) => {
        Host {
            now: $harness.now,
            store: &mut $harness.memory,
            zones: &Summer,
            random: &|bytes| {
                for byte in bytes {
                    let next = $harness.random.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    $harness.random.set(next);
                    *byte = next.to_be_bytes()[0];
                }
            },
            settings: &$harness.settings,
        }
    };
}

impl Harness {
    pub fn empty() -> Self {
        let settings = Settings {
            allow_loopback: true,
            master: Master::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap(),
        };
        let mut memory = Memory::default();
        let mut host = Host { now: NOON, store: &mut memory, zones: &Summer, random: &|_| {}, settings: &settings };
        let tenant = TenantState::open("acme", &mut host).unwrap();
        Self { now: NOON, memory, tenant, settings, random: Cell::new(1), calls: 0 }
    }

    /// A tenant with a connection `crm` of one call in ten seconds, another `free`, and two apps.
    pub fn new() -> Self {
        let mut harness = Self::empty();
        assert_eq!(harness.put(&policy()).0, 201);
        harness
    }

    pub fn ask(&mut self, ask: Ask) -> Answer {
        self.tenant.handle(ask, &mut host!(self)).unwrap()
    }

    pub fn now(&mut self, ask: Ask) -> Reply {
        match self.ask(ask) {
            Answer::Now(reply) => reply,
            Answer::Wait(_) => panic!("it waits"),
        }
    }

    /// Puts an ask that is answered with `Done`: at once, or when it is stored.
    pub fn told(&mut self, ask: Ask) {
        let answer = self.ask(ask);
        assert!(matches!(answer, Answer::Now(Reply::Done) | Answer::Wait(_)), "{answer:?}");
    }

    pub fn try_ask(&mut self, ask: Ask) -> Result<Answer, StoreError> {
        self.tenant.handle(ask, &mut host!(self))
    }

    pub fn cancel(&mut self, ticket: Ticket) {
        self.tenant.cancel(ticket, &mut host!(self)).unwrap();
    }

    pub fn go_to(&mut self, at: i64) {
        while let Some(wake) = self.tenant.next_wakeup().filter(|wake| *wake <= at) {
            self.now = wake;
            self.tenant.wake(&mut host!(self)).unwrap();
        }
        self.now = at;
        self.tenant.wake(&mut host!(self)).unwrap();
    }

    /// The object leaves memory and is opened again from what is stored.
    /// Opened by its alarm, which does not know its name.
    pub fn reopen_unnamed(&mut self) {
        self.tenant = TenantState::open("", &mut host!(self)).unwrap();
    }

    pub fn reopen(&mut self) {
        self.tenant = TenantState::open("acme", &mut host!(self)).unwrap();
    }

    /// Other master keys, from the next life on.
    pub fn master(&mut self, master: Master) {
        self.settings.master = master;
    }

    /// The reason with which an ask is refused.
    pub fn reason_of(&mut self, ask: Ask) -> &'static str {
        match self.now(ask) {
            Reply::Refused(no) => no.refusal.reason.as_str(),
            other => panic!("{other:?}"),
        }
    }

    pub fn next_task(&mut self) -> Option<Task> {
        self.tenant.next_task(&mut host!(self)).unwrap()
    }

    pub fn task_refused(&mut self, task: Task) {
        self.tenant.task_refused(task, &mut host!(self)).unwrap();
    }

    pub fn try_wake(&mut self) -> Result<(), StoreError> {
        self.tenant.wake(&mut host!(self))
    }

    pub fn wake(&mut self) {
        self.tenant.wake(&mut host!(self)).unwrap();
    }

    /// Asks about jobs: a status and a document, or the reason of a refusal.
    pub fn jobs(&mut self, claims: &Claims, what: JobsWhat) -> (u16, Value) {
        self.jobs_from(claims, None, what)
    }

    /// The same from a page of that origin.
    pub fn jobs_from(&mut self, claims: &Claims, origin: Option<&str>, what: JobsWhat) -> (u16, Value) {
        let origin = origin.map(str::to_owned);
        let ask = JobsAsk { claims: claims.clone(), from_browser: origin.is_some(), origin, own_origin: false, what };
        match self.now(Ask::Jobs(Box::new(ask))) {
            Reply::Document { status, body, .. } => (status, serde_json::from_str(&body).unwrap_or(Value::Null)),
            Reply::Refused(no) => (no.refusal.reason.status(), json!(no.refusal.reason.as_str())),
            Reply::Answer(answer) => (200, json!(String::from_utf8_lossy(&answer.body.0))),
            other => panic!("{other:?}"),
        }
    }

    pub fn job(&mut self, claims: &Claims, id: &str) -> Value {
        self.jobs(claims, JobsWhat::Show(id.to_owned())).1
    }

    pub fn keep(&mut self, claims: &Claims, connection: &str, method: &str) -> SubmitJob {
        let admit = Admit { method: method.to_owned(), urgency: 5, ..self.admit(claims, connection) };
        let request = Request {
            method: method.to_owned(),
            url: "https://sluice.example/v/c/things?q=1".to_owned(),
            headers: Vec::new(),
            body: Bytes::default(),
            callback: None,
        };
        SubmitJob { admit, request, made: self.now, key: None, wait_ms: None }
    }

    pub fn kept(&mut self, keep: SubmitJob) -> String {
        match self.now(Ask::SubmitJob(Box::new(keep))) {
            Reply::Queued(id) => id,
            other => panic!("{other:?}"),
        }
    }

    pub fn put(&mut self, policy: &Value) -> (u16, Value) {
        match self.now(Ask::Admin(Admin::PutPolicy(policy.to_string()))) {
            Reply::Document { status, body, .. } => (status, serde_json::from_str(&body).unwrap()),
            Reply::Invalid(faults) => (400, json!(faults)),
            other => panic!("{other:?}"),
        }
    }

    pub fn admin(&mut self, admin: Admin) -> (u16, Value) {
        match self.now(Ask::Admin(admin)) {
            Reply::Document { status, body, .. } => (status, serde_json::from_str(&body).unwrap_or(Value::Null)),
            Reply::Refused(no) => (404, json!(no.refusal.reason.as_str())),
            Reply::Invalid(faults) => (400, json!(faults)),
            other => panic!("{other:?}"),
        }
    }

    pub fn key(&mut self, body: Value) -> Claims {
        let (status, made) = self.admin(Admin::CreateKey(NewKey::read(&body.to_string()).unwrap()));
        assert_eq!(status, 201, "{made}");
        let now = u64::try_from(self.now / 1_000).unwrap();
        open(&self.settings.master, made["key"].as_str().unwrap(), now).ok().unwrap()
    }

    pub fn app(&mut self, app: &str) -> Claims {
        self.key(json!({"role": "app", "app": app}))
    }

    pub fn admit(&mut self, claims: &Claims, connection: &str) -> Admit {
        self.calls += 1;
        Admit {
            call: format!("{:032x}", self.calls),
            claims: claims.clone(),
            connection: connection.to_owned(),
            method: "GET".to_owned(),
            path: "/things".to_owned(),
            uri_bytes: 7,
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

    pub fn go(&mut self, claims: &Claims, connection: &str) -> Granted {
        let admit = self.admit(claims, connection);
        match self.now(Ask::Admit(admit)) {
            Reply::Permit(go) => go,
            other => panic!("{other:?}"),
        }
    }

    pub fn no(&mut self, admit: Admit) -> No {
        match self.now(Ask::Admit(admit)) {
            Reply::Refused(no) => no,
            other => panic!("{other:?}"),
        }
    }

    pub fn reason(&mut self, admit: Admit) -> &'static str {
        self.no(admit).refusal.reason.as_str()
    }

    /// Reports the end of a call that was sent at `at`.
    pub fn ended(&mut self, permit: PermitId, app: &str, at: i64, how: (Outcome, Option<&str>), attempt: u32) {
        let sent = Sent {
            app: app.to_owned(),
            method: "GET".to_owned(),
            path: "/things".to_owned(),
            nth: 1,
            ago_ms: u64::try_from(self.now - at).unwrap(),
        };
        self.now(Ask::Settle(Settle {
            connection: "crm".to_owned(),
            permit,
            attempt,
            outcome: how.0,
            since_headers_ms: Some(0),
            response_bytes: 0,
            status: Some(200),
            error_code: how.1.map(str::to_owned),
            counts: Vec::new(),
            sent: (how.0 != Outcome::Unused).then_some(sent),
        }));
    }

    pub fn answered(&mut self, connection: &str, permit: PermitId) {
        self.now(Ask::Settle(Settle {
            connection: connection.to_owned(),
            permit,
            attempt: 1,
            outcome: Outcome::Answered,
            since_headers_ms: Some(0),
            response_bytes: 0,
            status: Some(200),
            error_code: None,
            sent: None,
            counts: Vec::new(),
        }));
    }

    /// A document of the statistics, with a key that may see it.
    pub fn figures(&mut self, claims: &Claims, errors: bool, week: bool, connection: Option<&str>) -> Value {
        let kind = if errors { Kind::Errors } else { Kind::Usage };
        let span = if week { ReportSpan::Week } else { ReportSpan::Today };
        let figures = Figures::Days { kind, span, connection: connection.map(str::to_owned) };
        match self.now(Ask::Figures(claims.clone(), figures)) {
            Reply::Document { status: 200, body, .. } => serde_json::from_str(&body).unwrap(),
            Reply::Refused(no) => json!(no.refusal.reason.as_str()),
            other => panic!("{other:?}"),
        }
    }

    /// `/metrics`: samples by name and labels, as written.
    pub fn metrics(&mut self, claims: &Claims) -> BTreeMap<String, String> {
        let Reply::Document { body, .. } = self.now(Ask::Figures(claims.clone(), Figures::Metrics)) else { panic!() };
        let samples = body.lines().filter(|line| !line.starts_with('#'));
        samples.map(|line| line.rsplit_once(' ').unwrap()).map(|(name, n)| (name.to_owned(), n.to_owned())).collect()
    }

    pub fn status(&mut self) -> Value {
        serde_json::from_str(&self.tenant.status(&host!(self))).unwrap()
    }
}

pub fn policy() -> Value {
    json!({
        "connections": {
            "crm": {
                "vendor": "generic", "base_url": "https://crm.example.com",
                "limits": [{"name": "rate", "kind": "rolling_window", "calls": 1, "seconds": 10}],
                "queue": {"size": 5, "max_wait_seconds": 60},
                "credential": {"type": "bearer", "token": "crm-secret"},
            },
            "free": { "vendor": "generic", "base_url": "https://free.example.com", "limits": [] },
        },
        "apps": {
            "sync": {},
            "form": {"origins": ["https://www.example.com"], "routes": ["POST /leads"], "connections": ["crm"]},
        },
    })
}
