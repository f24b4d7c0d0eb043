//! A request as the platform hands it over, read in one crossing.

use crate::platform;
use js_sys::Reflect;
use sluice_core::call::arrival::Manner;
use sluice_core::http::{Target, encoded, is_navigation, value};
use sluice_core::jobs;
use sluice_core::keys::PREFIX;
use sluice_core::protocol::BodyLength;
use sluice_core::refusal::{Reason, Refusal};
use wasm_bindgen::JsValue;
use web_sys::Request;
use worker_sys::ext::RequestExt;

/// The most headers of a request. To read, check and send each on takes microseconds, while every
/// other call of the isolate waits; clients send dozens. One more is read, if there is one.
const MOST_HEADERS: usize = 1_000;

/// Returns whether the platform may have put this in the place of a caller's `Accept-Encoding`:
/// "br, gzip" is what it puts
/// (https://developers.cloudflare.com/fundamentals/reference/http-request-headers/#accept-encoding).
/// The caller's own is then among what it tells of the connection, all of which it takes apart when
/// any of it is asked for.
fn is_replaced(encodings: &str) -> bool {
    encodings.split(|of: char| !of.is_ascii_alphanumeric() && of != '_').any(|word| word == "br")
}

/// Returns a text that the platform states of the connection that a request came by.
pub fn connection(request: &Request, name: &str) -> Option<String> {
    let of = request.cf()?;
    Reflect::get(&of, &JsValue::from(name)).ok()?.as_string()
}

/// The parts of a request that Sluice decides on. The body stays at the platform.
pub struct Incoming {
    /// When it came, Unix ms.
    pub at: i64,
    /// Upper case.
    pub method: String,
    /// As sent, but that what is not ASCII is percent-encoded; the platform has put scheme and host
    /// before it, and has taken out plain dot segments.
    pub url: String,
    has_body: bool,
    /// The caller's own `Accept-Encoding`, where the platform has put another in its place.
    accept_encoding: Option<String>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// It is a job's request, of which the platform has no headers.
    kept: bool,
}

impl Incoming {
    /// Makes the request of a stored job. `at`: now, Unix ms.
    pub fn kept(at: i64, request: &jobs::Request) -> Self {
        Self {
            at,
            method: request.method.clone(),
            url: request.url.clone(),
            has_body: !request.body.0.is_empty(),
            accept_encoding: None,
            headers: request.headers.clone(),
            kept: true,
        }
    }

    /// Reads a request that has just come.
    ///
    /// # Errors
    /// If the platform gives a request that is none.
    pub fn read(request: &Request) -> Result<Self, JsValue> {
        let headers = platform::read_headers(&request.headers(), MOST_HEADERS.saturating_add(1))?;
        let replaced = value(&headers, "accept-encoding").is_some_and(is_replaced);
        let mut incoming = Self {
            at: platform::now(),
            method: request.method(),
            url: encoded(&request.url()).into_owned(),
            has_body: request.body().is_some(),
            accept_encoding: if replaced { connection(request, "clientAcceptEncoding") } else { None },
            headers,
            kept: false,
        };
        // The platform gives a body to one that says it has none.
        incoming.has_body = incoming.has_body && incoming.content_length() != Some(0);
        Ok(incoming)
    }

    fn content_length(&self) -> Option<u64> {
        self.header("content-length").and_then(|length| length.parse().ok())
    }

    /// Checks that it has no more headers than a request may have: then all of them are here.
    pub fn check_headers(&self) -> Result<(), Refusal> {
        if self.headers.len() <= MOST_HEADERS {
            return Ok(());
        }
        let detail = format!("the request has more than {MOST_HEADERS} headers: send those that the vendor reads");
        Err(Refusal::new(Reason::Request, detail))
    }

    /// Returns the headers that the platform's own request has.
    pub fn at_the_platform(&self) -> &[(String, String)] {
        if self.kept { &[] } else { &self.headers }
    }

    /// Returns a header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }

    /// Returns the page's origin, where one is sent.
    pub fn origin(&self) -> Option<&str> {
        self.header("origin")
    }

    /// Returns whether a page in a browser asks.
    pub fn is_page(&self) -> bool {
        self.origin().is_some() || self.header("sec-fetch-site").is_some()
    }

    /// Returns how the request came, if it is a call.
    pub fn manner(&self) -> Manner {
        if is_navigation(&self.method, &self.headers) {
            Manner::Navigation
        } else if self.is_upgrade() {
            Manner::Upgrade
        } else {
            Manner::Plain
        }
    }

    /// Returns whether the page that asks, if a page asks, is Sluice's own.
    pub fn is_own_page(&self, target: &Target<'_>) -> bool {
        match self.origin() {
            Some(origin) => origin == target.sluice_origin(),
            None => matches!(self.header("sec-fetch-site"), Some("same-origin" | "none")),
        }
    }

    /// Returns the key in `Sluice-Key` or as Bearer; never in a query, which ends up in logs.
    pub fn own_key(&self) -> Result<&str, Refusal> {
        let bearer = || {
            let (scheme, key) = self.header("authorization")?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
        };
        self.header("sluice-key").map(str::trim).or_else(bearer).ok_or_else(|| {
            Refusal::new(Reason::Key, format!("no key: send one ({PREFIX}…) in Sluice-Key, or as a bearer token"))
        })
    }

    /// Returns the encodings the caller can read.
    pub fn accept_encoding(&self) -> Option<&str> {
        self.accept_encoding.as_deref().or_else(|| self.header("accept-encoding"))
    }

    /// Returns whether there is a body. One of unknown length may turn out to be empty, and is none
    /// then.
    pub fn has_body(&self) -> bool {
        self.has_body
    }

    /// Returns how long the body is.
    pub fn body_length(&self) -> BodyLength {
        match self.content_length() {
            Some(length) => BodyLength::Bytes(length),
            None if self.has_body => BodyLength::Unknown,
            None => BodyLength::Bytes(0),
        }
    }

    /// Returns whether it asks for a WebSocket.
    pub fn is_upgrade(&self) -> bool {
        self.header("upgrade").is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"))
    }
}
