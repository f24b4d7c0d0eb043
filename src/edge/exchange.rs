//! Fetching an access token, when the tenant's object says so: the exchange itself, and the report of it. The object sees
//! to it that one is fetched at a time, and decides what comes of it.

use super::installation::Installation;
use super::tenants;
use crate::platform;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use js_sys::Uint8Array;
use sluice_core::http::retry_after_ms;
use sluice_core::json::{Items, ToJson};
use sluice_core::tenant::protocol::{Ask, Fetch, Fetched};
use sluice_core::upstream::grant::{Exchange, Failure, Issued, LONGEST_ANSWER, read};
use wasm_bindgen::JsCast;

/// Pauses between reports that are not heard, ms; each report is itself sent three times. A refresh token that is lost
/// on this way is lost for good, so this goes on nearly until the object gives up waiting.
const PAUSES_MS: [u64; 4] = [200, 400, 800, 1_600];

/// Fetches a token and reports it. The report is durable in the object before this returns, or has failed and is logged.
pub async fn fetch(here: &Installation, tenant: &str, connection: &str, fetch: Fetch) {
    let result = exchange(&fetch.exchange).await;
    if let Err(failure) = &result {
        let line = sluice_core::json!({"level": "warn", "tenant": tenant, "connection": connection,
            "fault": failure.brief(connection)});
        super::log(&line);
    }
    let Fetch { whose, began, .. } = fetch;
    let ask = Ask::Fetched(Fetched { connection: connection.to_owned(), whose, began, result });
    if report(here, tenant, &ask).await {
        return;
    }
    let line = sluice_core::json!({"level": "error", "tenant": tenant, "connection": connection,
        "fault": "a token was fetched, and the tenant's object could not be told of it"});
    super::log(&line);
}

/// Reports to the tenant's object until it has heard. Whether it has.
pub async fn report(here: &Installation, tenant: &str, ask: &Ask) -> bool {
    for pause in PAUSES_MS {
        if tenants::ask(here, tenant, ask).await.is_ok() {
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
    /// The answer's body.
    pub body: String,
    /// The answer's `Location`.
    location: String,
}

impl Posted {
    /// As the platform says it.
    pub fn of(text: &str) -> Option<Self> {
        let mut items = Items::of(text)?;
        let status = u16::try_from(items.number()?).ok()?;
        Some(Self { status, about: items.text()?, date: items.text()?, body: items.text()?, location: items.text()? })
    }

    /// How long the receiver wants to be left alone, milliseconds.
    pub fn retry_after_ms(&self) -> Option<u64> {
        retry_after_ms(&self.about, Some(&self.date), platform::now())
    }
}

async fn exchange(request: &Exchange) -> Result<Issued, Failure> {
    let mut form = request.form.clone();
    if let Some(signing) = &request.sign {
        let key = STANDARD.decode(&signing.key).map_err(|_| Failure::Key)?;
        let signature = platform::sign(&key, &signing.input).await;
        let signature = signature.dyn_into::<Uint8Array>().map_err(|_| Failure::Key)?;
        let signature = URL_SAFE_NO_PAD.encode(signature.to_vec());
        form = format!("{form}&assertion={}.{signature}", signing.input);
    }
    let mut headers = vec![("Accept", "application/json"), ("Content-Type", "application/x-www-form-urlencoded")];
    let basic = request.basic.as_ref().map(|pair| format!("Basic {pair}"));
    headers.extend(basic.as_deref().map(|basic| ("Authorization", basic)));
    let headers = headers.to_json().to_string();
    let (most, ms) = (LONGEST_ANSWER as f64, request.timeout_ms as f64);
    let said = platform::post_form(&request.url, &headers, &form, most, ms).await.as_string();
    let posted = said.as_deref().and_then(Posted::of).ok_or(Failure::Senseless)?;
    match (posted.status, posted.about.as_str()) {
        (0, "timeout") => Err(Failure::Silent),
        (0, _) => Err(Failure::Unreachable),
        (300..=399, _) => Err(request.redirected(&posted.location)),
        (status, _) => read(status, posted.retry_after_ms(), &posted.body),
    }
}
