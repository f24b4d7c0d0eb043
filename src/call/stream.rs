//! One exchange with the vendor, on the wire: sends the request, and passes the answer on byte for
//! byte. Bodies stay in JavaScript.

use crate::fetch::{self, Deadline};
use crate::js::{self, Answer, Upload, whole_number};
use crate::platform;
use crate::response::BODILESS;
use js_sys::{Promise, Uint8Array};
use sluice_core::call::{BodyCompletion, BodyEnd};
use sluice_core::http::Headers;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{ReadableStream, Request, RequestInit, Response, ResponseInit};

/// The body of a call, as it is sent.
#[derive(Clone)]
pub enum Body {
    /// There is none.
    None,
    /// The caller's own, streamed: it can be sent once.
    Caller,
    /// Bytes that were read.
    Bytes(Uint8Array),
    /// One of unknown length whose beginning was read: it can be sent once.
    Upload(Upload),
}

impl Body {
    /// Returns the body of these bytes: none if there are none.
    pub fn of(bytes: Uint8Array) -> Self {
        if bytes.length() == 0 { Self::None } else { Self::Bytes(bytes) }
    }
}

/// A call to be sent.
pub struct Outgoing<'a> {
    /// Upper case.
    pub method: &'a str,
    /// Where to.
    pub url: &'a str,
    /// The changes to the headers of the platform's request, as `changes` writes them.
    pub changes: &'a str,
    /// The body.
    pub body: &'a Body,
    /// How long the answer may take, body included, ms.
    pub timeout_ms: u64,
}

/// Why no answer came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// The platform takes no such request.
    Unsent,
    /// The time was over.
    Timeout,
    /// The vendor cannot be reached, or has closed the connection.
    Unreachable,
    /// The caller's body was over its limit, and the call was given up.
    TooLong,
    /// The caller's body broke off, and the call was given up.
    BrokenOff,
}

/// The head of an answer.
pub struct Head {
    /// When it came, Unix ms.
    pub at: i64,
    /// The status.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// All headers.
    pub headers: Headers,
}

/// A call whose answer has come.
pub struct Sent {
    answer: Answer,
    response: Response,
    /// The answer's, until they are changed.
    headers: web_sys::Headers,
    deadline: Deadline,
    passing: Passing,
}

/// What goes to the caller as the body.
enum Passing {
    /// All of it is there; its bytes.
    Whole(u64),
    /// It is fed, or nothing was passed on yet.
    Stream,
}

/// Sends a call once.
///
/// # Errors
/// If no answer comes.
pub async fn send(caller: &Request, outgoing: &Outgoing<'_>) -> Result<Sent, NoAnswer> {
    let deadline = Deadline::new(outgoing.timeout_ms).map_err(|_| NoAnswer::Unsent)?;
    let fetched = put_out(caller, outgoing, &deadline).map_err(|_| NoAnswer::Unsent)?;
    match js::answered(&fetched, &deadline.control).await {
        Ok(answer) => {
            let response = answer.response();
            let headers = response.headers();
            Ok(Sent { answer, response, headers, deadline, passing: Passing::Stream })
        }
        Err(_) => Err(fault(outgoing.body).unwrap_or(match deadline.has_passed() {
            true => NoAnswer::Timeout,
            false => NoAnswer::Unreachable,
        })),
    }
}

/// Returns why an upload has ended its call.
fn fault(body: &Body) -> Option<NoAnswer> {
    let Body::Upload(upload) = body else { return None };
    Some(if upload.fault()? == "payload" { NoAnswer::TooLong } else { NoAnswer::BrokenOff })
}

fn put_out(caller: &Request, outgoing: &Outgoing<'_>, deadline: &Deadline) -> Result<Promise, JsValue> {
    let Outgoing { method, url, changes, body, .. } = *outgoing;
    let headers = web_sys::Headers::new_with_headers(&caller.headers())?;
    platform::change_headers(&headers, changes);
    let init = fetch::init(&headers, deadline);
    match body {
        Body::None => {
            init.set_method(method);
            return fetch::url(url, &init, true);
        }
        // A body with GET is taken over from a request; an init that has the method refuses it.
        Body::Caller if matches!(method, "GET" | "HEAD") => {
            let taken_over = Request::new_with_str_and_init(url, caller.unchecked_ref::<RequestInit>())?;
            let request = Request::new_with_request_and_init(&taken_over, &init)?;
            // Of these the platform sends a body only where a header says how it is framed.
            if !request.headers().has("content-length")? {
                request.headers().set("transfer-encoding", "chunked")?;
            }
            return fetch::request(&request);
        }
        Body::Caller => init.set_body_opt_readable_stream(caller.body().as_ref()),
        Body::Bytes(bytes) => init.set_body(bytes),
        Body::Upload(upload) => init.set_body(&upload.stream(&deadline.control)),
    }
    init.set_method(method);
    fetch::request(&Request::new_with_str_and_init(url, &init)?)
}

