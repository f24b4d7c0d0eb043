//! An errand of a tenant's object, done in an invocation of its own.

use super::answers::Reply;
use super::incoming::Incoming;
use super::installation::Installation;
use super::{deliver, exchange, run};
use crate::platform::{self, Context, Taken};
use js_sys::Uint8Array;
use sluice_core::keys::{is_stamp, is_stamped};
use sluice_core::protocol::from_wire;
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::tenant::task::{LONGEST, Task};
use std::rc::Rc;
use wasm_bindgen::JsCast;
use web_sys::Request;

/// Takes an errand, if it is stamped as one of this installation's, and does it after it has been answered.
pub async fn take(
    here: Rc<Installation>,
    request: &Request,
    context: &Context,
    incoming: &Incoming,
    stamp: &str,
) -> Reply {
    let Some(errand) = read(&here, request, incoming, stamp).await else {
        return Refusal::new(Reason::NotFound, "nothing is at this address: see the readme for those there are").into();
    };
    let taken = Taken::new();
    let reply = Reply::Done(taken.response());
    context.wait_until(&platform::spawn(async move {
        match errand {
            Task::Run(run) => run::run(here, *run).await,
            Task::Fetch(errand) => exchange::fetch(&here, &errand.tenant, &errand.connection, errand.fetch).await,
            Task::Deliver(delivery) => deliver::deliver(&here, *delivery).await,
        }
        taken.end();
    }));
    reply
}

async fn read(here: &Installation, request: &Request, incoming: &Incoming, stamp: &str) -> Option<Task> {
    let keys = here.keys.as_ref().ok().filter(|keys| is_stamp(&keys.master, stamp, incoming.at))?;
    let body = platform::read_whole(request, f64::from(LONGEST)).await.ok()?.dyn_into::<Uint8Array>().ok()?.to_vec();
    if is_stamped(&keys.master, stamp, &body) { from_wire(&body) } else { None }
}
