//! `/status/live`: the status document over WebSockets, whenever it has changed, at most twice a second. The sockets
//! outlive the object's memory; what is here is made anew when it wakes.

use super::protocol::{Reply, from_wire, to_wire};
use crate::key::Claims;
use crate::map::Map;
use crate::platform::{self, State, Timer};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::cell::{Cell, RefCell};
use wasm_bindgen::JsValue;
use web_sys::{Request, Response};

/// Least time between two documents on one socket, ms: twice a second.
const APART_MS: i64 = 500;

/// How often the document is looked at without a call, ms: windows empty and pauses end by themselves.
const LOOK_MS: i64 = 1_000;

/// How long without a change until nobody looks any more and the object may sleep, ms: longer than a minute's window.
const LOOK_FOR_MS: i64 = 120_000;

/// Sockets of one tenant at once. Each costs a message twice a second.
const MOST_SOCKETS: u32 = 100;

/// WebSocket close code for a key that no longer holds (RFC 6455, section 7.4.1: policy violation).
const REFUSED: u16 = 1008;

/// The live feed of one object.
pub struct Live {
    /// There may be sockets.
    open: Cell<bool>,
    pushed_at: Cell<i64>,
    changed_at: Cell<i64>,
    due: Cell<bool>,
    timer: RefCell<Option<Timer>>,
    last: RefCell<String>,
}

impl Live {
    /// A feed for the sockets that the object still has.
    pub fn new(state: &State) -> Self {
        Self {
            open: Cell::new(platform::sockets(state).length() > 0),
            pushed_at: Cell::new(0),
            changed_at: Cell::new(0),
            due: Cell::new(false),
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
        if !self.open.get() || self.due.replace(true) {
            return;
        }
        self.look_in(self.pushed_at.get().saturating_add(APART_MS).saturating_sub(platform::now()));
    }

    /// Takes a socket in, unless the key may not see the status: then the object's reply says why.
    pub fn accept(
        &self,
        state: &State,
        request: &Request,
        status: impl Fn(Claims) -> Reply,
    ) -> Result<Response, JsValue> {
        let note = request.headers().get("Sluice-Claims")?.unwrap_or_default();
        let reply = match claims(&note) {
            Some(claims) => status(claims),
            None => Reply::Again,
        };
        let document = match reply {
            Reply::Document { status: 200, body, .. } => body,
            reply => return Ok(platform::answer_bytes(200, &to_wire(&reply))),
        };
        if platform::sockets(state).length() >= MOST_SOCKETS {
            return Ok(platform::answer_bytes(200, &to_wire(&Reply::Again)));
        }
        let response = platform::accept(state, request, &note, &document)?;
        self.open.set(true);
        self.changed_at.set(platform::now());
        self.look_in(LOOK_MS);
        Ok(response)
    }

    /// Sends the document to every socket if it has changed, and looks again later.
    pub fn push(&self, state: &State, status: impl Fn(Claims) -> Reply) {
        self.due.set(false);
        let sockets = platform::sockets(state);
        if sockets.length() == 0 {
            self.open.set(false);
            return;
        }
        // Asking for the status is an event too; it must not ask for the next push.
        self.due.set(true);
        let now = platform::now();
        let mut documents = Map::new();
        let mut changed = false;
        for socket in sockets.iter() {
            let Some(claims) = platform::note(&socket).as_deref().and_then(claims) else { continue };
            let id = claims.id.clone();
            if !documents.contains_key(&id) {
                documents.insert(id.clone(), readable(claims, &status, now));
            }
            match documents.get(&id).and_then(Option::as_ref) {
                Some(document) if changed || self.differs(document) => {
                    changed = true;
                    platform::tell(&socket, document);
                }
                Some(_) => {}
                None => platform::close(&socket, REFUSED, "the key no longer holds"),
            }
        }
        self.due.set(false);
        if changed {
            self.pushed_at.set(now);
            self.changed_at.set(now);
        }
        if now.saturating_sub(self.changed_at.get()) < LOOK_FOR_MS {
            self.look_in(LOOK_MS);
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

    fn look_in(&self, milliseconds: i64) {
        if let Some(timer) = &mut *self.timer.borrow_mut() {
            timer.set(milliseconds);
        }
    }
}

/// The document for this key; none once the key is revoked, or its time is over.
fn readable(claims: Claims, status: impl Fn(Claims) -> Reply, now: i64) -> Option<String> {
    let expired =
        claims.expires.is_some_and(|expires| i64::try_from(expires).is_ok_and(|expires| expires <= now / 1_000));
    match (!expired).then(|| status(claims)) {
        Some(Reply::Document { status: 200, body, .. }) => Some(body),
        _ => None,
    }
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
