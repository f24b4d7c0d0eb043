//! The Durable Object: hands each ask to the desk, keeps those that wait, and wakes the desk when it wants to be woken.
//! It decides nothing. The desk's methods never await, so each event is handled whole before the next one begins: that
//! is what makes admission all or nothing.

use super::live_status::LiveStatus;
use super::sqlite::Sqlite;
#[cfg(feature = "panic-trigger")]
use crate::panics::panic_if_asked;
use crate::platform::{self, AbortListener, IntlZones, Timer};
use crate::transport::{self, ObjectAddress};
use futures_channel::oneshot;
use js_sys::{Date, Object, Uint8Array};
use sluice_core::key::{Claims, Master, stamp};
use sluice_core::tenant::desk::{Answer, Desk, Ticket};
use sluice_core::tenant::errand::{MOST_AT_ONCE, STAMP};
use sluice_core::tenant::lending::Errant;
use sluice_core::tenant::loaded::Loaded;
use sluice_core::tenant::protocol::{Ask, Reply, from_wire, to_wire};
use sluice_core::tenant::store::{Host, Settings, StoreError};
use sluice_core::tenant::waiters::Waiters;
use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::rc::{Rc, Weak};
use wasm_bindgen::{JsCast, JsValue};
use worker::{
    DurableObject, Env, Error, Fetcher, Headers, Method, Request, RequestInit, Response, ResponseBuilder, Result,
    Socket, State, WebSocket, WebSocketIncomingMessage, durable_object,
};
use worker_sys::DurableObjectNamespace;

/// The alarm is set no sooner than this, milliseconds: setting it costs a row, and for less there are timers, unless the
/// object loses its memory meanwhile.
const ALARM_MS: i64 = 10_000;

/// What is farther off than this, milliseconds, has no timer unless somebody waits for it: what else the desk wants to be
/// woken for comes within a minute.
const FAR_MS: i64 = 70_000;

/// An object that has heard nothing for so long has left memory, or may as well, milliseconds: the platform waits ten seconds.
const RESTS_MS: i64 = 15_000;

thread_local! {
    /// The objects of this isolate whose desks are open.
    static LOADED: RefCell<Loaded<Weak<TenantObject>>> = const { RefCell::new(Loaded::empty()) };
}

/// One tenant's object, or, under the name `*`, the list of tenants.
#[durable_object]
pub struct Tenant {
    object: AssertUnwindSafe<Rc<TenantObject>>,
}

/// What the object's events share.
struct TenantObject {
    state: State,
    settings: Option<Settings>,
    /// The service binding to this same Worker.
    this_worker: Option<Fetcher>,
    /// All objects, the pools' among them.
    objects: Option<DurableObjectNamespace>,
    /// No borrow lives across an await, and none is taken within another.
    inner: RefCell<Inner>,
    live: LiveStatus,
}

#[derive(Default)]
struct Inner {
    name: String,
    /// The name has come with an ask.
    called: bool,
    desk: Option<(Desk, Sqlite)>,
    /// An event has begun and not ended: found set, it ended in a panic, and left the desk who knows how.
    busy: bool,
    waiting: Waiting,
    wake: Option<Timer>,
    /// What the timer is set to, Unix ms, so that it is not set again to the same moment.
    wake_at: Option<i64>,
    /// The same of the alarm, which wakes the object even when it has left memory.
    alarm_at: Option<i64>,
    /// How many hand errands over.
    handing: u32,
    /// When its last event was, Unix ms.
    heard_at: i64,
    /// It is among those who have loaded.
    listed: bool,
}

/// Asks that are not answered yet.
type Waiting = Waiters<oneshot::Sender<Reply>>;

/// What an ask led to.
enum Handled {
    Now(Reply),
    Pending(Pending),
}

/// An ask that waits.
struct Pending {
    ticket: Ticket,
    told: oneshot::Receiver<Reply>,
    /// Its caller may go away meanwhile.
    can_go: bool,
}

impl DurableObject for Tenant {
    fn new(state: State, env: Env) -> Self {
        let object = Rc::new(TenantObject {
            settings: settings(&env),
            this_worker: env.service("SELF").ok(),
            objects: env.durable_object("TENANT").ok().map(|objects| JsValue::from(objects).unchecked_into()),
            live: LiveStatus::new(&state),
            state,
            inner: RefCell::default(),
        });
        let weak = Rc::downgrade(&object);
        let wake = Timer::new(move || {
            if let Some(object) = weak.upgrade() {
                object.woken();
            }
        });
        object.inner.borrow_mut().wake = Some(wake);
        let weak = Rc::downgrade(&object);
        object.live.calls_back(move || {
            if let Some(object) = weak.upgrade() {
                object.live.push(&object.state, |keys| object.event(|desk, _, host| Ok(desk.seen_by(keys, host))));
            }
        });
        Self { object: AssertUnwindSafe(object) }
    }

