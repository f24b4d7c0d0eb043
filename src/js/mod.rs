//! What `stream.js` offers, with types. Its comments say what each function does.

use js_sys::{Array, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{AbortController, AbortSignal, ReadableStream, Request, Response};

// Each function is bound with `catch`. One without would be imported as it is, and the generated
// import object names this file once for each of those: a key that comes twice, of which wrangler
// warns.
#[wasm_bindgen(module = "/src/js/stream.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = drain)]
    async fn drain_stream(body: &ReadableStream, most: f64, ms: f64) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = readWhole)]
    async fn read_whole_stream(body: &ReadableStream, most: f64) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = readUpTo)]
    async fn read_stream_up_to(body: &ReadableStream, most: f64) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = measure)]
    async fn measure_stream(body: &ReadableStream, most: f64) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = readFirst)]
    async fn read_first_of_stream(body: &ReadableStream, most: f64, limit: f64) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = answered)]
    async fn answered_to(fetched: &Promise, control: &AbortController) -> Result<JsValue, JsValue>;

    /// A caller's body of unknown length, whose beginning was read.
    #[derive(Clone)]
    pub type Upload;

    /// Returns the whole of it, once; it ends the call of `control` if it is over its limit, or
    /// breaks off.
    #[wasm_bindgen(method)]
    pub fn stream(this: &Upload, control: &AbortController) -> ReadableStream;

    /// Returns why it ended its call: "payload", or "gone".
    #[wasm_bindgen(method, getter)]
    pub fn fault(this: &Upload) -> Option<String>;

    /// A vendor's answer. Its body stays in JavaScript.
    pub type Answer;

    /// Returns the platform's response.
    #[wasm_bindgen(method, getter)]
    pub fn response(this: &Answer) -> Response;

    /// Returns when the answer's headers came, Unix ms.
    #[wasm_bindgen(method, getter)]
    pub fn at(this: &Answer) -> f64;

    /// Returns one more chunk from the beginning of the body, which is still there to be passed on;
    /// null where it ends.
    #[wasm_bindgen(method, catch)]
    pub async fn peek(this: &Answer) -> Result<JsValue, JsValue>;

    /// Returns all of the body, which is still there to be passed on; null if it is longer than
    /// `most` bytes, or breaks off.
    #[wasm_bindgen(method, catch, js_name = readAll)]
    pub async fn read_all(this: &Answer, most: f64) -> Result<JsValue, JsValue>;

    /// Puts other bytes in the place of a body that was read.
    #[wasm_bindgen(method)]
    pub fn replace(this: &Answer, bytes: &Uint8Array);

    /// Bytes of all chunks peeked at; -1 if the body broke off meanwhile.
    #[wasm_bindgen(method, getter, js_name = peekedBytes)]
    pub fn peeked_bytes(this: &Answer) -> f64;

    /// Returns whether the end of the body was seen.
    #[wasm_bindgen(method, getter)]
    pub fn closed(this: &Answer) -> bool;

    /// Returns the body that goes to the caller: its bytes, a stream that is fed from now on, or
    /// null if the caller has gone.
    #[wasm_bindgen(method, catch)]
    pub fn pass(this: &Answer, caller: &AbortSignal, counted: bool) -> Result<JsValue, JsValue>;

    /// Returns how a body that was passed on as a stream ended: "whole", "timeout", "cut" or
    /// "gone".
    #[wasm_bindgen(method, catch)]
    pub async fn ended(this: &Answer) -> Result<JsValue, JsValue>;

    /// Bytes of the body that have come.
    #[wasm_bindgen(method, getter)]
    pub fn bytes(this: &Answer) -> f64;

    /// Returns whether more of the body may have come.
    #[wasm_bindgen(method, getter)]
    pub fn more(this: &Answer) -> bool;
}

/// The beginning of a body of unknown length.
pub enum First {
    /// It is all of it.
    Whole(Uint8Array),
    /// There is more, which is passed on.
    Longer(Upload),
    /// It is longer than it may be.
    TooLong,
}

/// Reads and drops up to `most` bytes of a request's body, for at most `ms` milliseconds.
pub async fn drain(request: &Request, most: u32, ms: u32) {
    if let Some(body) = request.body() {
        let _ = drain_stream(&body, most.into(), ms.into()).await;
    }
}

/// Reads the whole body of a request; none if it is longer than `most` bytes.
///
/// # Errors
/// If it breaks off.
pub async fn read_whole(request: &Request, most: u64) -> Result<Option<Uint8Array>, JsValue> {
    match request.body() {
        Some(body) => read_stream(&body, most).await,
        None => Ok(Some(Uint8Array::new_with_length(0))),
    }
}

/// Reads the whole body of a copy of a request, so that the body itself can still be sent; none if
/// it is longer than `most` bytes.
///
/// # Errors
/// If it breaks off.
pub async fn read_copy(request: &Request, most: u64) -> Result<Option<Uint8Array>, JsValue> {
    read_whole(&request.clone()?, most).await
}

/// Reads a whole stream; none if it is longer than `most` bytes.
///
/// # Errors
/// If it breaks off.
pub async fn read_stream(body: &ReadableStream, most: u64) -> Result<Option<Uint8Array>, JsValue> {
    let whole = read_whole_stream(body, most as f64).await?;
    Ok((!whole.is_null()).then(|| whole.unchecked_into()))
}

/// Reads a stream to its end; its first `most` bytes, and whether there were more.
///
/// # Errors
/// If it breaks off.
pub async fn read_up_to(body: &ReadableStream, most: u32) -> Result<(Uint8Array, bool), JsValue> {
    let read: Array = read_stream_up_to(body, most.into()).await?.unchecked_into();
    Ok((read.get(0).unchecked_into(), read.get(1).is_truthy()))
}

/// Awaits the whole body of a copy of a request, and returns its length; none if that is more than
/// `most` bytes.
///
/// # Errors
/// If it breaks off.
pub async fn measure(request: &Request, most: u64) -> Result<Option<u64>, JsValue> {
    let Some(body) = request.clone()?.body() else { return Ok(Some(0)) };
    Ok(whole_number(measure_stream(&body, most as f64).await?.as_f64()))
}

/// Reads what comes first of a request's body: all of it, if it ends within `most` bytes. `limit`:
/// what it may have at most.
///
/// # Errors
/// If it breaks off.
pub async fn read_first(request: &Request, most: u64, limit: Option<u64>) -> Result<First, JsValue> {
    let Some(body) = request.body() else { return Ok(First::Whole(Uint8Array::new_with_length(0))) };
    let limit = limit.map_or(f64::INFINITY, |limit| limit as f64);
    let first = read_first_of_stream(&body, most as f64, limit).await?;
    Ok(match first.dyn_into::<Uint8Array>() {
        Ok(whole) => First::Whole(whole),
        Err(first) if first.is_null() => First::TooLong,
        Err(first) => First::Longer(first.unchecked_into()),
    })
}

/// Awaits the answer that a fetch leads to: its headers, and the first chunk of a short body.
///
/// # Errors
/// If no answer comes.
pub async fn answered(fetched: &Promise, control: &AbortController) -> Result<Answer, JsValue> {
    Ok(answered_to(fetched, control).await?.unchecked_into())
}

/// Returns a count of JavaScript's as a whole number; none if it is none, or below 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, at least 0 and far below 2^53")]
pub fn whole_number(count: Option<f64>) -> Option<u64> {
    count.filter(|count| *count >= 0.0).map(|count| count as u64)
}
