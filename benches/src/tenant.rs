//! A tenant's state over rows in memory, on a virtual clock: what a Durable Object does, without
//! the platform.

use serde_json::{Value, json};
use sluice_core::jobs::{Bytes, Request};
use sluice_core::keys::{Claims, Master, open};
use sluice_core::protocol::{
    Admin, Admit, Ask, BodyLength, Granted, NewKey, Reply, RunReport, Sent, Settle, SubmitJob,
};
use sluice_core::tenant::state::{Answer, TenantState, Ticket};
use sluice_core::tenant::store::{Host, Settings, Store, StoreError, Table};
use sluice_core::tenant::task::{Run, Task};
use sluice_core::upstream::profile::Executed;
use sluice_limiter::{Outcome, PermitId};
use std::collections::{HashMap, HashSet, VecDeque};

/// The calls that the vendor takes at once.
pub const SLOTS: usize = 10;
/// 2026-06-15 12:00 UTC.
const NOON: i64 = 1_781_524_800_000;
/// The time from one event to the next, milliseconds.
const STEP_MS: i64 = 5;

#[derive(Default)]
struct Rows(HashMap<(u8, String), Vec<u8>>);

impl Store for Rows {
    fn load(&self, table: Table, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(&(table as u8, id.to_owned())).cloned())
    }

    fn all(&self, table: Table) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let of_table = self.0.iter().filter(|((held, _), _)| *held == table as u8);
        let mut rows: Vec<_> = of_table.map(|((_, id), row)| (id.clone(), row.clone())).collect();
        rows.sort_unstable();
        Ok(rows)
    }

    fn some(&self, table: Table, after: &str, most: u32) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let rows = self.all(table)?.into_iter().filter(|(id, _)| id.as_str() > after);
        Ok(rows.take(most as usize).collect())
    }

    fn save(&mut self, table: Table, id: &str, value: &[u8]) -> Result<(), StoreError> {
        self.0.insert((table as u8, id.to_owned()), value.to_vec());
        Ok(())
    }

    fn remove(&mut self, table: Table, id: &str) -> Result<(), StoreError> {
        self.0.remove(&(table as u8, id.to_owned()));
        Ok(())
    }

    fn clear(&mut self, table: Table) -> Result<(), StoreError> {
        self.0.retain(|(held, _), _| *held != table as u8);
        Ok(())
    }
}

/// One tenant, whose vendor takes [`SLOTS`] calls at once.
pub struct Tenant {
    now: i64,
    rows: Rows,
    state: Option<TenantState>,
    settings: Settings,
    /// The claims of one key of each app.
    claims: Vec<Claims>,
    asked: u128,
    drawn: u64,
    /// The permits of the calls in flight, in order.
    in_flight: VecDeque<PermitId>,
    running: VecDeque<Run>,
    /// The tickets of the calls that wait, in order.
    waiting: VecDeque<Ticket>,
    /// The tickets among these that have their answers.
    answered: HashSet<Ticket>,
    /// The limits of its connection.
    limits: Value,
}

impl Tenant {
    /// Makes a tenant with one app, of which no call waits.
    pub fn new() -> Self {
        Self::of_apps(1)
    }

    /// Makes a tenant with `apps` apps, which call in turn. No call waits.
    pub fn of_apps(apps: usize) -> Self {
        Self::under(json!([slots()]), apps)
    }

    /// Makes a tenant with `apps` apps whose connection has these limits.
    #[expect(clippy::expect_used, reason = "the texts in this function are valid")]
    fn under(limits: Value, apps: usize) -> Self {
        let master = Master::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").expect("32 bytes");
        let mut tenant = Self {
            now: NOON,
            rows: Rows::default(),
            state: None,
            settings: Settings { allow_loopback: false, master },
            claims: Vec::new(),
            asked: 0,
            drawn: 0,
            in_flight: VecDeque::new(),
            running: VecDeque::new(),
            waiting: VecDeque::new(),
            answered: HashSet::new(),
            limits: limits.clone(),
        };
        tenant.state = tenant.host(|host| TenantState::open("acme", host)).ok();
        let names = names(apps);
        tenant.ask(Ask::Admin(Admin::PutPolicy(policy(&names, &limits, 600))));
        let seconds = u64::try_from(tenant.now / 1_000).unwrap_or(0);
        for name in names {
            let key = NewKey::read(&json!({"role": "app", "app": name}).to_string()).expect("a key's description");
            let Answer::Now(Reply::Document { body, .. }) = tenant.ask(Ask::Admin(Admin::CreateKey(key))) else {
                unreachable("no key is made")
            };
            let made: Value = serde_json::from_str(&body).unwrap_or_default();
            tenant.claims.extend(open(&tenant.settings.master, made["key"].as_str().unwrap_or_default(), seconds).ok());
        }
        tenant
    }

