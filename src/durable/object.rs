//! The Durable Object: hands each ask to the desk, keeps those that wait, and wakes the desk when it wants to be woken.
//! It decides nothing. The desk's methods never await, so each event is handled whole before the next one begins: that
//! is what makes admission all or nothing.

use super::live::Live;
use super::sqlite::Sqlite;
use crate::platform::{self, Intl, State, Timer, Watch};
use futures_channel::oneshot;
use js_sys::futures::JsFuture;
use js_sys::{Reflect, Uint8Array};
use sluice_core::keys::{Claims, Master, stamp};
use sluice_core::protocol::{Ask, Reply, from_wire, to_wire};
use sluice_core::tenant::loaded::Loaded;
use sluice_core::tenant::pool_requests::PoolRequest;
use sluice_core::tenant::state::{Answer, TenantState, Ticket};
use sluice_core::tenant::store::{Host, Settings, StoreError};
use sluice_core::tenant::task::MOST_AT_ONCE;
use sluice_core::tenant::waiters::Waiters;
use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::rc::{Rc, Weak};
use wasm_bindgen::prelude::*;
use web_sys::{Request, Response};

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
    static LOADED: RefCell<Loaded<Weak<Shell>>> = const { RefCell::new(Loaded::empty()) };
}

/// One tenant's object, or, under the name `*`, the list of tenants.
#[wasm_bindgen]
pub struct Tenant {
    shell: AssertUnwindSafe<Rc<Shell>>,
}

/// What the object's events share.
struct Shell {
    state: State,
    settings: Option<Settings>,
    /// The service binding to this same Worker.
    this_worker: JsValue,
    /// All objects, the pools' among them.
    objects: JsValue,
    /// No borrow lives across an await, and none is taken within another.
    inner: RefCell<Inner>,
    live: Live,
}

#[derive(Default)]
struct Inner {
    name: String,
    /// The name has come with an ask.
    called: bool,
    tenant: Option<(TenantState, Sqlite)>,
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
enum Said {
    Now(Reply),
    Later(Later),
}

/// An ask that waits.
struct Later {
    ticket: Ticket,
    told: oneshot::Receiver<Reply>,
    /// Its caller may go away meanwhile.
    can_go: bool,
}

#[wasm_bindgen]
impl Tenant {
    /// An object that has just come into memory.
    #[wasm_bindgen(constructor)]
    pub fn new(state: State, env: &JsValue) -> Self {
        let shell = Rc::new(Shell {
            settings: settings(env),
            this_worker: setting(env, "SELF"),
            objects: setting(env, "TENANT"),
            live: Live::new(&state),
            state,
            inner: RefCell::default(),
        });
        let weak = Rc::downgrade(&shell);
        let wake = Timer::new(move || {
            if let Some(shell) = weak.upgrade() {
                shell.woken();
            }
        });
        shell.inner.borrow_mut().wake = Some(wake);
        let weak = Rc::downgrade(&shell);
        shell.live.calls_back(move || {
            if let Some(shell) = weak.upgrade() {
                shell.live.push(&shell.state, |keys| shell.event(|tenant, _, host| Ok(tenant.seen_by(keys, host))));
            }
        });
        Self { shell: AssertUnwindSafe(shell) }
    }

    /// An ask of the Worker's, or a WebSocket to take in: a response, or where it takes its time the promise of one.
    ///
    /// # Errors
    /// If the platform gives something else.
    pub fn fetch(&self, request: Request) -> Result<JsValue, JsValue> {
        self.shell.fetch(request)
    }

    /// The alarm rings.
    ///
    /// # Errors
    /// If the storage refuses: then the platform rings again. Jobs may wait for nothing else.
    pub fn alarm(&self) -> Result<(), JsValue> {
        self.shell.inner.borrow_mut().alarm_at = None;
        self.shell.woken().then_some(()).ok_or_else(|| JsValue::from("the tenant's storage refuses"))
    }

    /// The status only ever goes out.
    #[wasm_bindgen(js_name = webSocketMessage)]
    pub fn websocket_message(&self) {}

    /// Closed on the other side, so on this one too.
    #[wasm_bindgen(js_name = webSocketClose)]
    pub fn websocket_close(&self, socket: &JsValue) {
        platform::close(socket, 1000, "");
    }

    /// It is closed next.
    #[wasm_bindgen(js_name = webSocketError)]
    pub fn websocket_error(&self) {}
}

impl Shell {
    fn fetch(self: &Rc<Self>, request: Request) -> Result<JsValue, JsValue> {
        self.inner.borrow_mut().is_called(|| request.url());
        let shell = Rc::clone(self);
        Ok(match platform::short_ask(&request)?.map(|body| self.hear(&body)) {
            // What is asked most, and answered at once, needs no future.
            Some(Ok(Said::Now(reply))) => answer(&reply).into(),
            Some(Ok(Said::Later(later))) => {
                platform::promise(async { Ok(shell.wait(request, later).await.into()) }).into()
            }
            Some(Err(no_ask)) => no_ask.into(),
            None if request.method() == "GET" => {
                self.live.accept(&self.state, &request, |claims| self.status(claims))?.into()
            }
            None => platform::promise(shell.hear_whole(request)).into(),
        })
    }

