//! The platform, as the rest of the Wasm sees it: what `worker` and `web-sys` do not give as it is
//! needed.

mod headers;
mod timer;
mod zones;

pub use headers::{change_headers, new_headers, read_headers};
pub use timer::{AbortListener, Timeout, Timer, sleep, sleep_while_wanted};
pub use zones::IntlZones;

use js_sys::futures::future_to_promise;
use serde::Serialize;
use sluice_core::document::text;
use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use wasm_bindgen::JsValue;
use worker::console_log;

/// Returns the Unix time in milliseconds. It stands still while nothing is awaited.
#[expect(clippy::cast_possible_truncation, reason = "whole, and far below 2^53")]
pub fn now() -> i64 {
    js_sys::Date::now() as i64
}

/// Writes a line to the log, which no secret may be in.
pub fn log(line: &impl Serialize) {
    console_log!("{}", text(line));
}

/// Goes on with a future when what runs now is done. A panic in it becomes a rejection that the
/// platform logs, and nothing else stops: in the queue of `spawn_local` it would hold up the
/// futures behind it.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    // Boxed first: a future that awaits one it was made with has room for both.
    let future = Box::pin(future);
    let _ = future_to_promise(AssertUnwindSafe(async {
        future.await;
        Ok(JsValue::UNDEFINED)
    }));
}

/// Fills `bytes` from the platform's random generator.
pub fn random(bytes: &mut [u8]) {
    if getrandom::fill(bytes).is_err() {
        // The platform's generator cannot fail once the Worker runs; if it did, nothing may go on
        // with a guessable id.
        wasm_bindgen::throw_str("the platform has no random numbers");
    }
}

thread_local! {
    /// Ids to come: to ask the platform for one costs the same as for many.
    static AHEAD: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
}

/// Returns 128 random bits, hexadecimal.
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
