//! Holds what an object has in memory between two events: the tenant's state, the asks that wait for
//! it, and when it is next to be woken.

use super::sqlite::Sqlite;
use crate::platform::{self, IntlZones, Timer};
use futures_channel::oneshot;
use js_sys::{Date, Object};
use sluice_core::protocol::Reply;
use sluice_core::tenant::state::TenantState;
use sluice_core::tenant::store::{Host, Settings, StoreError};
use sluice_core::tenant::waiters::Waiters;
use sluice_core::tenant::wakeups::{TimerStep, Wakeups};
use wasm_bindgen::JsValue;
use worker::State;

/// The memory of one object.
#[derive(Default)]
pub struct Memory {
    pub name: String,
    /// The name has come with an ask.
    pub called: bool,
    pub tenant: Option<(TenantState, Sqlite)>,
    /// An event has begun and not ended. Found set at the beginning of an event, the last one has
    /// panicked, and the state in memory cannot be trusted.
    pub busy: bool,
    pub waiting: Waiting,
    pub wake: Option<Timer>,
    /// What the timer and the alarm are set to.
    pub wakeups: Wakeups,
    /// How many hand tasks over.
    pub handing: u32,
    /// It is among those who have loaded.
    pub listed: bool,
}

/// The asks that are not answered yet.
pub type Waiting = Waiters<oneshot::Sender<Reply>>;

impl Memory {
    /// Handles one event of the tenant's state, which is loaded for it if need be, and hands out the
    /// answers that it has ready for those that wait.
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
            return Err(StoreError("the tenant's state was not loaded".to_owned()));
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

    /// Notes the name at whose address an ask has come: an object does not know under which name it was
    /// found, and is found under one alone. A state that an alarm has loaded without knowing this name
    /// is loaded anew.
    pub fn is_called(&mut self, name: &str) {
        if !std::mem::replace(&mut self.called, true) && self.name != name {
            name.clone_into(&mut self.name);
            self.tenant = None;
        }
    }

    /// Forgets the tenant's state, and has those that wait ask again: what it holds may not be what is
    /// stored.
    pub fn forget(&mut self, fault: &str) {
        platform::log(&serde_json::json!({"level": "error", "object": self.name, "fault": fault}));
        self.tenant = None;
        for tell in std::mem::take(&mut self.waiting).into_all() {
            let _ = tell.send(Reply::Retry);
        }
    }

    /// Sets the timer for when the tenant's state next wants to be woken.
    pub fn set_timer(&mut self) {
        let now = platform::now();
        let wanted = self.tenant.as_mut().and_then(|(tenant, _)| tenant.next_wakeup());
        match (self.wakeups.timer(wanted, !self.waiting.is_empty(), now), &self.wake) {
            (TimerStep::Set(at), Some(wake)) => wake.set(at.saturating_sub(now)),
            (TimerStep::Stop, Some(wake)) => wake.stop(),
            (TimerStep::Keep, _) | (_, None) => {}
        }
    }

    /// Sets the alarm, where one is wanted.
    pub fn set_alarm(&mut self, state: &State) {
        let wanted = self.tenant.as_mut().and_then(|(tenant, _)| tenant.next_alarm());
        if let Some(at) = self.wakeups.alarm(wanted, platform::now()) {
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
