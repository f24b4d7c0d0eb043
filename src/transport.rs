//! How the Worker and the objects talk to each other: an ask goes in the URL and its reply comes in
//! a header where both are short, and in bodies where not. To read a body takes both sides longer
//! than all the rest of an ask; a header for it takes a tenth.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use js_sys::futures::JsFuture;
use js_sys::{Promise, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{RequestInit, Response};
use worker::ResponseBuilder;
use worker_sys::{DurableObject, DurableObjectId, DurableObjectNamespace};

/// The longest ask that goes in the URL, and the longest reply that comes in a header, in bytes
/// before base64. The platform's traces may show both, so only what holds no secret goes this way.
const SHORT_BYTES: usize = 2_048;

/// The header with a short reply.
const REPLY: &str = "sluice-reply";

/// What stands before an object's name in the URL of an ask.
const ORIGIN: &str = "http://object/";

/// Where the object of a name is. It is worth keeping: finding it hashes the name, which takes a
/// twentieth of an ask.
pub struct ObjectAddress {
    id: DurableObjectId,
    url: String,
}

impl ObjectAddress {
    /// Finds the object of a name.
    ///
    /// # Errors
    /// If the platform refuses the name.
    pub fn find(objects: &DurableObjectNamespace, name: &str) -> Result<Self, JsValue> {
        Ok(Self { id: objects.id_from_name(name)?, url: url_of(name) })
    }

    /// Returns the stub of the object. It must not be kept: it belongs to the request that it is
    /// made in.
    ///
    /// # Errors
    /// If the platform refuses the id.
    pub fn stub(&self, objects: &DurableObjectNamespace) -> Result<DurableObject, JsValue> {
        objects.get(&self.id)
    }

    /// Sends an ask to the object of this place; the promise is of its response. `is_short`: it
    /// holds no secret, so it may go in the URL.
    ///
    /// # Errors
    /// If the platform refuses the request.
    pub fn send(&self, stub: &DurableObject, ask: &[u8], is_short: bool) -> Result<Promise, JsValue> {
        if is_short && ask.len() <= SHORT_BYTES {
            return stub.fetch_with_str(&self.with_ask(ask));
        }
        let init = RequestInit::new();
        init.set_method("POST");
        init.set_body(&Uint8Array::from(ask));
        stub.fetch_with_request(&web_sys::Request::new_with_str_and_init(&self.url, &init)?)
    }

    /// Returns the URL that carries a short ask.
    pub fn with_ask(&self, ask: &[u8]) -> String {
        // Of the length it will have: a call that waits holds one of these.
        let length = self.url.len().saturating_add(1).saturating_add(ask.len().div_ceil(3).saturating_mul(4));
        let mut url = String::with_capacity(length);
        url.push_str(&self.url);
        url.push('?');
        STANDARD.encode_string(ask, &mut url);
        url
    }
}

/// Returns the URL of the object of a name.
pub fn url_of(name: &str) -> String {
    format!("{ORIGIN}{name}")
}

/// Returns the name that an ask's URL was made of, and the ask in it, still in base64, where there
/// is one.
pub fn parts(url: &str) -> (&str, Option<&str>) {
    let (place, ask) = url.split_once('?').map_or((url, None), |(place, ask)| (place, Some(ask)));
    (place.strip_prefix(ORIGIN).unwrap_or_default(), ask)
}

/// Decodes an ask that came in the URL; none if it is no base64.
pub fn short_ask(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Makes an object's response of a reply. `is_plain`: it holds no secret, so it may go in a header.
///
/// # Errors
/// If the platform refuses the header.
pub fn response(reply: Vec<u8>, is_plain: bool) -> worker::Result<worker::Response> {
    if is_plain && reply.len() <= SHORT_BYTES {
        return Ok(ResponseBuilder::new().with_header(REPLY, &STANDARD.encode(reply))?.empty());
    }
    Ok(ResponseBuilder::new().fixed(reply))
}

/// Waits for an object's response and reads the reply in it.
///
/// # Errors
/// If the object cannot be reached, or answers with another status than 200.
pub async fn reply(response: Promise) -> Result<Vec<u8>, JsValue> {
    reply_in(&JsFuture::from(response).await?.unchecked_into()).await
}

/// Reads the reply in an object's response.
///
/// # Errors
/// If it breaks off, or the response has another status than 200.
pub async fn reply_in(response: &Response) -> Result<Vec<u8>, JsValue> {
    let reply = match response.headers().get(REPLY)? {
        Some(text) => STANDARD.decode(text).map_err(|_| JsValue::from("the reply is no base64"))?,
        None => Uint8Array::new(&JsFuture::from(response.array_buffer()?).await?).to_vec(),
    };
    if response.status() == 200 { Ok(reply) } else { Err(JsValue::from("the object answers with a fault")) }
}
