//! Fetching an access token, when the tenant's object says so: the exchange itself, and the report
//! of it. The object sees to it that one is fetched at a time, and decides what comes of it.

use crate::config::Config;
use crate::fetch::{self, Deadline};
use crate::tenant_client;
use crate::{js, platform};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use js_sys::{Array, Object, Reflect, Uint8Array};
use sluice_core::call::Repeats;
use sluice_core::protocol::{Ask, Fetch, TokenReport};
use sluice_core::upstream::grant::{Exchange, Failure, Issued, LONGEST_ANSWER};
use sluice_core::upstream::posted::{Posted, PostedAnswer};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CryptoKey, Response, WorkerGlobalScope};

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

/// Reports to the tenant's object until it has acknowledged. Returns whether it has.
pub async fn report(config: &Config, tenant: &str, ask: &Ask) -> bool {
    let mut repeats = Repeats::of_a_report();
    loop {
        if tenant_client::ask(config, tenant, ask).await.is_ok() {
            return true;
        }
        let Some(pause) = repeats.next_pause_ms() else { return false };
        platform::sleep(pause).await;
    }
}

/// Posts a text: a form to a token endpoint, or a message to a callback's receiver. Redirects are
/// not followed: the text goes where it was meant to, and nowhere else. `most`: bytes that are read
/// of the answer's body, which is not waited for if those are none.
pub async fn post(url: &str, headers: &[(&str, &str)], text: &str, most: u64, timeout_ms: u64) -> Posted {
    let Ok(deadline) = Deadline::new(timeout_ms) else { return Posted::Unreachable };
    match posted(url, headers, text, most, &deadline).await {
        Ok(answer) => Posted::Answered(answer),
        Err(_) if deadline.has_passed() => Posted::TimedOut,
        Err(_) => Posted::Unreachable,
    }
}

async fn posted(
    url: &str,
    headers: &[(&str, &str)],
    text: &str,
    most: u64,
    deadline: &Deadline,
) -> Result<PostedAnswer, JsValue> {
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
    Ok(PostedAnswer {
        status: response.status(),
        retry_after: said("retry-after")?,
        date: said("date")?,
        location: said("location")?,
        body: String::from_utf8_lossy(bytes).into_owned(),
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
    posted.issued(request, platform::now())
}
