//! The platform, as the rest of the Wasm sees it: the few functions of `glue.js`, `upload.js`, `ask.js` and `object.js`, and what pure code asks
//! of a platform.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of JavaScript's becomes the nearest integer there is"
)]

mod ask;
mod glue;
mod object;
mod upload;

pub use ask::{Place, Taken, ask, live, place, reply, short_ask};
pub use glue::{
    Context, Deferred, Sent, answer, answer_bytes, answer_whole, bytes, bytes_of, deferred, drain, file, keep, log,
    pause, post_form, read, read_copy, read_whole, send, sign,
};
pub use object::{
    State, Timer, Watch, accept, all, all_after, close, load, note, run, run_with_id, run_with_row, sockets, sql_of,
    tell_all,
};
pub use upload::{measure, read_first};

use js_sys::Promise;
use js_sys::futures::future_to_promise;
use sluice_limiter::calendar::Zones;
use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use wasm_bindgen::prelude::*;

/// Zones as `Intl` knows them.
pub struct Intl;

impl Zones for Intl {
    fn offset_seconds(&self, zone: &str, at: i64) -> Option<i32> {
        // Whole, and within a day either way: nothing is lost in the conversion. NaN for an unknown zone.
        let seconds = object::offset(zone, at as f64);
        (seconds.abs() <= 86_400.0).then_some(seconds as i32)
    }
}

/// Unix time, milliseconds. It stands still while nothing is awaited.
pub fn now() -> i64 {
    time(glue::now())
}

/// A time of JavaScript's, whole and far below 2^53.
pub const fn time(ms: f64) -> i64 {
    ms as i64
}

/// Sets the object's alarm, Unix ms.
pub fn set_alarm(storage: &JsValue, at: i64) {
    object::set_alarm(storage, at as f64);
}

/// Posts an errand to this same Worker; the status it is taken with, or 0 if nobody can say.
pub async fn post(this_worker: &JsValue, stamp: &str, body: &[u8]) -> u16 {
    ask::post(this_worker, stamp, body).await.as_f64().map_or(0, |status| status as u16)
}

/// What an entry point of the Wasm gives back: a promise of a future's end. All futures are driven as one type: each type
/// of its own would cost some 4 kB of Wasm.
pub fn promise(future: impl Future<Output = Result<JsValue, JsValue>> + 'static) -> Promise {
    let future: Pin<Box<dyn Future<Output = Result<JsValue, JsValue>>>> = Box::pin(future);
    future_to_promise(AssertUnwindSafe(future))
}

/// Goes on with a future when what runs now is done.
pub fn spawn(future: impl Future<Output = ()> + 'static) -> Promise {
    // A future that awaits one it was made with has room for both.
    let future = Box::pin(future);
    promise(async {
        future.await;
        Ok(JsValue::UNDEFINED)
    })
}

/// Runs once for each instance of the Wasm.
#[wasm_bindgen(start)]
fn start() {
    let fatal = cfg!(not(panic = "unwind"));
    std::panic::set_hook(Box::new(move |info| glue::panicked(&info.to_string(), fatal)));
    glue::started();
    wasm_bindgen::handler::set_on_abort(wasm_bindgen::handler::schedule_reinit);
}

/// Asked after by worker-build's shim.
#[wasm_bindgen(js_name = "__worker_init_state")]
pub fn init_state() -> JsValue {
    glue::init_state()
}

/// Random bytes of the platform's generator.
pub fn random(bytes: &mut [u8]) {
    if getrandom::fill(bytes).is_err() {
        // The platform's generator cannot fail once the Worker runs; if it did, nothing may go on with a guessable id.
        wasm_bindgen::throw_str("the platform has no random numbers");
    }
}

thread_local! {
    /// Ids to come: to ask the platform for one costs the same as for many.
    static AHEAD: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
}

/// 128 random bits, hexadecimal.
pub fn random_id() -> String {
    let bytes = AHEAD.with_borrow_mut(|ahead| {
        ahead.pop().unwrap_or_else(|| {
            let mut ids = [[0; 16]; 16];
            random(ids.as_flattened_mut());
            let [first, others @ ..] = ids;
            ahead.extend(others);
            first
        })
    });
    bytes.iter().fold(String::with_capacity(32), |mut id, byte| {
        id.extend([byte >> 4, byte & 15].map(|half| char::from_digit(u32::from(half), 16).unwrap_or('0')));
        id
    })
}