    /// Makes a tenant whose slots are all taken, and of which `waiting` calls wait.
    pub fn with_calls(waiting: usize) -> Self {
        let mut tenant = Self::new();
        (0..SLOTS + waiting).for_each(|_| tenant.arrive());
        tenant
    }

    /// Makes a tenant as [`Self::with_calls`] does, with calls of `apps` apps that a window and a
    /// day count too.
    pub fn with_calls_of_apps(waiting: usize, apps: usize) -> Self {
        let window = json!({"name": "rate", "kind": "rolling_window", "calls": 1_000_000, "seconds": 20});
        let day = json!({"name": "day", "kind": "daily", "calls": 1_000_000, "reset": "00:00", "time_zone": "+00:00"});
        let mut tenant = Self::under(json!([slots(), window, day]), apps);
        (0..SLOTS + waiting).for_each(|_| tenant.arrive());
        tenant
    }

    /// Makes a tenant whose slots are all taken by jobs, and of which `queued` more jobs are
    /// queued.
    pub fn with_jobs(queued: usize) -> Self {
        let mut tenant = Self::new();
        (0..SLOTS + queued).for_each(|_| tenant.submit_job());
        tenant
    }

    /// Makes a tenant as [`Self::with_jobs`] does, with jobs of as many apps as there are jobs, but
    /// of at most a thousand.
    pub fn with_jobs_of_apps(queued: usize) -> Self {
        let mut tenant = Self::of_apps(queued.clamp(1, 1_000));
        (0..SLOTS + queued).for_each(|_| tenant.submit_job());
        tenant
    }

    /// Puts a policy under which calls may wait a second longer.
    pub fn put_policy(&mut self) {
        let policy = policy(&names(self.claims.len()), &self.limits, 601);
        self.ask(Ask::Admin(Admin::PutPolicy(policy)));
        self.after();
    }

    /// Has a call come that may not wait, which is refused.
    pub fn refuse(&mut self) {
        self.asked += 1;
        let admit = Admit { wait_ms: Some(0), ..self.admit(self.asked) };
        if !matches!(self.ask(Ask::Admit(admit)), Answer::Now(Reply::Refused(_))) {
            unreachable("a call went that has no slot");
        }
        self.after();
    }

    /// Returns how many calls wait.
    pub fn depth(&self) -> usize {
        self.waiting.len() - self.answered.len()
    }

    /// Returns how many jobs run.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Has a call come, and ends one, so that the first that waits goes.
    pub fn turn(&mut self) {
        self.arrive();
        self.end();
    }

    /// Has a call come.
    pub fn arrive(&mut self) {
        self.asked += 1;
        self.ask_for(self.asked, false);
    }

    /// Has a call come that has asked before, as all do when their object has been started anew,
    /// and ends one.
    pub fn ask_again(&mut self) {
        self.asked += 1;
        self.ask_for(self.asked, true);
        self.end();
    }

    fn ask_for(&mut self, call: u128, again: bool) {
        let admit = Admit { repeated: again, ..self.admit(call) };
        match self.ask(Ask::Admit(admit)) {
            Answer::Wait(ticket) => self.waiting.push_back(ticket),
            Answer::Now(Reply::Permit(go)) => self.in_flight.push_back(go.permit),
            Answer::Now(_) => {}
        }
        self.after();
    }

    /// Ends a call.
    pub fn end(&mut self) {
        let Some(permit) = self.in_flight.pop_front() else { return };
        self.ask(Ask::Settle(settled(permit)));
        self.after();
    }

    /// Has the caller of a call in the middle of the queue go away and another come, then takes a
    /// turn.
    pub fn leave(&mut self) {
        while let Some(ticket) = self.waiting.swap_remove_back(self.waiting.len() / 2) {
            if !self.answered.remove(&ticket) {
                self.host_and_state(|state, host| state.cancel(ticket, host).ok());
                break;
            }
        }
        self.after();
        self.arrive();
        self.turn();
    }

    /// Has a job come.
    pub fn submit_job(&mut self) {
        self.asked += 1;
        let request = Request {
            method: "GET".to_owned(),
            url: "https://sluice.example/v/crm/things".to_owned(),
            headers: Vec::new(),
            body: Bytes::default(),
            callback: None,
        };
        let admit = Admit { urgency: 5, ..self.admit(self.asked) };
        let key = Some(format!("key {}", self.asked));
        self.ask(Ask::SubmitJob(Box::new(SubmitJob { admit, request, made: self.now, key, wait_ms: None })));
        self.after();
    }

