//! `/status/live`: the status document over WebSockets, whenever it has changed, at most twice a
//! second. The sockets outlive the object's memory; what is here is made anew when it wakes.

use crate::platform::{self, Timer};
use crate::transport;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sluice_core::backlog_share::{app_number, may_watch};
use sluice_core::keys::Claims;
use sluice_core::protocol::{Reply, from_wire, to_wire};
use std::cell::{Cell, RefCell};
use wasm_bindgen::prelude::*;
use worker::{Request, Response, ResponseBuilder, Result, State, WebSocket, WebSocketPair};

/// Least time between two documents on one socket, ms: twice a second.
const APART_MS: i64 = 500;

/// How often the document is looked at without a call, ms: windows empty and pauses end by
/// themselves.
const LOOK_MS: i64 = 1_000;

/// How long without a change until nobody looks any more and the object may sleep, ms: longer than
/// a minute's window.
const LOOK_FOR_MS: i64 = 120_000;

/// Sockets of one tenant at once: an organisation's screens, and some. The document is made once
/// for all of them, and what is left for each, twice a second, is to be sent it.
const MOST_SOCKETS: u64 = 250;

/// WebSocket close code for a key that no longer holds (RFC 6455, section 7.4.1: policy violation).
const REFUSED: u16 = 1008;

/// The live feed of one object.
pub struct LiveStatus {
    /// There may be sockets.
    open: Cell<bool>,
    pushed_at: Cell<i64>,
    changed_at: Cell<i64>,
    /// A push is under way: asking for the status is an event too, and must not ask for the next
    /// push.
    pushing: Cell<bool>,
    /// What the timer is set to, Unix ms.
    look_at: Cell<i64>,
    timer: RefCell<Option<Timer>>,
    last: RefCell<String>,
}

impl LiveStatus {
    /// A feed for the sockets that the object still has.
    pub fn new(state: &State) -> Self {
        Self {
            open: Cell::new(!state.get_websockets().is_empty()),
            pushed_at: Cell::new(0),
            changed_at: Cell::new(0),
            pushing: Cell::new(false),
            look_at: Cell::new(i64::MAX),
            timer: RefCell::new(None),
            last: RefCell::default(),
        }
    }

    /// What is called when it is time to push.
    pub fn calls_back(&self, push: impl FnMut() + 'static) {
        *self.timer.borrow_mut() = Some(Timer::new(push));
    }

    /// The document may have changed.
    pub fn changed(&self) {
        if self.open.get() && !self.pushing.get() {
            self.look_by(self.may_push_at());
        }
    }

    /// Takes a socket in, unless the key may not see the status: then the object's reply says why.
    pub fn accept(&self, state: &State, request: &Request, status: impl Fn(Claims) -> Reply) -> Result<Response> {
        let note = request.headers().get("Sluice-Claims")?.unwrap_or_default();
        let reply = match claims(&note) {
            Some(claims) => status(claims),
            None => Reply::Retry,
        };
        let document = match reply {
            Reply::Document { status: 200, body, .. } => body,
            reply => return transport::response(to_wire(&reply), false),
        };
        if !has_place(state, &note) {
            return transport::response(to_wire(&Reply::Retry), false);
        }
        let now = platform::now();
        // Its first document counts as a push, so that none follows too soon; or it comes with the
        // one that is due.
        let at_once = now >= self.may_push_at();
        if at_once {
            self.pushed_at.set(now);
        } else {
            self.last.borrow_mut().clear();
        }
        let response = accepted(state, request, &note, at_once.then_some(document.as_str()))?;
        self.open.set(true);
        self.changed_at.set(now);
        self.look_by(if at_once { now.saturating_add(LOOK_MS) } else { self.may_push_at() });
        Ok(response)
    }

