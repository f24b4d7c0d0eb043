//! What `object.js` offers, typed: for inside a tenant's object. Its comments say what each function does.

use js_sys::Array;
use std::cell::Cell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_sys::{Request, Response};

#[wasm_bindgen(module = "/src/platform/object.js")]
extern "C" {
    /// The platform's side of an object.
    pub type State;

    /// Its storage.
    #[wasm_bindgen(method, getter)]
    pub fn storage(this: &State) -> JsValue;

    /// Its SQLite.
    #[wasm_bindgen(js_name = sqlOf)]
    pub fn sql_of(state: &State) -> JsValue;

    /// Takes a WebSocket in; `note` stays with it, and `first` is its first message, unless it is empty.
    #[wasm_bindgen(catch)]
    pub fn accept(state: &State, request: &Request, note: &str, first: &str) -> Result<Response, JsValue>;

    /// The WebSockets that are open.
    pub fn sockets(state: &State) -> Array;

    /// What a WebSocket was taken in with.
    pub fn note(socket: &JsValue) -> Option<String>;

    /// Sends one message to several. A socket that cannot be sent to is closing.
    #[wasm_bindgen(js_name = tellAll)]
    pub fn tell_all(sockets: &Array, message: &str);

    /// Closes it.
    pub fn close(socket: &JsValue, code: u16, reason: &str);

    fn after(milliseconds: f64, then: &JsValue) -> JsValue;

    fn cancel(timer: &JsValue);

    /// Sets the object's alarm, Unix ms.
    #[wasm_bindgen(js_name = setAlarm)]
    pub fn set_alarm(storage: &JsValue, at: f64);

    fn watch(request: &JsValue, then: &JsValue);

    fn unwatch(request: &JsValue, then: &JsValue);

    /// A zone's offset from UTC, seconds; NaN for an unknown zone.
    pub fn offset(zone: &str, at: f64) -> f64;

    /// A row's value by its id, or undefined.
    #[wasm_bindgen(catch)]
    pub fn load(sql: &JsValue, query: &str, id: &str) -> Result<JsValue, JsValue>;

    /// Every row: id and value.
    #[wasm_bindgen(catch)]
    pub fn all(sql: &JsValue, query: &str) -> Result<Array, JsValue>;

    /// The same, of those after an id, and so many at most.
    #[wasm_bindgen(catch, js_name = all)]
    pub fn all_after(sql: &JsValue, query: &str, after: &str, most: u32) -> Result<Array, JsValue>;

    /// Runs a statement.
    #[wasm_bindgen(catch)]
    pub fn run(sql: &JsValue, query: &str) -> Result<(), JsValue>;

    /// The same for one row.
    #[wasm_bindgen(catch, js_name = run)]
    pub fn run_with_id(sql: &JsValue, query: &str, id: &str) -> Result<(), JsValue>;

    /// The same with a row's value.
    #[wasm_bindgen(catch, js_name = run)]
    pub fn run_with_row(sql: &JsValue, query: &str, id: &str, value: &[u8]) -> Result<(), JsValue>;
}

/// One timer that can be set again and again; it calls back once each time it is set. Dropped, it is stopped.
pub struct Timer {
    then: Closure<dyn FnMut()>,
    /// What the platform knows it by, from when it is set until it rings.
    set: Rc<Cell<Option<JsValue>>>,
}

impl Timer {
    /// A timer that is not set.
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
        self.set.set(Some(after(milliseconds.max(0) as f64, self.then.as_ref())));
    }

    /// Does not call back.
    pub fn stop(&self) {
        if let Some(timer) = self.set.take() {
            cancel(&timer);
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Calls back if the caller of an object's request goes; no longer when dropped.
pub struct Watch {
    request: JsValue,
    then: Closure<dyn FnMut()>,
}

impl Watch {
    /// Begins to watch. A caller already gone is called back for at once.
    pub fn new(request: &Request, then: impl FnMut() + 'static) -> Self {
        let then = Closure::own_assert_unwind_safe(then);
        let request = JsValue::from(AsRef::<JsValue>::as_ref(request));
        watch(&request, then.as_ref());
        Self { request, then }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        unwatch(&self.request, self.then.as_ref());
    }
}
