//! `/status/live`: the status document over WebSockets, whenever it has changed, at most twice a
//! second. The sockets outlive the object's memory; what is here is made anew when it wakes.

use crate::platform::{self, Timer};
use crate::transport;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sluice_core::backlog_share::{app_number, may_watch};
use sluice_core::keys::Claims;
use sluice_core::protocol::{Reply, from_wire, to_wire};
use sluice_core::tenant::live_feed::{LiveFeed, PushStep};
use std::cell::RefCell;
use wasm_bindgen::prelude::*;
use worker::{Request, Response, ResponseBuilder, Result, State, WebSocket, WebSocketPair};

/// Sockets of one tenant at once: an organisation's screens, and some. The document is made once
/// for all of them, and what is left for each, twice a second, is to be sent it.
const MOST_SOCKETS: u64 = 250;

/// WebSocket close code for a key that no longer holds (RFC 6455, section 7.4.1: policy violation).
const REFUSED: u16 = 1008;

/// The live status of one object.
pub struct LiveStatus {
    /// When it is pushed. No borrow lives while the status is asked for, which is another event.
    feed: RefCell<LiveFeed>,
    timer: RefCell<Option<Timer>>,
}

impl LiveStatus {
    /// Makes the feed for the sockets that the object still has.
    pub fn new(state: &State) -> Self {
        let feed = LiveFeed::new(!state.get_websockets().is_empty());
        Self { feed: RefCell::new(feed), timer: RefCell::new(None) }
    }

    /// Sets what is called when it is time to push.
    pub fn calls_back(&self, push: impl FnMut() + 'static) {
        *self.timer.borrow_mut() = Some(Timer::new(push));
    }

    /// Notes that the document may have changed.
    pub fn changed(&self) {
        let at = self.feed.borrow_mut().changed();
        self.look_at(at);
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
        let at_once = self.feed.borrow_mut().is_first_sent_at_once(now);
        let response = accepted(state, request, &note, at_once.then_some(document.as_str()))?;
        let at = self.feed.borrow_mut().took_in(at_once, now);
        self.look_at(at);
        Ok(response)
    }

    /// Sends the document to every socket if it has changed, and looks again later. It is the same
    /// for all who may see it, so it is made once; `seen` says for each key whether it may, and
    /// what.
    pub fn push(&self, state: &State, seen: impl Fn(&[Claims]) -> Option<(Vec<bool>, String)>) {
        let (sockets, now) = (state.get_websockets(), platform::now());
        let step = self.feed.borrow_mut().begin_push(!sockets.is_empty(), now);
        match step {
            PushStep::Nothing => return,
            PushStep::Later(at) => return self.look_at(Some(at)),
            PushStep::Push => {}
        }
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
        // If the storage refuses, the object's next epoch pushes it.
        if let Some((may_see, document)) = seen(&keys) {
            let mut told = Vec::new();
            for (socket, place) in whose {
                if place.and_then(|place| may_see.get(place)).is_some_and(|may_see| *may_see) {
                    told.push(socket);
                } else {
                    let _ = socket.close(Some(REFUSED), Some("the key no longer holds"));
                }
            }
            let is_news = self.feed.borrow_mut().is_news(&document, now);
            if is_news {
                tell_all(&told, &document);
                self.feed.borrow_mut().pushed(platform::now());
            }
        }
        let at = self.feed.borrow_mut().end_push(now);
        self.look_at(at);
    }

    /// Sets the timer, if a push is to be tried at another moment than before, Unix ms.
    fn look_at(&self, at: Option<i64>) {
        if let (Some(at), Some(timer)) = (at, &*self.timer.borrow()) {
            timer.set(at.saturating_sub(platform::now()));
        }
    }
}

/// Returns whether there is a place for a socket of these claims, beside those that are open.
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

/// Reads what a socket was taken in with.
fn note_of(socket: &WebSocket) -> Option<String> {
    socket.deserialize_attachment().ok().flatten()
}

/// Reads the claims that a socket was opened with.
fn claims(note: &str) -> Option<Claims> {
    from_wire(&URL_SAFE_NO_PAD.decode(note).ok()?)
}
