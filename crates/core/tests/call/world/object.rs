//! The tenant's object: the real state, in storage that outlives it, and the calls that wait for
//! its replies.

use serde_json::{Value, json};
use sluice_core::keys::{Claims, Master, open};
use sluice_core::protocol::{Admin, Ask, NewKey, Reply};
use sluice_core::tenant::state::{Answer, TenantState};
use sluice_core::tenant::store::{Host, Settings, Store, StoreError, Table};
use sluice_core::tenant::waiters::Waiters;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

#[derive(Default)]
struct Memory(BTreeMap<(u8, String), Vec<u8>>);

impl Store for Memory {
    fn load(&self, table: Table, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(&(table as u8, id.to_owned())).cloned())
    }

    fn all(&self, table: Table) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.some(table, "", u32::MAX)
    }

    fn some(&self, table: Table, after: &str, most: u32) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let from = (table as u8, after.to_owned());
        let first = after.is_empty().then(|| self.0.get_key_value(&from)).flatten();
        let rows = first.into_iter().chain(self.0.range((Excluded(from.clone()), Unbounded)));
        let rows = rows.take_while(|((held, _), _)| *held == table as u8).take(most as usize);
        Ok(rows.map(|((_, id), row)| (id.clone(), row.clone())).collect())
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

/// The object; `T` says whose ask one is.
pub struct Object<T> {
    memory: Memory,
    tenant: TenantState,
    settings: Settings,
    random: Cell<u64>,
    waiting: Waiters<T>,
    pub wakes_at: Option<i64>,
}

macro_rules! host {
    ($object:ident, $now:expr) => {
        Host {
            now: $now,
            store: &mut $object.memory,
            zones: &UTC,
            random: &|bytes| {
                for byte in bytes {
                    let next = $object.random.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    $object.random.set(next);
                    *byte = next.to_be_bytes()[0];
                }
            },
            settings: &$object.settings,
        }
    };
}

/// Every zone is UTC here.
static UTC: Utc = Utc;

struct Utc;

impl sluice_limiter::calendar::Zones for Utc {
    fn offset_seconds(&self, _: &str, _: i64) -> Option<i32> {
        Some(0)
    }
}

impl<T> Object<T> {
    pub fn new(now: i64) -> Self {
        let settings = Settings {
            allow_loopback: true,
            master: Master::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap(),
        };
        let mut memory = Memory::default();
        let mut host = Host { now, store: &mut memory, zones: &UTC, random: &|_| {}, settings: &settings };
        let tenant = TenantState::open("acme", &mut host).unwrap();
        let mut object =
            Self { memory, tenant, settings, random: Cell::new(1), waiting: Waiters::default(), wakes_at: None };
        object.put(now);
        object
    }

    fn now(&mut self, ask: Ask, now: i64) -> Reply {
        match self.tenant.handle(ask, &mut host!(self, now)).unwrap() {
            Answer::Now(reply) => reply,
            Answer::Wait(_) => panic!("it waits"),
        }
    }

    /// One connection with a window, one with slots, one with a window and an access token.
    fn put(&mut self, now: i64) {
        let window = json!([{"name": "rate", "kind": "rolling_window", "calls": 6, "seconds": 2}]);
        let more = |limits: &Value, credential: Value| {
            json!({
                "vendor": "generic", "base_url": "https://crm.example.com", "limits": limits, "credential": credential,
                "queue": {"size": 40, "max_wait_seconds": 30}, "retry": {"attempts": 3}, "timeout_seconds": 10,
                "adaptive": {"min": 0.5},
            })
        };
        let bearer = || json!({"type": "bearer", "token": "secret"});
        let fetched = json!({"type": "client_credentials", "client_id": "i", "client_secret": "s",
            "token_url": "https://t.example.com/token"});
        let policy = json!({
            "connections": {
                "window": more(&window, bearer()),
                "slots": more(&json!([{"name": "two", "kind": "concurrency", "calls": 2}]), bearer()),
                "token": more(&window, fetched),
            },
            "apps": {"sync": {}, "form": {}},
        });
        match self.now(Ask::Admin(Admin::PutPolicy(policy.to_string())), now) {
            Reply::Document { status: 201, .. } => {}
            other => panic!("{other:?}"),
        }
    }

    /// A key of an app.
    pub fn key(&mut self, app: &str, now: i64) -> Claims {
        let key = NewKey::read(&json!({"role": "app", "app": app}).to_string()).unwrap();
        let Reply::Document { body, .. } = self.now(Ask::Admin(Admin::CreateKey(key)), now) else { panic!() };
        let made: Value = serde_json::from_str(&body).unwrap();
        open(&self.settings.master, made["key"].as_str().unwrap(), u64::try_from(now / 1_000).unwrap()).ok().unwrap()
    }

    /// An ask comes. Who can be answered now, and how.
    pub fn ask(&mut self, ask: Ask, call: Option<u128>, whose: T, now: i64) -> Vec<(T, Reply)> {
        let mut said = Vec::new();
        match self.tenant.handle(ask, &mut host!(self, now)).unwrap() {
            Answer::Now(reply) => said.push((whose, reply)),
            Answer::Wait(ticket) => {
                // An earlier ask of the same call is no longer listened to.
                let earlier = call.and_then(|call| self.waiting.of_call(call));
                let earlier = earlier.and_then(|earlier| self.waiting.remove(earlier));
                said.extend(earlier.map(|earlier| (earlier, Reply::Retry)));
                self.waiting.add(ticket, call, whose);
            }
        }
        self.after_event(said)
    }

    /// The caller of a call has gone.
    pub fn gone(&mut self, call: u128, now: i64) -> Vec<(T, Reply)> {
        let Some(ticket) = self.waiting.of_call(call) else { return Vec::new() };
        let said = self.waiting.remove(ticket).map(|whose| (whose, Reply::Done));
        self.tenant.cancel(ticket, &mut host!(self, now)).unwrap();
        self.after_event(said.into_iter().collect())
    }

    pub fn wake(&mut self, now: i64) -> Vec<(T, Reply)> {
        self.tenant.wake(&mut host!(self, now)).unwrap();
        self.after_event(Vec::new())
    }

    /// It loses its memory, and is opened anew from what it has stored. Those that waited for it.
    pub fn falls(&mut self, now: i64) -> Vec<T> {
        self.tenant = TenantState::open("acme", &mut host!(self, now)).unwrap();
        self.wakes_at = self.tenant.next_wakeup();
        std::mem::take(&mut self.waiting).into_all().collect()
    }

    fn after_event(&mut self, mut said: Vec<(T, Reply)>) -> Vec<(T, Reply)> {
        while let Some((ticket, reply)) = self.tenant.next_ready() {
            said.extend(self.waiting.remove(ticket).map(|whose| (whose, reply)));
        }
        self.wakes_at = self.tenant.next_wakeup();
        said
    }

    pub fn status(&mut self, now: i64) -> Value {
        serde_json::from_str(&self.tenant.status(&host!(self, now))).unwrap()
    }

    pub fn nobody_waits(&self) -> bool {
        self.waiting.is_empty()
    }
}