    /// Answers an ask of the Worker's, or takes a WebSocket in.
    async fn fetch(&self, request: Request) -> Result<Response> {
        Rc::clone(&self.object).fetch(request).await
    }

    /// Wakes the desk. If the storage refuses, the platform rings again: jobs may wait for nothing else.
    async fn alarm(&self) -> Result<Response> {
        self.object.inner.borrow_mut().alarm_at = None;
        if self.object.woken() { Response::empty() } else { Err("the tenant's storage refuses".into()) }
    }

    /// Drops the message: the status only ever goes out.
    async fn websocket_message(&self, _: WebSocket, _: WebSocketIncomingMessage) -> Result<()> {
        Ok(())
    }

    /// Closes the socket on this side too.
    async fn websocket_close(&self, socket: WebSocket, _: usize, _: String, _: bool) -> Result<()> {
        let _ = socket.close(Some(1000), Some(""));
        Ok(())
    }

    /// Does nothing: the socket is closed next.
    async fn websocket_error(&self, _: WebSocket, _: Error) -> Result<()> {
        Ok(())
    }

    /// Refuses the connection: nothing is served over bare TCP.
    async fn connect(&self, _: Socket) -> Result<()> {
        Err("a tenant's object takes no connections".into())
    }
}

impl TenantObject {
    async fn fetch(self: Rc<Self>, mut request: Request) -> Result<Response> {
        let url = request.inner().url();
        let (name, ask) = transport::parts(&url);
        self.inner.borrow_mut().is_called(name);
        let ask = match ask {
            Some(ask) => transport::short_ask(ask),
            None if request.method() == Method::Get => {
                return self.live.accept(&self.state, &request, |claims| self.status(claims));
            }
            None => Some(request.bytes().await?),
        };
        match ask.and_then(|ask| self.handle_encoded(&ask)) {
            Some(Handled::Now(reply)) => answer(&reply),
            Some(Handled::Pending(later)) => self.wait(request, later).await,
            None => {
                let detail = "not an ask: the Worker and the object are of different releases";
                Ok(ResponseBuilder::new().with_status(400).fixed(detail.as_bytes().to_vec()))
            }
        }
    }

    /// The answer to an ask that waits.
    async fn wait(self: Rc<Self>, request: Request, Pending { ticket, told, can_go }: Pending) -> Result<Response> {
        let signal = request.inner().signal();
        if can_go && signal.aborted() {
            self.give_up(ticket);
        }
        let weak = Rc::downgrade(&self);
        let _listener = can_go.then(|| {
            AbortListener::new(signal, move || {
                if let Some(object) = weak.upgrade() {
                    object.give_up(ticket);
                }
            })
        });
        // Dropped untold only when the same call has asked again, and then nobody hears this answer.
        answer(&told.await.unwrap_or(Reply::Again))
    }

    /// Puts to the desk what came over the wire; none if that is no ask.
    fn handle_encoded(self: &Rc<Self>, words: &[u8]) -> Option<Handled> {
        from_wire(words).map(|ask| self.handle(ask))
    }

    /// Puts an ask to the desk.
    fn handle(self: &Rc<Self>, ask: Ask) -> Handled {
        let call = match &ask {
            Ask::Gone(call) => {
                self.gone(call);
                return Handled::Now(Reply::Done);
            }
            Ask::Admit(admit) => Some(number(&admit.call)),
            Ask::Keep(keep) => Some(number(&keep.admit.call)),
            _ => None,
        };
        let can_go = call.is_some();
        let handled = self.event(|desk, waiting, host| {
            #[cfg(feature = "panic-trigger")]
            if let Ask::Admit(admit) = &ask {
                panic_if_asked(&admit.path, "/panic-trigger-object");
            }
            Ok(match desk.ask(ask, host)? {
                Answer::Now(reply) => Handled::Now(reply),
                Answer::Wait(ticket) => {
                    let (tell, told) = oneshot::channel();
                    waiting.add(ticket, call, tell);
                    Handled::Pending(Pending { ticket, told, can_go })
                }
            })
        });
        handled.unwrap_or(Handled::Now(Reply::Again))
    }

    /// The caller of a call has gone. If the call no longer waits, its permit is on its way, and comes back unused.
    fn gone(self: &Rc<Self>, call: &str) {
        let ticket = self.inner.borrow().waiting.of_call(number(call));
        if let Some(ticket) = ticket {
            self.give_up(ticket);
        }
    }

