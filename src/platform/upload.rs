//! What `upload.js` offers, typed. Its comments say what each function does.

use wasm_bindgen::prelude::*;
use web_sys::Request;

#[wasm_bindgen(module = "/src/platform/upload.js")]
extern "C" {
    /// The whole body, if it ends within `most` bytes; null if it is longer than `limit` bytes; else what `send` passes on, and cuts off
    /// there.
    #[wasm_bindgen(catch, js_name = readFirst)]
    pub async fn read_first(request: &Request, most: f64, limit: f64) -> Result<JsValue, JsValue>;

    /// How long the body is, which stays to be sent; -1 if that is more than `most` bytes.
    #[wasm_bindgen(catch)]
    pub async fn measure(request: &Request, most: f64) -> Result<JsValue, JsValue>;
}