    /// The same of an ask that came in a body.
    async fn hear_whole(self: Rc<Self>, request: Request) -> Result<JsValue, JsValue> {
        Ok(match self.hear(&Uint8Array::new(&platform::bytes_of(&request).await?).to_vec()) {
            Ok(Said::Now(reply)) => answer(&reply),
            Ok(Said::Later(later)) => self.wait(request, later).await,
            Err(no_ask) => no_ask,
        }
        .into())
    }

    /// The answer to an ask that waits.
    async fn wait(self: Rc<Self>, request: Request, Later { ticket, told, can_go }: Later) -> Response {
        let weak = Rc::downgrade(&self);
        let _watch = can_go.then(|| {
            Watch::new(&request, move || {
                if let Some(shell) = weak.upgrade() {
                    shell.give_up(ticket);
                }
            })
        });
        // Dropped untold only when the same call has asked again, and then nobody hears this answer.
        answer(&told.await.unwrap_or(Reply::Retry))
    }

    /// Puts to the desk what came over the wire; if that is no ask, the answer says so.
    fn hear(self: &Rc<Self>, words: &[u8]) -> Result<Said, Response> {
        from_wire(words).map(|ask| self.take(ask)).ok_or_else(|| {
            let detail = "not an ask: the Worker and the object are of different releases";
            platform::answer_bytes(400, detail.as_bytes())
        })
    }

    /// Puts an ask to the desk.
    fn take(self: &Rc<Self>, ask: Ask) -> Said {
        let call = match &ask {
            Ask::Gone(call) => {
                self.gone(call);
                return Said::Now(Reply::Done);
            }
            Ask::Admit(admit) => Some(number(&admit.call)),
            Ask::SubmitJob(keep) => Some(number(&keep.admit.call)),
            _ => None,
        };
        let can_go = call.is_some();
        let said = self.event(|tenant, waiting, host| {
            #[cfg(feature = "panic-trigger")]
            if let Ask::Admit(admit) = &ask {
                crate::edge::panic_if_asked(&admit.path, "/panic-trigger-object");
            }
            Ok(match tenant.ask(ask, host)? {
                Answer::Now(reply) => Said::Now(reply),
                Answer::Wait(ticket) => {
                    let (tell, told) = oneshot::channel();
                    waiting.add(ticket, call, tell);
                    Said::Later(Later { ticket, told, can_go })
                }
            })
        });
        said.unwrap_or(Said::Now(Reply::Retry))
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
        self.event(|tenant, waiting, host| match waiting.remove(ticket) {
            Some(tell) => {
                let _ = tell.send(Reply::Done);
                tenant.cancel(ticket, host)
            }
            None => Ok(()),
        });
    }

    /// The timer has fired. Whether the desk could be woken.
    fn woken(self: &Rc<Self>) -> bool {
        self.inner.borrow_mut().wake_at = None;
        self.event(|tenant, _, host| tenant.wake(host)).is_some()
    }

    /// The status document for this key, or why not.
    fn status(self: &Rc<Self>, claims: Claims) -> Reply {
        match self.take(Ask::Status(claims)) {
            Said::Now(reply) => reply,
            Said::Later(..) => Reply::Retry,
        }
    }

    /// One event at the desk, which is opened for it if need be, and all that follows from it: answers to those that
    /// waited, and the next time to wake. None if the storage refused: then the desk is forgotten, since what it holds
    /// in memory may not be what is stored, and whoever waits is to ask again.
    fn event<T>(
        self: &Rc<Self>,
        act: impl FnOnce(&mut TenantState, &mut Waiting, &mut Host) -> Result<T, StoreError>,
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
        let errands = inner.tenant.as_ref().is_some_and(|(tenant, _)| tenant.has_errands());
        if errands && inner.handing < MOST_AT_ONCE {
            inner.handing = inner.handing.saturating_add(1);
            let _ = platform::spawn(Rc::clone(self).hand_over());
        }
        while let Some(errant) = inner.tenant.as_mut().and_then(|(tenant, _)| tenant.next_loan()) {
            let _ = platform::spawn(Rc::clone(self).borrow(errant));
        }
        if inner.tenant.is_some() && !std::mem::replace(&mut inner.listed, true) {
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
            (inner.tenant, inner.listed) = (None, false);
        }
        !rests
    }

