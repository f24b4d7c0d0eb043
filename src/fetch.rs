//! Fetching from the network: with a deadline, past every cache, and without following redirects.

use crate::platform::Timeout;
use js_sys::{Object, Promise, Reflect};
use std::cell::Cell;
use wasm_bindgen::prelude::*;
use web_sys::{AbortController, Headers, Request, RequestInit, RequestRedirect};

#[wasm_bindgen]
extern "C" {
    // As a method of the global scope, since an exported function of the Worker is called `fetch`
    // too. `web-sys` binds it as if it never threw.
    type Scope;

    #[wasm_bindgen(method, catch, js_name = fetch)]
    fn fetch_request(this: &Scope, request: &Request, init: &RequestInit) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = fetch)]
    fn fetch_url(this: &Scope, url: &str, init: &RequestInit) -> Result<Promise, JsValue>;

    /// What an init of the platform has beyond the standard.
    type PlatformInit;

    #[wasm_bindgen(method, setter)]
    fn set_cf(this: &PlatformInit, cf: &JsValue);

    #[wasm_bindgen(method, setter, js_name = encodeResponseBody)]
    fn set_encode_response_body(this: &PlatformInit, encode: &JsValue);

    #[wasm_bindgen(method, setter, js_name = encodeBody)]
    fn set_encode_body(this: &PlatformInit, encode: &JsValue);

    type Control;

    #[wasm_bindgen(method, getter)]
    fn abort(this: &Control) -> Abort;

    type Abort;

    #[wasm_bindgen(method)]
    fn bind(this: &Abort, control: &JsValue, reason: &JsValue) -> JsValue;
}

/// The reason of a signal that was aborted since the time was over. stream.js compares with it.
const TIMEOUT: &str = "timeout";

thread_local! {
    /// Never stored, never answered from the platform's cache. `cache: "no-store"` would do it too,
    /// but shows the vendor two headers that the caller has not sent; and `worker::CfProperties`
    /// sends other properties along.
    static UNCACHED: JsValue = uncached();

    /// Made once, as every call needs it twice.
    static MANUAL: JsValue = JsValue::from("manual");
}

fn uncached() -> JsValue {
    let (cf, by_status) = (Object::new(), Object::new());
    let _ = Reflect::set(&by_status, &JsValue::from("200-599"), &JsValue::from(-1));
    let _ = Reflect::set(&cf, &JsValue::from("cacheTtlByStatus"), &by_status);
    cf.into()
}

/// Leaves the body of a response as it is, whatever its `Content-Encoding` says: the option of the
/// platform's own init.
pub fn encode_manually(init: &web_sys::ResponseInit) {
    MANUAL.with(|manual| init.unchecked_ref::<PlatformInit>().set_encode_body(manual));
}

/// Makes what every fetch has in its init.
pub fn init(headers: &Headers, deadline: &Deadline) -> RequestInit {
    let init = RequestInit::new();
    init.set_headers(headers);
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(&deadline.control.signal()));
    UNCACHED.with(|uncached| init.unchecked_ref::<PlatformInit>().set_cf(uncached));
    init
}

/// Fetches a URL. `manual`: the answer's body is to come as it is, and not decoded.
///
/// # Errors
/// If the platform does not take it.
pub fn url(url: &str, init: &RequestInit, manual: bool) -> Result<Promise, JsValue> {
    if manual {
        leave_encoded(init);
    }
    js_sys::global().unchecked_ref::<Scope>().fetch_url(url, init)
}

/// Fetches a request whose answer's body is to come as it is.
///
/// # Errors
/// If the platform does not take it.
pub fn request(request: &Request) -> Result<Promise, JsValue> {
    let init = RequestInit::new();
    leave_encoded(&init);
    js_sys::global().unchecked_ref::<Scope>().fetch_request(request, &init)
}

fn leave_encoded(init: &RequestInit) {
    MANUAL.with(|manual| init.unchecked_ref::<PlatformInit>().set_encode_response_body(manual));
}

/// How long a fetch may take, its body included.
pub struct Deadline {
    pub control: AbortController,
    timeout: Cell<Option<Timeout>>,
}

impl Deadline {
    /// Begins to count the time.
    ///
    /// # Errors
    /// If the platform has no timers here.
    pub fn new(milliseconds: u64) -> Result<Self, JsValue> {
        let control = AbortController::new()?;
        // A function of JavaScript's own: a closure of Rust's costs more, and every call has one of
        // these.
        let abort = control.unchecked_ref::<Control>().abort().bind(&control, &JsValue::from(TIMEOUT));
        let timeout = Timeout::new(&abort, milliseconds as f64)?;
        Ok(Self { control, timeout: Cell::new(Some(timeout)) })
    }

    /// Returns whether the time is over.
    pub fn has_passed(&self) -> bool {
        self.control.signal().reason().as_string().as_deref() == Some(TIMEOUT)
    }

    /// Stops the time-out: all has come.
    pub fn stop(&self) {
        self.timeout.set(None);
    }

    /// Gives the fetch up.
    pub fn abort(&self) {
        self.stop();
        self.control.abort();
    }
}
