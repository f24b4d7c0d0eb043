//! What `ask.js` offers, typed. Its comments say what each function does.

use js_sys::Promise;
use wasm_bindgen::prelude::*;
use web_sys::{Request, Response};

#[wasm_bindgen(module = "/src/platform/ask.js")]
extern "C" {
    /// Where an object is.
    pub type Place;

    /// Where the object of a name is.
    #[wasm_bindgen(catch)]
    pub fn place(namespace: &JsValue, name: &str) -> Result<Place, JsValue>;

    /// Asks an object; tells it `gone` if the caller of `request` goes meanwhile. `short`: in the URL, which the platform's traces show.
    #[wasm_bindgen(catch)]
    pub fn ask(
        namespace: &JsValue,
        place: &Place,
        body: &[u8],
        short: bool,
        request: Option<&Request>,
        gone: Option<&[u8]>,
    ) -> Result<Promise, JsValue>;

    /// Opens the live status of a tenant.
    #[wasm_bindgen(catch)]
    pub async fn live(
        namespace: &JsValue,
        tenant: &str,
        claims: &str,
        protocol: Option<&str>,
    ) -> Result<JsValue, JsValue>;

    /// Posts an errand to this same Worker; the status it is taken with, or 0.
    pub async fn post(this_worker: &JsValue, stamp: &str, body: &[u8]) -> JsValue;

    /// An errand that is taken.
    pub type Taken;

    /// Takes it.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Taken;

    /// The answer to the one who posted it.
    #[wasm_bindgen(method, getter)]
    pub fn response(this: &Taken) -> Response;

    /// It is done.
    #[wasm_bindgen(method)]
    pub fn end(this: &Taken);

    /// An object's reply to an ask, that anybody may see.
    pub fn reply(body: &[u8]) -> Response;

    /// The ask that came in the URL, if it did.
    #[wasm_bindgen(catch, js_name = shortAsk)]
    pub fn short_ask(request: &Request) -> Result<Option<Vec<u8>>, JsValue>;
}
