//! A request as the platform hands it over, read in one crossing.

use crate::platform;
use sluice_core::http::{Lines, encoded, is_navigation, value};
use sluice_core::jobs;
use sluice_core::protocol::BodyLength;
use sluice_core::refusal::{Reason, Refusal};
use wasm_bindgen::JsValue;
use web_sys::Request;

/// The most headers of a request. To read, check and send each on takes microseconds, while every other call of the isolate waits; clients send
/// dozens. One more is read, if there is one.
const MOST_HEADERS: usize = 1_000;

/// What is decided on, of a request. The body stays where it is.
pub struct Incoming {
    /// When it came, Unix ms.
    pub at: i64,
    /// Upper case.
    pub method: String,
    /// As sent, but that what is not ASCII is percent-encoded; the platform has put scheme and host before it, and has taken out plain
    /// dot segments.
    pub url: String,
    has_body: bool,
    /// The caller's own `Accept-Encoding`, where the platform has put another in its place.
    accept_encoding: Option<String>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// It is a job's, of which the platform has no headers.
    kept: bool,
}

impl Incoming {
    /// A job's request, as it was kept.
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

    /// Reads it.
    pub fn read(request: &Request) -> Result<Self, JsValue> {
        Self::of(&platform::read(request)).ok_or_else(|| JsValue::from("the request cannot be read"))
    }

    fn of(text: &str) -> Option<Self> {
        let mut lines = Lines::of(text);
        let mut incoming = Self {
            at: lines.number()?,
            method: lines.text()?.to_owned(),
            url: encoded(lines.text()?).into_owned(),
            has_body: lines.text()? == "true",
            // An empty one says something else than none.
            accept_encoding: lines.text()?.strip_prefix('=').map(str::to_owned),
            headers: lines.headers()?,
            kept: false,
        };
        // The platform gives a body to one that says it has none.
        incoming.has_body = incoming.has_body && incoming.content_length() != Some(0);
        Some(incoming)
    }

    fn content_length(&self) -> Option<u64> {
        self.header("content-length").and_then(|length| length.parse().ok())
    }

    /// Whether it has more headers than a request may have: then not all of them are here.
    pub fn check_headers(&self) -> Result<(), Refusal> {
        if self.headers.len() <= MOST_HEADERS {
            return Ok(());
        }
        let detail = format!("the request has more than {MOST_HEADERS} headers: send those that the vendor reads");
        Err(Refusal::new(Reason::Request, detail))
    }

    /// The headers that the platform's own request has.
    pub fn at_the_platform(&self) -> &[(String, String)] {
        if self.kept { &[] } else { &self.headers }
    }

    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }

    /// The page's origin, where one is sent.
    pub fn origin(&self) -> Option<&str> {
        self.header("origin")
    }

    /// Whether a page in a browser asks.
    pub fn is_page(&self) -> bool {
        self.origin().is_some() || self.header("sec-fetch-site").is_some()
    }

    /// Whether a browser would show the answer at this address.
    pub fn is_navigation(&self) -> bool {
        is_navigation(&self.method, &self.headers)
    }

    /// The encodings the caller can read.
    pub fn accept_encoding(&self) -> Option<&str> {
        self.accept_encoding.as_deref().or_else(|| self.header("accept-encoding"))
    }

    /// Whether there is a body. One of unknown length may turn out to be empty, and is none then.
    pub fn has_body(&self) -> bool {
        self.has_body
    }

    /// How long the body is.
    pub fn body_length(&self) -> BodyLength {
        match self.content_length() {
            Some(length) => BodyLength::Bytes(length),
            None if self.has_body => BodyLength::Unknown,
            None => BodyLength::Bytes(0),
        }
    }

    /// Whether it asks for a WebSocket.
    pub fn is_upgrade(&self) -> bool {
        self.header("upgrade").is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket"))
    }
}
