//! Fetching an access token, when the tenant's object says so: the exchange itself, and the report
//! of it. The object sees to it that one is fetched at a time, and decides what comes of it.

use crate::config::Config;
use crate::fetch::{self, Deadline};
use crate::tenant_client;
use crate::{js, platform};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use js_sys::{Array, Object, Reflect, Uint8Array};
use sluice_core::http::retry_after_ms;
use sluice_core::protocol::{Ask, Fetch, TokenReport};
use sluice_core::upstream::grant::{Exchange, Failure, Issued, LONGEST_ANSWER, read};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CryptoKey, Response, WorkerGlobalScope};

/// Pauses between reports that are not heard, ms; each report is itself sent three times. A refresh
/// token that is lost on this way is lost for good, so this goes on nearly until the object gives
/// up waiting.
const PAUSES_MS: [u64; 4] = [200, 400, 800, 1_600];

/// Fetches a token and reports it. The report is durable in the object before this returns, or has
/// failed and is logged.
pub async fn fetch(config: &Config, tenant: &str, connection: &str, fetch: Fetch) {
    let result = exchange(&fetch.exchange).await;
    if let Err(failure) = &result {
        let line = serde_json::json!({"level": "warn", "tenant": tenant, "connection": connection,
            "fault": failure.brief(connection)});
        platform::log(&line);
    }
    let Fetch { whose, began, .. } = fetch;
    let ask = Ask::TokenReport(TokenReport { connection: connection.to_owned(), whose, began, result });
    if report(config, tenant, &ask).await {
        return;
    }
    let line = serde_json::json!({"level": "error", "tenant": tenant, "connection": connection,
        "fault": "a token was fetched, and the tenant's object could not be told of it"});
    platform::log(&line);
}

/// Reports to the tenant's object until it has heard. Whether it has.
pub async fn report(config: &Config, tenant: &str, ask: &Ask) -> bool {
    for pause in PAUSES_MS {
        if tenant_client::ask(config, tenant, ask).await.is_ok() {
            return true;
        }
        platform::sleep(pause).await;
    }
    false
}

/// What came of something that was posted.
#[derive(Default)]
pub struct Posted {
    /// The status of the answer, or 0 where none came.
    pub status: u16,
    /// The answer's `Retry-After`, or why there is no answer.
    pub about: String,
    /// The answer's `Date`.
    date: String,
    /// The answer's body; empty if it is longer than was to be read.
    pub body: String,
    /// The answer's `Location`.
    location: String,
}

impl Posted {
    /// How long the receiver wants to be left alone, milliseconds.
    pub fn retry_after_ms(&self) -> Option<u64> {
        retry_after_ms(&self.about, Some(&self.date), platform::now())
    }
}

/// Posts a text: a form to a token endpoint, or a message to a callback's receiver. Redirects are
/// not followed: the text goes where it was meant to, and nowhere else. `most`: bytes that are read
/// of the answer's body, which is not waited for if those are none.
pub async fn post(url: &str, headers: &[(&str, &str)], text: &str, most: u64, timeout_ms: u64) -> Posted {
    let Ok(deadline) = Deadline::new(timeout_ms) else { return no_answer("unreachable") };
    match posted(url, headers, text, most, &deadline).await {
        Ok(posted) => posted,
        Err(_) if deadline.has_passed() => no_answer("timeout"),
        Err(_) => no_answer("unreachable"),
    }
}

fn no_answer(why: &str) -> Posted {
    Posted { about: why.to_owned(), ..Posted::default() }
}

async fn posted(
    url: &str,
    headers: &[(&str, &str)],
    text: &str,
    most: u64,
    deadline: &Deadline,
) -> Result<Posted, JsValue> {
    let init = fetch::init(&platform::new_headers(headers)?, deadline);
    init.set_method("POST");
    init.set_body(&JsValue::from(text));
    let response: Response = fetch::url(url, &init, false)?.await?.unchecked_into();
    let bytes = match response.body() {
        Some(body) if most > 0 => js::read_stream(&body, most).await?,
        Some(body) => {
            let dropped = body.cancel();
            platform::spawn(async {
                let _ = dropped.await;
            });
            None
        }
        None => None,
    };
    let bytes = bytes.map(|bytes| bytes.to_vec()).unwrap_or_default();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let head = response.headers();
    let said = |name: &str| Ok::<_, JsValue>(head.get(name)?.unwrap_or_default());
    Ok(Posted {
        status: response.status(),
        about: said("retry-after")?,
        date: said("date")?,
        body: String::from_utf8_lossy(bytes).into_owned(),
        location: said("location")?,
    })
}

/// Signs with RS256 (RFC 7518, section 3.3), with a key in PKCS #8.
async fn signed(key: &[u8], text: &str) -> Result<Vec<u8>, JsValue> {
    const NAME: &str = "RSASSA-PKCS1-v1_5";
    let algorithm = Object::new();
    Reflect::set(&algorithm, &JsValue::from("name"), &JsValue::from(NAME))?;
    Reflect::set(&algorithm, &JsValue::from("hash"), &JsValue::from("SHA-256"))?;
    let subtle = js_sys::global().unchecked_into::<WorkerGlobalScope>().crypto()?.subtle();
    let usages = Array::of1(&JsValue::from("sign"));
    let key = subtle.import_key_with_object("pkcs8", &Uint8Array::from(key), &algorithm, false, &usages)?.await?;
    let text = Uint8Array::from(text.as_bytes());
    let signature = subtle.sign_with_str_and_js_u8_array(NAME, key.unchecked_ref::<CryptoKey>(), &text)?.await?;
    Ok(Uint8Array::new(&signature).to_vec())
}

async fn exchange(request: &Exchange) -> Result<Issued, Failure> {
    let mut form = request.form.clone();
    if let Some(signing) = &request.sign {
        let key = STANDARD.decode(&signing.key).map_err(|_| Failure::Key)?;
        let signature = signed(&key, &signing.input).await.map_err(|_| Failure::Key)?;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        form = format!("{form}&assertion={}.{signature}", signing.input);
    }
    let mut headers = vec![("Accept", "application/json"), ("Content-Type", "application/x-www-form-urlencoded")];
    let basic = request.basic.as_ref().map(|pair| format!("Basic {pair}"));
    headers.extend(basic.as_deref().map(|basic| ("Authorization", basic)));
    let posted = post(&request.url, &headers, &form, LONGEST_ANSWER as u64, request.timeout_ms).await;
    match (posted.status, posted.about.as_str()) {
        (0, "timeout") => Err(Failure::Silent),
        (0, _) => Err(Failure::Unreachable),
        (300..=399, _) => Err(request.redirected(&posted.location)),
        (status, _) => read(status, posted.retry_after_ms(), &posted.body),
    }
}
