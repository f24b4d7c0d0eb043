//! The Durable Object: hands each ask to the tenant's state, keeps those that wait, and wakes the
//! state when it wants to be woken. It decides nothing. The state's methods never await, so each
//! event is handled whole before the next one begins: that is what makes admission all or nothing.

use super::live_status::LiveStatus;
use super::memory::{Memory, Waiting};
#[cfg(feature = "panic-trigger")]
use crate::panics::panic_if_asked;
use crate::platform::{self, AbortListener, Timer};
use crate::transport;
use futures_channel::oneshot;
use sluice_core::keys::{Claims, Master};
use sluice_core::protocol::{Ask, Reply, from_wire, to_wire};
use sluice_core::tenant::loaded::Loaded;
use sluice_core::tenant::state::{Answer, TenantState, Ticket};
use sluice_core::tenant::store::{Host, Settings, StoreError};
use sluice_core::tenant::task::MOST_AT_ONCE;
use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::AbortSignal;
use worker::{
    DurableObject, Env, Error, Fetcher, Method, Request, Response, ResponseBuilder, Result, Socket, State, WebSocket,
    WebSocketIncomingMessage, durable_object,
};
use worker_sys::DurableObjectNamespace;

thread_local! {
    /// The objects of this isolate whose tenant's state is loaded.
    static LOADED: RefCell<Loaded<Weak<TenantObject>>> = const { RefCell::new(Loaded::empty()) };
}

/// One tenant's object, or, under the name `*`, the list of tenants.
#[durable_object]
pub struct Tenant {
    object: AssertUnwindSafe<Rc<TenantObject>>,
}

/// The object, as its events share it.
pub struct TenantObject {
    state: State,
    pub settings: Option<Settings>,
    /// The service binding to this same Worker.
    pub this_worker: Option<Fetcher>,
    /// All objects, the pools' among them.
    pub objects: Option<DurableObjectNamespace>,
    /// No borrow lives across an await, and none is taken within another.
    pub memory: RefCell<Memory>,
    live: LiveStatus,
}

/// What an ask led to.
enum Handled {
    Now(Reply),
    Pending(Pending),
}

