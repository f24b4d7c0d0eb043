//! Timers, and what calls back when a caller goes. Both stop when they are dropped.

use futures_channel::oneshot;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use wasm_bindgen::prelude::*;
use web_sys::{AbortSignal, EventTarget, Request};
use worker::Delay;

// `gloo-timers` and `web-sys` bind `clearTimeout` as if it never threw. It throws where a finaliser
// calls it, outside any request of the object's: there the platform has no timers.
#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_name = setTimeout)]
    fn set_timeout(then: &JsValue, milliseconds: f64) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = clearTimeout)]
    fn clear_timeout(timer: &JsValue) -> Result<(), JsValue>;
}

/// Calls a JavaScript function after so many milliseconds, unless it is dropped before.
pub struct Timeout(JsValue);

impl Timeout {
    /// Sets it.
    ///
    /// # Errors
    /// If the platform has no timers here.
    pub fn new(then: &JsValue, milliseconds: f64) -> Result<Self, JsValue> {
        set_timeout(then, milliseconds).map(Self)
    }
}

impl Drop for Timeout {
    fn drop(&mut self) {
        let _ = clear_timeout(&self.0);
    }
}

/// One timer that can be set again and again; it calls back once each time it is set.
pub struct Timer {
    then: Closure<dyn FnMut()>,
    /// From when it is set until it rings.
    set: Rc<Cell<Option<Timeout>>>,
}

impl Timer {
    /// Makes a timer that is not set.
    pub fn new(mut then: impl FnMut() + 'static) -> Self {
        let set = Rc::new(Cell::new(None));
        let rung = Rc::clone(&set);
        let then = Closure::own_assert_unwind_safe(move || {
            rung.set(None);
            then();
        });
        Self { then, set }
    }

    /// Calls back after so many milliseconds, and not when it was to before.
    pub fn set(&self, milliseconds: i64) {
        self.stop();
        self.set.set(Timeout::new(self.then.as_ref(), milliseconds.max(0) as f64).ok());
    }

    /// Does not call back.
    pub fn stop(&self) {
        self.set.set(None);
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Calls back when a signal is aborted: when the caller of a request goes.
pub struct AbortListener {
    signal: AbortSignal,
    then: Closure<dyn FnMut()>,
}

impl AbortListener {
    /// Begins to listen. It does not call back for a signal that is aborted already.
    pub fn new(signal: AbortSignal, then: impl FnMut() + 'static) -> Self {
        let then = Closure::own_assert_unwind_safe(then);
        let _ = target(&signal).add_event_listener_with_callback("abort", then.as_ref().unchecked_ref());
        Self { signal, then }
    }
}

impl Drop for AbortListener {
    fn drop(&mut self) {
        let then = self.then.as_ref().unchecked_ref();
        let _ = target(&self.signal).remove_event_listener_with_callback("abort", then);
    }
}

fn target(signal: &AbortSignal) -> &EventTarget {
    signal
}

/// Waits so many milliseconds.
pub async fn sleep(milliseconds: u64) {
    Delay::from(Duration::from_millis(milliseconds)).await;
}

/// Waits so many milliseconds, and no longer than the caller of the request does. Returns whether
/// the caller is still there.
pub async fn sleep_while_wanted(milliseconds: u64, caller: &Request) -> bool {
    let signal = caller.signal();
    if signal.aborted() {
        return false;
    }
    let (tell, told) = oneshot::channel();
    let tell = Rc::new(Cell::new(Some(tell)));
    let told_once = |there: bool| {
        let tell = Rc::clone(&tell);
        move || {
            if let Some(tell) = tell.take() {
                let _ = tell.send(there);
            }
        }
    };
    let timer = Timer::new(told_once(true));
    timer.set(i64::try_from(milliseconds).unwrap_or(i64::MAX));
    let _listener = AbortListener::new(signal, told_once(false));
    told.await.unwrap_or(true)
}