    /// Asks a pool's object.
    async fn borrow(self: Rc<Self>, errant: PoolRequest) {
        let place = platform::place(&self.objects, &errant.object);
        let words = to_wire(&errant.ask);
        let said = match place.and_then(|place| platform::ask(&self.objects, &place, &words, false, None, None)) {
            Ok(said) => JsFuture::from(said).await.ok(),
            Err(_) => None,
        };
        let reply = said.and_then(|said| from_wire(&Uint8Array::new(&said).to_vec()));
        self.event(|tenant, _, host| tenant.lent(&errant, reply, host));
    }

    /// Hands errands over, one after another, until there are none. Several of these run at once.
    async fn hand_over(self: Rc<Self>) {
        while let Some(errand) = self.event(|tenant, _, host| tenant.next_errand(host)).flatten() {
            let (body, now) = (to_wire(&errand), platform::now());
            let stamp = self.settings.as_ref().map(|settings| stamp(&settings.master, now, &body)).unwrap_or_default();
            match platform::post(&self.this_worker, &stamp, &body).await {
                // Taken; or nobody can say, and then the errand's own report will, or the want of one.
                0 | 202 => {}
                _ => {
                    self.event(|tenant, _, host| tenant.errand_refused(errand, host));
                }
            }
        }
        let mut inner = self.inner.borrow_mut();
        inner.handing = inner.handing.saturating_sub(1);
    }
}

impl Inner {
    fn event<T>(
        &mut self,
        state: &State,
        settings: &Settings,
        act: impl FnOnce(&mut TenantState, &mut Waiting, &mut Host) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let now = platform::now();
        let random: &dyn Fn(&mut [u8]) = &platform::random;
        if self.tenant.is_none() {
            let mut store = Sqlite::open(platform::sql_of(state))?;
            let tenant =
                TenantState::open(&self.name, &mut Host { now, store: &mut store, zones: &Intl, random, settings })?;
            tenant.name().clone_into(&mut self.name);
            self.tenant = Some((tenant, store));
        }
        let Some((tenant, store)) = &mut self.tenant else {
            return Err(StoreError("the desk did not open".to_owned()));
        };
        let done = act(tenant, &mut self.waiting, &mut Host { now, store, zones: &Intl, random, settings })?;
        while let Some((ticket, reply)) = tenant.next_ready() {
            if let Some(tell) = self.waiting.remove(ticket) {
                // Nobody listens only if the caller has gone in this very event; its permit then lapses.
                let _ = tell.send(reply);
            }
        }
        Ok(done)
    }

    /// An ask at this address has come: an object does not know under which name it was found, and is found under one alone. A desk that
    /// an alarm has opened without knowing this name is opened anew.
    fn is_called(&mut self, url: impl FnOnce() -> String) {
        if std::mem::replace(&mut self.called, true) {
            return;
        }
        let url = url();
        // Behind it there may be an ask.
        let place = url.split('?').next().unwrap_or_default();
        let name = place.strip_prefix("http://object/").unwrap_or_default();
        if self.name != name {
            name.clone_into(&mut self.name);
            self.tenant = None;
        }
    }

    fn forget(&mut self, fault: &str) {
        platform::log(&serde_json::json!({"level": "error", "object": self.name, "fault": fault}).to_string());
        self.tenant = None;
        for tell in std::mem::take(&mut self.waiting).into_all() {
            let _ = tell.send(Reply::Retry);
        }
    }

    /// Wakes the desk when it next wants to be woken. For what is far off, and nobody waits for, the alarm serves: a timer
    /// would keep the object in memory until then.
    fn set_timer(&mut self) {
        let now = platform::now();
        let waited_for = !self.waiting.is_empty();
        let at = self.tenant.as_mut().and_then(|(tenant, _)| tenant.next_wakeup());
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
        let at = self.tenant.as_mut().and_then(|(tenant, _)| tenant.next_alarm()).map(|at| at.max(soonest));
        if let Some(at) = at.filter(|at| self.alarm_at.is_none_or(|set| *at < set)) {
            self.alarm_at = Some(at);
            platform::set_alarm(&state.storage(), at);
        }
    }
}

/// An answer, as the platform hands it over.
fn answer(reply: &Reply) -> Response {
    let bytes = to_wire(reply);
    if reply.is_plain() { platform::reply(&bytes) } else { platform::answer_bytes(200, &bytes) }
}

/// The desk's settings; none where `MASTER_KEY` does not serve. The Worker answers 503 `setup` before it comes to that.
fn settings(env: &JsValue) -> Option<Settings> {
    let text = |name: &str| setting(env, name).as_string().unwrap_or_default();
    let master = Master::parse(&text("MASTER_KEY")).ok()?;
    Some(Settings { allow_loopback: text("ALLOW_LOOPBACK_VENDORS") == "true", master })
}

/// A call's id as a number.
fn number(call: &str) -> u128 {
    u128::from_str_radix(call, 16).unwrap_or_default()
}

/// A setting or binding of the object's environment.
fn setting(env: &JsValue, name: &str) -> JsValue {
    Reflect::get(env, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
}