    /// A waiting call gives up its place.
    fn give_up(self: &Rc<Self>, ticket: Ticket) {
        self.event(|desk, waiting, host| match waiting.remove(ticket) {
            Some(tell) => {
                let _ = tell.send(Reply::Done);
                desk.cancel(ticket, host)
            }
            None => Ok(()),
        });
    }

    /// The timer has fired. Whether the desk could be woken.
    fn woken(self: &Rc<Self>) -> bool {
        self.inner.borrow_mut().wake_at = None;
        self.event(|desk, _, host| desk.wake(host)).is_some()
    }

    /// The status document for this key, or why not.
    fn status(self: &Rc<Self>, claims: Claims) -> Reply {
        match self.handle(Ask::Status(claims)) {
            Handled::Now(reply) => reply,
            Handled::Pending(..) => Reply::Again,
        }
    }

    /// One event at the desk, which is opened for it if need be, and all that follows from it: answers to those that
    /// waited, and the next time to wake. None if the storage refused: then the desk is forgotten, since what it holds
    /// in memory may not be what is stored, and whoever waits is to ask again.
    fn event<T>(
        self: &Rc<Self>,
        act: impl FnOnce(&mut Desk, &mut Waiting, &mut Host) -> Result<T, StoreError>,
    ) -> Option<T> {
        let mut inner = self.inner.borrow_mut();
        if std::mem::replace(&mut inner.busy, true) {
            inner.forget("an event ended in a panic");
        }
        inner.heard_at = platform::now();
        let done = match self.settings.as_ref() {
            Some(settings) => inner.event(&self.state, settings, act),
            None => Err(StoreError("MASTER_KEY is missing or malformed".to_owned())),
        };
        let done = done.map_err(|StoreError(fault)| inner.forget(&fault)).ok();
        inner.busy = false;
        inner.set_timer();
        inner.set_alarm(&self.state);
        let errands = inner.desk.as_ref().is_some_and(|(desk, _)| desk.has_errands());
        if errands && inner.handing < MOST_AT_ONCE {
            inner.handing = inner.handing.saturating_add(1);
            platform::spawn(Rc::clone(self).hand_over());
        }
        while let Some(errant) = inner.desk.as_mut().and_then(|(desk, _)| desk.next_loan()) {
            platform::spawn(Rc::clone(self).borrow(errant));
        }
        if inner.desk.is_some() && !std::mem::replace(&mut inner.listed, true) {
            let stays = |other: &Weak<Self>| other.upgrade().is_some_and(|other| other.stays());
            LOADED.with_borrow_mut(|loaded| loaded.add(Rc::downgrade(self), stays));
        }
        self.live.changed();
        done
    }

    /// Whether its desk stays open. One that the platform may have taken out of memory, since it heard nothing for long and waits for
    /// nothing, is closed: an object that is still there opens its own again.
    fn stays(self: Rc<Self>) -> bool {
        // Whatever is under way for it holds it too. What is borrowed is the object that loads.
        let Ok(mut inner) = self.inner.try_borrow_mut() else { return true };
        let before = platform::now().saturating_sub(RESTS_MS);
        let rests = Rc::strong_count(&self) <= 2
            && inner.waiting.is_empty()
            && inner.heard_at < before
            && inner.wake_at.is_none_or(|at| at < before);
        if rests {
            (inner.desk, inner.listed) = (None, false);
        }
        !rests
    }

    /// Asks a pool's object.
    async fn borrow(self: Rc<Self>, errant: Errant) {
        let sent = self.objects.as_ref().and_then(|objects| {
            let address = ObjectAddress::find(objects, &errant.object).ok()?;
            address.send(&address.stub(objects).ok()?, &to_wire(&errant.ask), false).ok()
        });
        let reply = match sent {
            Some(sent) => transport::reply(sent).await.ok().and_then(|reply| from_wire(&reply)),
            None => None,
        };
        self.event(|desk, _, host| desk.lent(&errant, reply, host));
    }

    /// Hands errands over, one after another, until there are none. Several of these run at once.
    async fn hand_over(self: Rc<Self>) {
        while let Some(errand) = self.event(|desk, _, host| desk.next_errand(host)).flatten() {
            let (body, now) = (to_wire(&errand), platform::now());
            let stamp = self.settings.as_ref().map(|settings| stamp(&settings.master, now, &body)).unwrap_or_default();
            match self.post(&stamp, &body).await.unwrap_or(0) {
                // Taken; or nobody can say, and then the errand's own report will, or the want of one.
                0 | 202 => {}
                _ => {
                    self.event(|desk, _, host| desk.errand_refused(errand, host));
                }
            }
        }
        let mut inner = self.inner.borrow_mut();
        inner.handing = inner.handing.saturating_sub(1);
    }

