//! The platform, as the rest of the Wasm sees it: the few functions of `glue.js`, and what pure code asks of a platform.

mod glue;

pub use glue::{
    Sent, Taken, Timer, Watch, all, answer, ask, bytes, drain, file, live, load, log, pause, post_form, read,
    read_whole, run, run_with_id, run_with_row, send, sign,
};

use crate::civil::Zones;
use wasm_bindgen::JsValue;

/// Zones as `Intl` knows them.
pub struct Intl;

impl Zones for Intl {
    fn offset_seconds(&self, zone: &str, at: i64) -> Option<i32> {
        // Whole, and within a day either way: nothing is lost in the conversion. NaN for an unknown zone.
        let seconds = glue::offset(zone, at as f64);
        (seconds.abs() <= 86_400.0).then_some(seconds as i32)
    }
}

/// Unix time, milliseconds. It stands still while nothing is awaited.
pub fn now() -> i64 {
    // Whole, and far below 2^53.
    glue::now() as i64
}

/// Sets the object's alarm, Unix ms.
pub fn set_alarm(storage: &JsValue, at: i64) {
    glue::set_alarm(storage, at as f64);
}

/// Posts an errand to this same Worker; the status it is taken with, or 0 if nobody can say.
pub async fn post(this_worker: &JsValue, stamp: &str, body: &[u8]) -> u16 {
    glue::post(this_worker, stamp, body).await.as_f64().map_or(0, |status| status as u16)
}

/// Random bytes of the platform's generator.
pub fn random(bytes: &mut [u8]) {
    if getrandom::fill(bytes).is_err() {
        // The platform's generator cannot fail once the Worker runs; if it did, nothing may go on with a guessable id.
        wasm_bindgen::throw_str("the platform has no random numbers");
    }
}

/// 128 random bits, hexadecimal.
pub fn random_id() -> String {
    let mut bytes = [0; 16];
    random(&mut bytes);
    bytes.iter().fold(String::with_capacity(32), |mut id, byte| {
        id.extend([byte >> 4, byte & 15].map(|half| char::from_digit(u32::from(half), 16).unwrap_or('0')));
        id
    })
}
