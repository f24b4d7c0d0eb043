//! Asking a tenant's object.

use super::installation::Installation;
use crate::platform;
use crate::refusal::{Reason, Refusal};
use crate::tenant::protocol::{Ask, Reply, from_wire, to_wire};
use js_sys::Uint8Array;
use js_sys::futures::JsFuture;
use wasm_bindgen::JsCast;
use web_sys::Request;

/// How often one thing is asked, all told: an object that a deploy has just replaced answers the next ask.
const TRIES: u32 = 3;

/// Name of the object that lists the tenants. No tenant has it: it is no name.
pub const DIRECTORY: &str = "*";

/// An object's answer.
pub struct Asked {
    /// What it said.
    pub reply: Reply,
    /// When the answer came, Unix ms.
    pub at: i64,
    /// How long it took, ms.
    pub elapsed_ms: u64,
    /// The caller had gone by then.
    pub gone: bool,
}

/// Asks once, and at once: what is awaited holds nothing of the ask, as thousands may wait. None if no answer can be had. `caller` is
/// the request and the call's id of one that may go away meanwhile.
pub fn ask_once(
    here: &Installation,
    tenant: &str,
    ask: &Ask,
    caller: Option<(&Request, &str)>,
) -> impl Future<Output = Option<Asked>> + use<> {
    let body = to_wire(ask);
    let (request, call) = caller.unzip();
    let gone = call.map(|call| to_wire(&Ask::Gone(call.to_owned())));
    // What every call asks holds no secret; in what others ask there may be some.
    let short = matches!(ask, Ask::Admit(_) | Ask::Settle(_) | Ask::Account(_));
    let said = platform::ask(&here.tenants, tenant, &body, short, request, gone.as_deref());
    async move { asked(&JsFuture::from(said.ok()?).await.ok()?.dyn_into::<Uint8Array>().ok()?.to_vec()) }
}

/// What `ask` of `ask.js` gives.
fn asked(said: &[u8]) -> Option<Asked> {
    // When it was asked, when answered, whether the caller has gone; then the object's own words, if it was asked at all.
    let (asked, said) = said.split_first_chunk()?;
    let (at, said) = said.split_first_chunk()?;
    let (gone, said) = said.split_first()?;
    let [asked, at] = [asked, at].map(|time| platform::time(f64::from_be_bytes(*time)));
    let reply = if said.is_empty() { Reply::Done } else { from_wire(said)? };
    let elapsed_ms = u64::try_from(at.saturating_sub(asked)).unwrap_or_default();
    Some(Asked { reply, at, elapsed_ms, gone: *gone == 1 })
}

/// Asks until the object has an answer. For what may be asked twice.
pub async fn ask(here: &Installation, tenant: &str, ask: &Ask) -> Result<Asked, Refusal> {
    for _ in 0..TRIES {
        match ask_once(here, tenant, ask, None).await {
            Some(Asked { reply: Reply::Again, .. }) | None => {}
            Some(asked) => return Ok(asked),
        }
    }
    Err(unavailable())
}

/// Nothing is forwarded that could not be counted.
pub fn unavailable() -> Refusal {
    let detail = "the tenant's object cannot be asked, so nothing was forwarded: try again in a moment";
    Refusal { retry_after_seconds: Some(1), ..Refusal::new(Reason::Unavailable, detail) }
}
