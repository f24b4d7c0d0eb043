//! A throttled call, from its key to its settlement: each file here is one step of it.

pub mod access_log;
pub mod attempts;
pub mod body;
pub mod context;
pub mod enqueue;
pub mod forward;
pub mod inspect;
pub mod stream;

use crate::api::token;
use crate::call::access_log::AccessRecord;
use crate::call::attempts::CallInProgress;
use crate::call::context::{Call, CallEnd};
use crate::call::forward::Forward;
use crate::config::{Config, Keys};
use crate::lost_keys;
use crate::platform;
use crate::request::Incoming;
use crate::response::{self, Reply};
use crate::route_cache;
use futures_channel::oneshot;
use sluice_core::call::Isolate;
use sluice_core::call::arrival::{self, BodyTiming};
use sluice_core::http::{Prefer, VendorTarget, parse_target};
use sluice_core::keys::{self, Claims, Search};
use sluice_core::protocol::No;
use sluice_core::refusal::{Reason, Refusal};
use std::rc::Rc;
use wasm_bindgen::JsValue;
use web_sys::{Request, Response};
use worker::Context;

/// Makes the call. All of it runs inside one `wait_until`: without one pending, the platform would
/// cancel this Worker together with its caller, and neither a permit on its way nor the vendor's
/// answer would be settled.
pub fn throttled(
    config: Rc<Config>,
    keys: Rc<Keys>,
    request: Request,
    context: &Context,
    incoming: Rc<Incoming>,
) -> impl Future<Output = Result<Response, JsValue>> + use<> {
    let (answer, given) = oneshot::channel();
    let responder = Responder(Some((answer, Rc::clone(&incoming))));
    let prefer = Prefer::read(&incoming.headers);
    let (id, begun) = (platform::random_id(), route_cache::with_isolate(Isolate::begin_call));
    let call = Call { config, request, incoming, id, prefer, begun };
    // Boxed first: `wait_until` would otherwise make a future with room for this one twice.
    context.wait_until(Box::pin(async move { call.live(&keys, responder).await }));
    async { given.await.unwrap_or_else(|_| Err(JsValue::from("the call ended without an answer"))) }
}

/// Gives the caller its answer, once.
struct Responder(Option<(Answers, Rc<Incoming>)>);

/// Where the answer is waited for.
type Answers = oneshot::Sender<Result<Response, JsValue>>;

impl Responder {
    /// Answers the caller; if it has gone, nobody takes the answer.
    fn respond(mut self, reply: Reply) {
        self.respond_once(reply);
    }

    fn respond_once(&mut self, reply: Reply) {
        let Some((answer, incoming)) = self.0.take() else { return };
        let _ = answer.send(reply.into_response(&incoming));
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        // Not given if the caller has gone, or the call's life has ended in a panic.
        if self.0.is_some() {
            self.respond_once(Refusal::new(Reason::Internal, "a fault of sluice's own: see its log").into());
        }
    }
}

impl Call {
    async fn live(&self, keys: &Keys, responder: Responder) {
        let mut record = AccessRecord::new(&self.id, &self.incoming);
        let came = self.run(keys, &mut record).await;
        // On the heap, since a call that waits would hold room for it.
        let came = match came {
            Err(CallEnd::Refused(no)) if no.refusal.reason == Reason::Key => {
                Err(Box::pin(self.explained(keys, *no)).await)
            }
            came => came,
        };
        Box::pin(self.end(came, responder, record)).await;
    }

    /// Returns the refusal of a key, with its cause where that is the installation's.
    async fn explained(&self, keys: &Keys, no: No) -> CallEnd {
        let refusal = lost_keys::explain(&self.config, keys, &self.incoming, no.refusal).await;
        CallEnd::Refused(Box::new(No { refusal, ..no }))
    }