    /// Posts an errand to this same Worker; the status it is taken with. The answer's body ends with the errand, and is held until then: the
    /// platform lets a Worker run while somebody waits for its answer, and 30 s more.
    async fn post(&self, stamp: &str, body: &[u8]) -> Result<u16> {
        let this_worker = self.this_worker.as_ref().ok_or("the Worker has no binding to itself")?;
        let headers = Headers::new();
        headers.set(STAMP, stamp)?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_headers(headers).with_body(Some(Uint8Array::from(body).into()));
        let mut response = this_worker.fetch("http://sluice/", Some(init)).await?;
        let status = response.status_code();
        platform::spawn(async move {
            let _ = response.bytes().await;
        });
        Ok(status)
    }
}

impl Inner {
    fn event<T>(
        &mut self,
        state: &State,
        settings: &Settings,
        act: impl FnOnce(&mut Desk, &mut Waiting, &mut Host) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let now = platform::now();
        let random: &dyn Fn(&mut [u8]) = &platform::random;
        if self.desk.is_none() {
            let mut store = Sqlite::open(state.storage().sql())?;
            let desk =
                Desk::open(&self.name, &mut Host { now, store: &mut store, zones: &IntlZones, random, settings })?;
            desk.name().clone_into(&mut self.name);
            self.desk = Some((desk, store));
        }
        let Some((desk, store)) = &mut self.desk else {
            return Err(StoreError("the desk did not open".to_owned()));
        };
        let done = act(desk, &mut self.waiting, &mut Host { now, store, zones: &IntlZones, random, settings })?;
        while let Some((ticket, reply)) = desk.next_ready() {
            if let Some(tell) = self.waiting.remove(ticket) {
                // Nobody listens only if the caller has gone in this very event; its permit then lapses.
                let _ = tell.send(reply);
            }
        }
        Ok(done)
    }

    /// An ask at this address has come: an object does not know under which name it was found, and is found under one alone. A desk that
    /// an alarm has opened without knowing this name is opened anew.
    fn is_called(&mut self, name: &str) {
        if !std::mem::replace(&mut self.called, true) && self.name != name {
            name.clone_into(&mut self.name);
            self.desk = None;
        }
    }

    fn forget(&mut self, fault: &str) {
        platform::log(&sluice_core::json!({"level": "error", "object": self.name, "fault": fault}));
        self.desk = None;
        for tell in std::mem::take(&mut self.waiting).into_all() {
            let _ = tell.send(Reply::Again);
        }
    }

    /// Wakes the desk when it next wants to be woken. For what is far off, and nobody waits for, the alarm serves: a timer
    /// would keep the object in memory until then.
    fn set_timer(&mut self) {
        let now = platform::now();
        let waited_for = !self.waiting.is_empty();
        let at = self.desk.as_mut().and_then(|(desk, _)| desk.next_wakeup());
        let at = at.filter(|at| waited_for || *at < now.saturating_add(FAR_MS));
        // A timer that rings too soon is set on when it has rung: to set it on at each call takes longer than all of the desk's part.
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

    /// Sets the alarm, where one is wanted. One that is wanted no more is left to ring for nothing: to take it back would
    /// cost a row written.
    fn set_alarm(&mut self, state: &State) {
        let soonest = platform::now().saturating_add(ALARM_MS);
        let at = self.desk.as_mut().and_then(|(desk, _)| desk.next_alarm()).map(|at| at.max(soonest));
        if let Some(at) = at.filter(|at| self.alarm_at.is_none_or(|set| *at < set)) {
            self.alarm_at = Some(at);
            // The raw handle sets it at once, as part of this event's commit; that of `worker` would when its future is first driven.
            let date = Date::new(&JsValue::from(at as f64));
            if let Ok(set) = state.storage().as_raw().set_alarm(date, Object::new()) {
                platform::spawn(async {
                    let _ = set.await;
                });
            }
        }
    }
}

/// An answer, as the platform hands it over.
fn answer(reply: &Reply) -> Result<Response> {
    transport::response(to_wire(reply), reply.is_plain())
}

/// The desk's settings; none where `MASTER_KEY` does not serve. The Worker answers 503 `setup` before it comes to that.
fn settings(env: &Env) -> Option<Settings> {
    let text = |name: &str| env.var(name).map(|var| var.to_string()).unwrap_or_default();
    let master = Master::parse(&text("MASTER_KEY")).ok()?;
    Some(Settings { allow_loopback: text("ALLOW_LOOPBACK_VENDORS") == "true", master })
}

/// A call's id as a number.
fn number(call: &str) -> u128 {
    u128::from_str_radix(call, 16).unwrap_or_default()
}