/// What a request led to.
enum Begun {
    Done(Response),
    /// Boxed, since the future of the entry point has room for it several times, and thousands of
    /// asks may wait at once.
    Pending(Pin<Box<dyn Future<Output = Result<Response>>>>),
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
            memory: RefCell::default(),
        });
        let weak = Rc::downgrade(&object);
        let wake = Timer::new(move || {
            if let Some(object) = weak.upgrade() {
                object.woken();
            }
        });
        object.memory.borrow_mut().wake = Some(wake);
        let weak = Rc::downgrade(&object);
        object.live.calls_back(move || {
            if let Some(object) = weak.upgrade() {
                object
                    .live
                    .push(&object.state, |keys| object.event(|tenant, _, host| Ok(tenant.visible_to(keys, host))));
            }
        });
        Self { object: AssertUnwindSafe(object) }
    }

    /// Answers an ask of the Worker's, or takes a WebSocket in.
    async fn fetch(&self, request: Request) -> Result<Response> {
        match Rc::clone(&self.object).begin(request)? {
            Begun::Done(response) => Ok(response),
            Begun::Pending(response) => response.await,
        }
    }

    /// Wakes the tenant's state. If the storage refuses, the platform rings again: jobs may wait for
    /// nothing else.
    async fn alarm(&self) -> Result<Response> {
        self.object.memory.borrow_mut().wakeups.alarm_rang();
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
    /// Begins to answer a request. What is asked most is answered at once.
    fn begin(self: Rc<Self>, mut request: Request) -> Result<Begun> {
        let url = request.inner().url();
        let (name, ask) = transport::parts(&url);
        self.memory.borrow_mut().is_called(name);
        match ask {
            Some(ask) => {
                let ask = transport::short_ask(ask).unwrap_or_default();
                match self.handle_encoded(&ask) {
                    Some(Handled::Now(reply)) => Ok(Begun::Done(answer(&reply)?)),
                    Some(Handled::Pending(pending)) => {
                        let signal = request.inner().signal();
                        Ok(Begun::Pending(Box::pin(self.wait(signal, pending))))
                    }
                    None => Ok(Begun::Done(not_an_ask())),
                }
            }
            None if request.method() == Method::Get => {
                let response = self.live.accept(&self.state, &request, |claims| self.status(claims))?;
                Ok(Begun::Done(response))
            }
            None => Ok(Begun::Pending(Box::pin(async move {
                let ask = request.bytes().await?;
                match self.handle_encoded(&ask) {
                    Some(Handled::Now(reply)) => answer(&reply),
                    Some(Handled::Pending(pending)) => {
                        drop(ask);
                        let signal = request.inner().signal();
                        Box::pin(self.wait(signal, pending)).await
                    }
                    None => Ok(not_an_ask()),
                }
            }))),
        }
    }

    /// Answers an ask that waits. `signal` is aborted when the ask's caller goes.
    async fn wait(self: Rc<Self>, signal: AbortSignal, pending: Pending) -> Result<Response> {
        let Pending { ticket, told, can_go } = pending;
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
        // It is dropped without a reply only when the same call has asked again, and then nobody
        // takes this answer.
        answer(&told.await.unwrap_or(Reply::Retry))
    }

    /// Puts what came over the wire to the tenant's state. Returns `None` if that is no ask.
    fn handle_encoded(self: &Rc<Self>, words: &[u8]) -> Option<Handled> {
        from_wire(words).map(|ask| self.handle(ask))
    }

    /// Puts an ask to the tenant's state.
    fn handle(self: &Rc<Self>, ask: Ask) -> Handled {
        let call = match &ask {
            Ask::Gone(call) => {
                self.gone(call);
                return Handled::Now(Reply::Done);
            }
            Ask::Admit(admit) => Some(number(&admit.call)),
            Ask::SubmitJob(keep) => Some(number(&keep.admit.call)),
            _ => None,
        };
        let can_go = call.is_some();
        let handled = self.event(|tenant, waiting, host| {
            #[cfg(feature = "panic-trigger")]
            if let Ask::Admit(admit) = &ask {
                panic_if_asked(&admit.path, "/panic-trigger-object");
            }
            Ok(match tenant.handle(ask, host)? {
                Answer::Now(reply) => Handled::Now(reply),
                Answer::Wait(ticket) => {
                    let (tell, told) = oneshot::channel();
                    waiting.add(ticket, call, tell);
                    Handled::Pending(Pending { ticket, told, can_go })
                }
            })
        });
        handled.unwrap_or(Handled::Now(Reply::Retry))
    }

    /// Takes a call whose caller has gone out of those that wait. If it no longer waits, its permit is
    /// on its way, and comes back unused.
    fn gone(self: &Rc<Self>, call: &str) {
        let ticket = self.memory.borrow().waiting.of_call(number(call));
        if let Some(ticket) = ticket {
            self.give_up(ticket);
        }
    }

    /// Has a waiting call give up its place.
    fn give_up(self: &Rc<Self>, ticket: Ticket) {
        self.event(|tenant, waiting, host| match waiting.remove(ticket) {
            Some(tell) => {
                let _ = tell.send(Reply::Done);
                tenant.cancel(ticket, host)
            }
            None => Ok(()),
        });
    }

    /// Wakes the tenant's state, as its timer or alarm has rung. Returns whether it could be woken.
    fn woken(self: &Rc<Self>) -> bool {
        self.memory.borrow_mut().wakeups.timer_rang();
        self.event(|tenant, _, host| tenant.wake(host)).is_some()
    }

    /// Returns the status document for this key, or the refusal of it.
    fn status(self: &Rc<Self>, claims: Claims) -> Reply {
        match self.handle(Ask::Status(claims)) {
            Handled::Now(reply) => reply,
            Handled::Pending(..) => Reply::Retry,
        }
    }

    /// Handles one event of the tenant's state, which is loaded for it if need be, and all that
    /// follows: answers to those that waited, and the next time to wake. Returns `None` if the
    /// storage refused: then the state is forgotten, since what it holds in memory may not be what
    /// is stored, and all that wait are to ask again.
    pub fn event<T>(
        self: &Rc<Self>,
        act: impl FnOnce(&mut TenantState, &mut Waiting, &mut Host) -> Result<T, StoreError>,
    ) -> Option<T> {
        let mut memory = self.memory.borrow_mut();
        if std::mem::replace(&mut memory.busy, true) {
            memory.forget("an event ended in a panic");
        }
        memory.wakeups.heard(platform::now());
        let done = match self.settings.as_ref() {
            Some(settings) => memory.event(&self.state, settings, act),
            None => Err(StoreError("MASTER_KEY is missing or malformed".to_owned())),
        };
        let done = done.map_err(|StoreError(fault)| memory.forget(&fault)).ok();
        memory.busy = false;
        memory.set_timer();
        memory.set_alarm(&self.state);
        let has_tasks = memory.tenant.as_ref().is_some_and(|(tenant, _)| tenant.has_tasks());
        if has_tasks && memory.handing < MOST_AT_ONCE {
            memory.handing = memory.handing.saturating_add(1);
            platform::spawn(Rc::clone(self).hand_over());
        }
        while let Some(request) = memory.tenant.as_mut().and_then(|(tenant, _)| tenant.next_loan()) {
            platform::spawn(Rc::clone(self).borrow(request));
        }
        if memory.tenant.is_some() && !std::mem::replace(&mut memory.listed, true) {
            let stays = |other: &Weak<Self>| other.upgrade().is_some_and(|other| other.stays());
            LOADED.with_borrow_mut(|loaded| loaded.add(Rc::downgrade(self), stays));
        }
        self.live.changed();
        done
    }

    /// Returns whether its tenant's state stays loaded. That of an object which the platform may have
    /// taken out of memory, since it heard nothing for long and waits for nothing, is dropped: an object
    /// that is still there loads its own again.
    fn stays(self: Rc<Self>) -> bool {
        // Whatever is under way for it holds it too. What is borrowed is the object that loads.
        let Ok(mut memory) = self.memory.try_borrow_mut() else { return true };
        let rests = Rc::strong_count(&self) <= 2 && memory.waiting.is_empty() && memory.wakeups.rests(platform::now());
        if rests {
            (memory.tenant, memory.listed) = (None, false);
        }
        !rests
    }
}

/// Makes the platform's response of a reply.
fn answer(reply: &Reply) -> Result<Response> {
    transport::response(to_wire(reply), reply.is_plain())
}

/// Answers what is no ask.
fn not_an_ask() -> Response {
    let detail = "not an ask: the Worker and the object are of different releases";
    ResponseBuilder::new().with_status(400).fixed(detail.as_bytes().to_vec())
}

/// Reads the settings of the tenant's state; none where `MASTER_KEY` does not serve. The Worker answers 503 `setup`
/// before it comes to that.
fn settings(env: &Env) -> Option<Settings> {
    let text = |name: &str| env.var(name).map(|var| var.to_string()).unwrap_or_default();
    let master = Master::parse(&text("MASTER_KEY")).ok()?;
    Some(Settings { allow_loopback: text("ALLOW_LOOPBACK_VENDORS") == "true", master })
}

/// Reads a call's id as a number.
fn number(call: &str) -> u128 {
    u128::from_str_radix(call, 16).unwrap_or_default()
}
