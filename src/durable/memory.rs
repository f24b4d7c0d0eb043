//! What an object holds in memory between two events: the desk, those that wait for it, and when it
//! is next to be woken.

use super::sqlite::Sqlite;
use crate::platform::{self, IntlZones, Timer};
use futures_channel::oneshot;
use js_sys::{Date, Object};
use sluice_core::protocol::Reply;
use sluice_core::tenant::state::TenantState;
use sluice_core::tenant::store::{Host, Settings, StoreError};
use sluice_core::tenant::waiters::Waiters;
use wasm_bindgen::JsValue;
use worker::State;

/// The alarm is set no sooner than this, milliseconds: setting it costs a row, and for less there
/// are timers, unless the object loses its memory meanwhile.
const ALARM_MS: i64 = 10_000;

/// What is farther off than this, milliseconds, has no timer unless somebody waits for it: what
/// else the desk wants to be woken for comes within a minute.
const FAR_MS: i64 = 70_000;

/// The memory of one object.
#[derive(Default)]
pub struct Memory {
    pub name: String,
    /// The name has come with an ask.
    pub called: bool,
    pub tenant: Option<(TenantState, Sqlite)>,
    /// An event has begun and not ended: found set, it ended in a panic, and left the desk who
    /// knows how.
    pub busy: bool,
    pub waiting: Waiting,
    pub wake: Option<Timer>,
    /// What the timer is set to, Unix ms, so that it is not set again to the same moment.
    pub wake_at: Option<i64>,
    /// The same of the alarm, which wakes the object even when it has left memory.
    pub alarm_at: Option<i64>,
    /// How many hand errands over.
    pub handing: u32,
    /// When its last event was, Unix ms.
    pub heard_at: i64,
    /// It is among those who have loaded.
    pub listed: bool,
}

/// Asks that are not answered yet.
pub type Waiting = Waiters<oneshot::Sender<Reply>>;

impl Memory {
    /// One event at the desk, which is opened for it if need be, and the answers that it has ready
    /// for those that wait.
    pub fn event<T>(
        &mut self,
        state: &State,
        settings: &Settings,
        act: impl FnOnce(&mut TenantState, &mut Waiting, &mut Host) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let now = platform::now();
        let random: &dyn Fn(&mut [u8]) = &platform::random;
        if self.tenant.is_none() {
            let mut store = Sqlite::open(state.storage().sql())?;
            let tenant = TenantState::open(
                &self.name,
                &mut Host { now, store: &mut store, zones: &IntlZones, random, settings },
            )?;
            tenant.name().clone_into(&mut self.name);
            self.tenant = Some((tenant, store));
        }
        let Some((tenant, store)) = &mut self.tenant else {
            return Err(StoreError("the desk did not open".to_owned()));
        };
        let done = act(tenant, &mut self.waiting, &mut Host { now, store, zones: &IntlZones, random, settings })?;
        while let Some((ticket, reply)) = tenant.next_ready() {
            if let Some(tell) = self.waiting.remove(ticket) {
                // Nobody listens only if the caller has gone in this very event; its permit then
                // lapses.
                let _ = tell.send(reply);
            }
        }
        Ok(done)
    }

    /// An ask at this address has come: an object does not know under which name it was found, and
    /// is found under one alone. A desk that an alarm has opened without knowing this name is
    /// opened anew.
    pub fn is_called(&mut self, name: &str) {
        if !std::mem::replace(&mut self.called, true) && self.name != name {
            name.clone_into(&mut self.name);
            self.tenant = None;
        }
    }

    /// Forgets the desk, and has those that wait ask again: what it holds may not be what is
    /// stored.
    pub fn forget(&mut self, fault: &str) {
        platform::log(&serde_json::json!({"level": "error", "object": self.name, "fault": fault}));
        self.tenant = None;
        for tell in std::mem::take(&mut self.waiting).into_all() {
            let _ = tell.send(Reply::Retry);
        }
    }

    /// Wakes the desk when it next wants to be woken. For what is far off, and nobody waits for,
    /// the alarm serves: a timer would keep the object in memory until then.
    pub fn set_timer(&mut self) {
        let now = platform::now();
        let waited_for = !self.waiting.is_empty();
        let at = self.tenant.as_mut().and_then(|(tenant, _)| tenant.next_wakeup());
        let at = at.filter(|at| waited_for || *at < now.saturating_add(FAR_MS));
        // A timer that rings too soon is set on when it has rung: to set it on at each call takes
        // longer than all of the desk's part.
        let soon_enough = self.wake_at.zip(at).is_some_and(|(set, at)| set <= at);
        if soon_enough || at == self.wake_at {
            return;
        }
        self.wake_at = at;
        match (at, &self.wake) {
            (Some(at), Some(wake)) => wake.set(at.saturating_sub(platform::now())),
            (None, Some(wake)) => wake.stop(),
            (_, None) => {}
        }
    }

    /// Sets the alarm, where one is wanted. One that is wanted no more is left to ring for nothing:
    /// to take it back would cost a row written.
    pub fn set_alarm(&mut self, state: &State) {
        let soonest = platform::now().saturating_add(ALARM_MS);
        let at = self.tenant.as_mut().and_then(|(tenant, _)| tenant.next_alarm()).map(|at| at.max(soonest));
        if let Some(at) = at.filter(|at| self.alarm_at.is_none_or(|set| *at < set)) {
            self.alarm_at = Some(at);
            // The raw handle sets it at once, as part of this event's commit; that of `worker`
            // would when its future is first driven.
            let date = Date::new(&JsValue::from(at as f64));
            if let Ok(set) = state.storage().as_raw().set_alarm(date, Object::new()) {
                platform::spawn(async {
                    let _ = set.await;
                });
            }
        }
    }
}
