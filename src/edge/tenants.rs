//! Asking a tenant's object.

use super::installation::Installation;
use crate::platform::{self, Place};
use js_sys::futures::JsFuture;
use js_sys::{Array, Uint8Array};
pub use sluice_core::call::unavailable;
use sluice_core::refusal::Refusal;
use sluice_core::tenant::protocol::{Ask, Reply, from_wire, to_wire};
use std::cell::RefCell;
use std::collections::BTreeMap;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Request;

/// How often one thing is asked, all told: an object that a deploy has just replaced answers the next ask.
const TRIES: u32 = 3;

/// Name of the object that lists the tenants. No tenant has it: it is no name.
pub const DIRECTORY: &str = "*";

/// Places of objects that are kept; at this many all are dropped, and found again.
const MOST_PLACES: usize = 1_024;

thread_local! {
    static PLACES: RefCell<BTreeMap<String, Place>> = RefCell::default();
}

/// An object's answer.
pub struct Asked {
    /// What it said.
    pub reply: Reply,
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
    let asked = platform::now();
    let said =
        of_object(here, tenant, |place| platform::ask(&here.tenants, place, &body, short, request, gone.as_deref()));
    async move {
        let said = JsFuture::from(said?).await.ok()?;
        let (said, gone) = match said.dyn_into::<Uint8Array>() {
            Ok(said) => (said, false),
            Err(said) => (said.dyn_into::<Array>().ok()?.get(0).dyn_into::<Uint8Array>().ok()?, true),
        };
        let said = said.to_vec();
        // A caller that had gone before has had nothing asked.
        let reply = if said.is_empty() { Reply::Done } else { from_wire(&said)? };
        let elapsed_ms = u64::try_from(platform::now().saturating_sub(asked)).unwrap_or_default();
        Some(Asked { reply, elapsed_ms, gone })
    }
}

/// Does something with the place of a tenant's object.
fn of_object<T>(here: &Installation, tenant: &str, act: impl FnOnce(&Place) -> Result<T, JsValue>) -> Option<T> {
    PLACES.with_borrow_mut(|places| {
        if places.get(tenant).is_none() {
            if places.len() >= MOST_PLACES {
                places.clear();
            }
            places.insert(tenant.to_owned(), platform::place(&here.tenants, tenant).ok()?);
        }
        act(places.get(tenant)?).ok()
    })
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