    /// Sends the document to every socket if it has changed, and looks again later. It is the same
    /// for all who may see it, so it is made once; `seen` says for each key whether it may, and
    /// what.
    pub fn push(&self, state: &State, seen: impl Fn(&[Claims]) -> Option<(Vec<bool>, String)>) {
        self.look_at.set(i64::MAX);
        let sockets = state.get_websockets();
        if sockets.is_empty() {
            self.open.set(false);
            return;
        }
        let now = platform::now();
        // Asked for before a socket came that has just had its first document.
        if now < self.may_push_at() {
            return self.look_by(self.may_push_at());
        }
        self.pushing.set(true);
        let (mut notes, mut keys) = (Vec::new(), Vec::new());
        let mut whose = Vec::new();
        for socket in sockets {
            let Some(note) = note_of(&socket) else { continue };
            let known = notes.iter().position(|known| *known == note);
            let place = known.or_else(|| {
                keys.push(claims(&note)?);
                notes.push(note);
                notes.len().checked_sub(1)
            });
            whose.push((socket, place));
        }
        // If the storage refuses, the next life tells.
        if let Some((may_see, document)) = seen(&keys) {
            let mut told = Vec::new();
            for (socket, place) in whose {
                if place.and_then(|place| may_see.get(place)).is_some_and(|may_see| *may_see) {
                    told.push(socket);
                } else {
                    let _ = socket.close(Some(REFUSED), Some("the key no longer holds"));
                }
            }
            if self.differs(&document) {
                tell_all(&told, &document);
                self.pushed_at.set(platform::now());
                self.changed_at.set(now);
            }
        }
        self.pushing.set(false);
        if now.saturating_sub(self.changed_at.get()) < LOOK_FOR_MS {
            self.look_by(now.saturating_add(LOOK_MS));
        }
    }

    /// Whether this is news, but for the time it was written at; and remembers it.
    fn differs(&self, document: &str) -> bool {
        let document = without_time(document);
        let mut last = self.last.borrow_mut();
        let differs = *last != document;
        if differs {
            *last = document;
        }
        differs
    }

    /// From when on there may be a push, Unix ms.
    fn may_push_at(&self) -> i64 {
        self.pushed_at.get().saturating_add(APART_MS)
    }

    /// Sees to it that a push is tried by then, Unix ms.
    fn look_by(&self, at: i64) {
        if at >= self.look_at.get() {
            return;
        }
        if let Some(timer) = &*self.timer.borrow() {
            self.look_at.set(at);
            timer.set(at.saturating_sub(platform::now()));
        }
    }
}

/// Whether there is a place for a socket of these claims, beside those that are open.
fn has_place(state: &State, note: &str) -> bool {
    let app = |note: &str| claims(note).and_then(|claims| claims.app).map(|app| app_number(&app));
    let sockets = state.get_websockets();
    let watching = sockets.iter().map(|socket| note_of(socket).as_deref().and_then(app));
    may_watch(MOST_SOCKETS, watching, app(note))
}

/// Takes a WebSocket in, which may outlive the object's memory. Its note stays with it; `first` is
/// its first message.
fn accepted(state: &State, request: &Request, note: &str, first: Option<&str>) -> Result<Response> {
    let WebSocketPair { client, server } = WebSocketPair::new()?;
    state.accept_web_socket(&server);
    server.serialize_attachment(note)?;
    if let Some(first) = first {
        server.send_with_str(first)?;
    }
    let mut response = ResponseBuilder::new().with_status(101).with_websocket(client);
    if let Some(protocol) = request.headers().get("Sec-WebSocket-Protocol")? {
        response = response.with_header("Sec-WebSocket-Protocol", &protocol)?;
    }
    Ok(response.empty())
}

#[wasm_bindgen]
extern "C" {
    /// A socket that a text is sent to which JavaScript has already.
    type Socket;

    #[wasm_bindgen(method, catch)]
    fn send(this: &Socket, message: &JsValue) -> Result<(), JsValue>;
}

/// Sends one message to several sockets. One that cannot be sent to is closing. The message is made
/// a text of JavaScript's once: `worker` and `web-sys` would do it again for each of hundreds of
/// sockets.
fn tell_all(sockets: &[WebSocket], message: &str) {
    let message = JsValue::from(message);
    for socket in sockets {
        let socket: &web_sys::WebSocket = socket.as_ref();
        let _ = socket.unchecked_ref::<Socket>().send(&message);
    }
}

/// What a socket was taken in with.
fn note_of(socket: &WebSocket) -> Option<String> {
    socket.deserialize_attachment().ok().flatten()
}

/// The claims a socket was opened with.
fn claims(note: &str) -> Option<Claims> {
    from_wire(&URL_SAFE_NO_PAD.decode(note).ok()?)
}

/// The document without the value of its first `at`.
fn without_time(document: &str) -> String {
    let Some((before, after)) = document.split_once("\"at\":\"") else { return document.to_owned() };
    let (_, after) = after.split_once('"').unwrap_or(("", after));
    format!("{before}{after}")
}