impl Sent {
    /// Returns the head of the answer; none if it cannot be read.
    pub fn head(&self) -> Option<Head> {
        let response = &self.response;
        let headers = platform::read_headers(&response.headers(), usize::MAX).ok()?;
        let at = i64::try_from(whole_number(Some(self.answer.at()))?).ok()?;
        Some(Head { at, status: response.status(), reason: response.status_text(), headers })
    }

    /// Reads one more chunk from the beginning of the body; none at its end. The caller still gets
    /// it.
    pub async fn peek(&self) -> Option<Uint8Array> {
        let chunk = self.answer.peek().await.ok();
        self.note_end();
        chunk.filter(|chunk| !chunk.is_null()).map(JsValue::unchecked_into)
    }

    /// Bytes of all chunks peeked at; none if the body broke off meanwhile.
    pub fn peeked_bytes(&self) -> Option<u64> {
        whole_number(Some(self.answer.peeked_bytes()))
    }

    /// Puts one text in the place of another, all over the body. Returns whether all of that came,
    /// and no more than `most` bytes.
    pub async fn put_back(&mut self, text: &str, other: &str, most: u32) -> bool {
        if self.response.body().is_none() {
            return true;
        }
        // What comes in a coding that was not asked for cannot be searched.
        if self.headers.get("content-encoding").ok().flatten().is_some_and(|coding| coding != "identity") {
            return false;
        }
        let whole = self.answer.read_all(most.into()).await.ok().filter(|whole| !whole.is_null());
        self.note_end();
        let Some(whole) = whole else { return false };
        let whole = whole.unchecked_into::<Uint8Array>().to_vec();
        let came = String::from_utf8_lossy(&whole);
        if !came.contains(text) {
            return true;
        }
        let put = Uint8Array::from(came.replace(text, other).as_bytes());
        let Ok(headers) = web_sys::Headers::new_with_headers(&self.headers) else { return false };
        let length = headers.set("content-length", &put.length().to_string());
        self.headers = headers;
        self.answer.replace(&put);
        length.is_ok()
    }

    /// Makes the answer to the caller, and begins to pass the body on byte for byte: encodings stay
    /// as they are, and so does a length. `changes` are the changes to the vendor's headers, as
    /// `changes` writes them. `counted` says that a limit counts the body's bytes, so that they are
    /// to be known whatever becomes of it.
    ///
    /// # Errors
    /// If the platform takes no such answer.
    pub fn deliver(
        &mut self,
        caller: &Request,
        (status, reason): (u16, &str),
        changes: &str,
        counted: bool,
    ) -> Result<Response, JsValue> {
        let init = ResponseInit::new();
        init.set_status(status);
        if can_be_reason(status, reason) {
            init.set_status_text(reason);
        }
        init.set_headers(&self.headers);
        fetch::encode_manually(&init);
        let body = if self.response.body().is_none() || BODILESS.contains(&status) {
            self.passing = Passing::Whole(0);
            JsValue::NULL
        } else {
            self.answer.pass(&caller.signal(), counted)?
        };
        let response = match body.dyn_into::<Uint8Array>() {
            Ok(whole) => {
                self.passing = Passing::Whole(whole.length().into());
                Response::new_with_opt_js_u8_array_and_init(Some(&whole), &init)?
            }
            Err(body) if body.is_null() => Response::new_with_opt_str_and_init(None, &init)?,
            Err(body) => {
                let stream: &ReadableStream = body.unchecked_ref();
                Response::new_with_opt_readable_stream_and_init(Some(stream), &init)?
            }
        };
        platform::change_headers(&response.headers(), changes);
        Ok(response)
    }

    /// Waits for the end of the body that was passed on.
    pub async fn ended(self) -> BodyCompletion {
        if let Passing::Whole(bytes) = self.passing {
            return BodyCompletion { end: BodyEnd::Whole, bytes, more: false };
        }
        let end = match self.answer.ended().await.ok().and_then(|how| how.as_string()).as_deref() {
            Some("whole") => BodyEnd::Whole,
            Some("timeout") => BodyEnd::TimedOut,
            Some("gone") => BodyEnd::CallerGone,
            _ => BodyEnd::CutOff,
        };
        let bytes = whole_number(Some(self.answer.bytes())).unwrap_or_default();
        BodyCompletion { end, bytes, more: self.answer.more() }
    }

    /// Gives the answer up: nothing of it is wanted.
    pub fn discard(self) {
        self.deadline.abort();
    }

    /// Stops the vendor's time once all of the body is here: what happens to it from then on is no
    /// matter of the vendor's.
    fn note_end(&self) {
        if self.answer.closed() {
            self.deadline.stop();
        }
    }
}

/// Returns whether the platform takes a vendor's reason, which may be in any language. An answer
/// without its reason is better than none.
fn can_be_reason(status: u16, reason: &str) -> bool {
    if reason.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
        return true;
    }
    let init = ResponseInit::new();
    init.set_status(status);
    init.set_status_text(reason);
    Response::new_with_opt_str_and_init(None, &init).is_ok()
}