    /// Gives the caller its answer, and sees the call to its end.
    async fn end(&self, came: Result<CallInProgress, CallEnd>, responder: Responder, mut record: AccessRecord) {
        match came {
            Ok(mut in_progress) => {
                match in_progress.reply.take() {
                    Some(reply) => responder.respond(reply),
                    None => drop(responder),
                }
                return attempts::finish(self, in_progress, record).await;
            }
            Err(CallEnd::Refused(no)) => {
                body::drain(&self.request, &self.incoming).await;
                record.refused(&no.refusal);
                let answer = response::refused_call(&no, &self.id, self.incoming.header("accept"));
                responder.respond(Reply::Own(answer));
            }
            Err(CallEnd::Answered(reason, answer)) => {
                record.said(reason, answer.status);
                responder.respond(Reply::Own(answer));
            }
            Err(CallEnd::Queued(reply, status)) => {
                record.said(None, status);
                responder.respond(reply);
            }
            Err(CallEnd::CallerGone) => record.gone(),
        }
        record.write();
    }

    /// Does everything up to the caller's answer.
    async fn run(&self, keys: &Keys, record: &mut AccessRecord) -> Result<CallInProgress, CallEnd> {
        let target = parse_target(&self.incoming.url, self.config.host_suffix.as_deref())?;
        let vendor = arrival::vendor_target(&target, self.incoming.manner())?;
        #[cfg(feature = "memory-figure")]
        if vendor.path == "/wasm-memory" {
            let bytes = core::arch::wasm32::memory_size::<0>() * 65_536;
            return Err(CallEnd::Answered(None, sluice_core::http::Answer::json(200, bytes.to_string())));
        }
        let headers = self.incoming.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let search = keys::search(&keys.master, headers, vendor.path, vendor.query.unwrap_or_default());
        // The object, the statistics and the log get the path without the keys that stand in it.
        let path = keys::without(vendor.path, &search.path);
        let shown = VendorTarget { path: &path, ..vendor };
        let about = inspect::About { call: self, keys, vendor: &vendor, search: &search };
        let BodyTiming { is_token_path, is_early } = arrival::body_timing(vendor.path, &search);
        let body = if is_early { body::early(self).await? } else { None };
        let mut seen = about.look(body.as_ref()).await?;
        if is_token_path {
            Box::pin(token::exchange(&about, &target, &shown, &seen)).await?;
        }
        let claims = self.claims(keys, &search, &seen)?;
        record.of(&claims, &shown);
        // On the heap, since a call that waits would hold room for it.
        let mut admit = Box::new(self.admit(claims, arrival::is_key_apart(&search), &target, &shown));
        about.note_methods(&mut admit, &seen).await?;
        if !search.elsewhere.is_empty() {
            about.swap(&admit, &seen).await?;
        }
        if self.prefer.respond_async {
            return Err(Box::pin(enqueue::keep(&about, &target, *admit, body)).await?);
        }
        let body = body::prepare(self, &mut admit, body).await?;
        if !seen.read {
            seen = about.look(Some(&body)).await?;
        }
        let swap = about.swap(&admit, &seen).await?;
        about.note_methods(&mut admit, &seen).await?;
        let body = body::in_batches(self, &admit, &vendor, body).await?;
        let taken = &search.taken;
        let sending = Forward { call: self, target: &target, vendor: &vendor, body: &body, taken, swap: swap.as_ref() };
        Ok(attempts::send_with_retries(&sending, admit, |route| about.methods(Some(route), &seen)).await)
    }

    /// Returns the claims of the key that the call is made with.
    fn claims(&self, keys: &Keys, search: &Search<'_>, seen: &inspect::Seen) -> Result<Claims, Refusal> {
        let in_body = seen.keys.first().map(|stands| stands.key.as_str());
        let key = arrival::callers_key(search, in_body, &self.incoming.headers)?;
        let claims = keys.open(key, self.incoming.at)?;
        arrival::check_role(&claims)?;
        Ok(claims)
    }
}
