//! What `glue.js` offers, typed. Its comments say what each function does.

use wasm_bindgen::prelude::*;
use web_sys::{Request, Response};

#[wasm_bindgen(module = "/src/platform/glue.js")]
extern "C" {
    /// Everything of a request that Rust decides on, one a line.
    pub fn read(request: &Request) -> String;

    /// Reads and drops up to `most` bytes, for at most `ms` milliseconds.
    pub async fn drain(request: &Request, most: f64, ms: f64);

    /// The whole body, or null if it is longer than `most` bytes.
    #[wasm_bindgen(catch, js_name = readWhole)]
    pub async fn read_whole(request: &Request, most: f64) -> Result<JsValue, JsValue>;

    /// The whole body of a copy, null if it is longer than `most` bytes: the body itself can still be sent.
    #[wasm_bindgen(catch, js_name = readCopy)]
    pub async fn read_copy(request: &Request, most: f64) -> Result<JsValue, JsValue>;

    /// A call on its way.
    pub type Sent;

    /// Sends to the vendor. `head`: method, URL, and what changes of the request's headers; one a line. `body`: null, true for the request's
    /// own, bytes, or what `read_first` gave.
    pub async fn send(request: &Request, head: &str, body: &JsValue, milliseconds: f64) -> JsValue;

    /// When the vendor's headers came, and what they are; or why none came; one a line.
    #[wasm_bindgen(method, getter)]
    pub fn head(this: &Sent) -> String;

    /// One more chunk from the beginning of the body; null at its end.
    #[wasm_bindgen(method)]
    pub async fn peek(this: &Sent) -> JsValue;

    /// Puts one text in the place of another, all over an answer's body; false if that is longer than `most` bytes, or breaks off.
    #[wasm_bindgen(method, js_name = putBack)]
    pub async fn put_back(this: &Sent, text: &str, with: &str, most: f64) -> JsValue;

    /// Bytes of all chunks peeked at; -1 if the body broke off meanwhile.
    #[wasm_bindgen(method, getter, js_name = peekedBytes)]
    pub fn peeked_bytes(this: &Sent) -> f64;

    /// The answer to the caller. `head`: the reason; and what changes of the vendor's headers, as `changes` of src/http tells it.
    #[wasm_bindgen(method, catch)]
    pub fn deliver(this: &Sent, request: &Request, status: u16, head: &str, counted: bool)
    -> Result<Response, JsValue>;

    /// How the body ended, and its bytes; one a line. Only after `deliver`.
    #[wasm_bindgen(method)]
    pub async fn ended(this: &Sent) -> JsValue;

    /// The same, where the body was all there at `deliver`.
    #[wasm_bindgen(method, getter)]
    pub fn over(this: &Sent) -> Option<String>;

    /// Nothing of the answer is wanted.
    #[wasm_bindgen(method)]
    pub fn drop(this: &Sent);

    /// Posts a text, to a token endpoint or a callback's receiver; what came of it, as JSON.
    #[wasm_bindgen(js_name = postForm)]
    pub async fn post_form(url: &str, headers: &str, form: &str, most: f64, milliseconds: f64) -> JsValue;

    /// Signs with RS256; bytes, or null.
    pub async fn sign(key: &[u8], text: &str) -> JsValue;

    /// Waits, and no longer than `caller` does; whether it is still there.
    pub async fn pause(milliseconds: f64, caller: Option<&Request>) -> JsValue;

    /// An answer of our own.
    #[wasm_bindgen(catch)]
    pub fn answer(status: u16, headers: &str, body: &str) -> Result<Response, JsValue>;

    /// An answer of bytes.
    #[wasm_bindgen(js_name = answerBytes)]
    pub fn answer_bytes(status: u16, body: &[u8]) -> Response;

    /// The same, with headers.
    #[wasm_bindgen(catch, js_name = answerWhole)]
    pub fn answer_whole(status: u16, headers: &str, body: &[u8]) -> Result<Response, JsValue>;

    /// An answer read to its end: status, headers as JSON, the body as far as it is kept, whether there was more. Or null.
    pub async fn keep(response: &Response, most: f64) -> JsValue;

    /// A response's body.
    #[wasm_bindgen(catch)]
    pub async fn bytes(response: &Response) -> Result<JsValue, JsValue>;

    /// A request's, however long.
    #[wasm_bindgen(catch, js_name = bytes)]
    pub async fn bytes_of(request: &Request) -> Result<JsValue, JsValue>;

    /// A line in the log.
    pub fn log(line: &str);

}