    /// Has a job come, and ends one, so that the next runs.
    pub fn job(&mut self) {
        self.submit_job();
        let Some(run) = self.running.pop_front() else { return };
        let ran = RunReport {
            settle: settled(run.permit),
            job: run.job,
            run: run.run,
            executed: Executed::Yes,
            transient: false,
            retry_after_ms: None,
            rejected_token: None,
            answer: None,
        };
        self.ask(Ask::RunReport(Box::new(ran)));
        self.after();
    }

    fn claim(&self, call: u128) -> Claims {
        let app = usize::try_from(call).unwrap_or(0) % self.claims.len().max(1);
        self.claims.get(app).cloned().unwrap_or_else(|| unreachable("no key"))
    }

    fn admit(&self, call: u128) -> Admit {
        Admit {
            call: format!("{:032x}", call.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)),
            claims: self.claim(call),
            connection: "crm".to_owned(),
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

    /// Does what the object does after each event.
    fn after(&mut self) {
        loop {
            let (ready, run) = self.host_and_state(|state, host| {
                let ready = state.next_ready();
                (ready, state.next_task(host).ok().flatten())
            });
            if let Some(Task::Run(run)) = run {
                self.running.push_back(*run);
            } else if ready.is_none() {
                break;
            }
            if let Some((ticket, reply)) = ready {
                self.answered.insert(ticket);
                while self.waiting.front().is_some_and(|first| self.answered.remove(first)) {
                    self.waiting.pop_front();
                }
                if let Reply::Permit(Granted { permit, .. }) = reply {
                    self.in_flight.push_back(permit);
                }
            }
        }
        self.host_and_state(|state, _| {
            std::hint::black_box(state.next_wakeup());
            std::hint::black_box(state.next_alarm());
        });
    }

    fn ask(&mut self, ask: Ask) -> Answer {
        self.now += STEP_MS;
        self.host_and_state(|state, host| state.handle(ask, host)).unwrap_or_else(|fault| unreachable(&fault.0))
    }

    fn host<T>(&mut self, act: impl FnOnce(&mut Host<'_>) -> T) -> T {
        // Each draw differs, since keys have ids.
        self.drawn += 1;
        let drawn = self.drawn.to_be_bytes();
        let random: &dyn Fn(&mut [u8]) =
            &|bytes| bytes.iter_mut().zip(drawn.iter().cycle()).for_each(|(to, of)| *to = *of);
        act(&mut Host {
            now: self.now,
            store: &mut self.rows,
            zones: &sluice_testkit::utc_zones,
            random,
            settings: &self.settings,
        })
    }

    fn host_and_state<T>(&mut self, act: impl FnOnce(&mut TenantState, &mut Host<'_>) -> T) -> T {
        let Some(mut state) = self.state.take() else { unreachable("the tenant did not open") };
        let done = self.host(|host| act(&mut state, host));
        self.state = Some(state);
        done
    }
}

impl Default for Tenant {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the names of `apps` apps.
fn names(apps: usize) -> Vec<String> {
    (0..apps).map(|app| format!("crm-sync-{app}")).collect()
}

fn slots() -> Value {
    json!({"name": "concurrent", "kind": "concurrency", "calls": SLOTS})
}

/// Returns a policy under which calls may wait `seconds` seconds.
fn policy(apps: &[String], limits: &Value, seconds: u32) -> String {
    let policy = json!({
        "connections": {"crm": {
            "vendor": "generic", "base_url": "https://crm.example.com",
            "limits": limits,
            "queue": {"size": 10_000, "max_wait_seconds": seconds},
            "credential": {"type": "bearer", "token": "secret"},
        }},
        "apps": apps.iter().map(|name| (name.clone(), json!({}))).collect::<serde_json::Map<_, _>>(),
    });
    policy.to_string()
}

fn settled(permit: PermitId) -> Settle {
    let (app, method, path) = ("crm-sync".to_owned(), "GET".to_owned(), "/things".to_owned());
    Settle {
        connection: "crm".to_owned(),
        permit,
        attempt: 1,
        outcome: Outcome::Answered,
        since_headers_ms: Some(0),
        response_bytes: 0,
        status: Some(200),
        counts: Vec::new(),
        error_code: None,
        sent: Some(Sent { app, method, path, nth: 1, ago_ms: 50 }),
    }
}

/// Ends the benchmark: events that do not go as planned would measure something else.
#[cold]
fn unreachable(why: &str) -> ! {
    panic!("the benchmark is out of step: {why}")
}
