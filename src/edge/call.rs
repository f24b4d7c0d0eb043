//! A throttled call, from its key to its settlement. See the readme's "life of a call".

use super::answers::{self, Reply};
use super::attempts::UnderWay;
use super::forward::Forward;
use super::incoming::Incoming;
use super::installation::{Installation, Keys};
use super::record::Record;
use super::{attempts, inspect, is_own_page, keep, known, lost, token, upload};
use crate::platform::{self, Context, Deferred};
use js_sys::Promise;
use sluice_core::call::Isolate;
use sluice_core::http::{Address, Answer, Prefer, Target, VendorTarget, parse_target, urgency};
use sluice_core::key::{self, Claims, PREFIX, Place, Role, Search};
use sluice_core::refusal::{Reason, Refusal};
use sluice_core::tenant::protocol::{Admit, No};
use sluice_core::upstream::places;
use sluice_core::upstream::token::may_be_token_path;
use std::rc::Rc;
use web_sys::Request;

/// Why a call ends without the vendor's answer.
pub enum Stop {
    /// It is refused.
    Refused(Box<No>),
    /// It has its answer already; and if that is a refusal, why.
    Said(Option<Reason>, Answer),
    /// It is a job, or was one that has ended already; and the status.
    Kept(Reply, u16),
    /// Its caller has gone.
    Gone,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(No { refusal, vendor: None, rate_limit: None }))
    }
}

/// One call, as its steps see it.
pub struct Call {
    pub here: Rc<Installation>,
    pub request: Request,
    pub incoming: Rc<Incoming>,
    pub id: String,
    pub prefer: Prefer,
    /// Which of this isolate's calls it is.
    pub begun: u64,
}

/// Makes the call. All of it runs inside one `wait_until`: without one pending, the platform would cancel this Worker
/// together with its caller, and neither a permit on its way nor the vendor's answer would be settled.
pub fn throttled(
    here: Rc<Installation>,
    keys: Rc<Keys>,
    request: Request,
    context: &Context,
    incoming: Rc<Incoming>,
) -> Promise {
    let (give, given) = Give::new(Rc::clone(&incoming));
    let prefer = Prefer::read(&incoming.headers);
    let (id, begun) = (platform::random_id(), known::with(Isolate::begin_call));
    let call = Call { here, request, incoming, id, prefer, begun };
    context.wait_until(&platform::spawn(async move { call.live(&keys, give).await }));
    given
}

/// Gives the caller its answer, once.
struct Give(Option<(Deferred, Rc<Incoming>)>);

impl Give {
    /// The promise is of the answer.
    fn new(incoming: Rc<Incoming>) -> (Self, Promise) {
        let answer = platform::deferred();
        let promise = answer.promise();
        (Self(Some((answer, incoming))), promise)
    }

    /// If the caller has gone, nobody takes it.
    fn give(mut self, reply: Reply) {
        self.give_once(reply);
    }

    fn give_once(&mut self, reply: Reply) {
        let Some((answer, incoming)) = self.0.take() else { return };
        match reply.into_response(&incoming) {
            Ok(response) => answer.resolve(&response),
            Err(fault) => answer.reject(&fault),
        }
    }
}

impl Drop for Give {
    fn drop(&mut self) {
        // Not given if the caller has gone, or the call's life has ended in a panic.
        if self.0.is_some() {
            self.give_once(Refusal::new(Reason::Internal, "a fault of sluice's own: see its log").into());
        }
    }
}

/// What a key says, if it holds; `at` is Unix ms.
pub fn open_key(keys: &Keys, key: &str, at: i64) -> Result<Claims, Refusal> {
    let seconds = u64::try_from(at).unwrap_or_default() / 1_000;
    key::open(&keys.master, key, seconds).map_err(|fault| Refusal::new(Reason::Key, fault.to_string()))
}

impl Call {
    async fn live(&self, keys: &Keys, give: Give) {
        let mut record = Record::new(&self.id, &self.incoming);
        let came = self.run(keys, &mut record).await;
        // On the heap, since a call that waits would hold room for it.
        let came = match came {
            Err(Stop::Refused(no)) if no.refusal.reason == Reason::Key => {
                Err(Box::pin(self.explained(keys, *no)).await)
            }
            came => came,
        };
        Box::pin(self.end(came, give, record)).await;
    }

    /// The refusal of a key, with its cause where that is the installation's.
    async fn explained(&self, keys: &Keys, no: No) -> Stop {
        let refusal = lost::explain(&self.here, keys, &self.incoming, no.refusal).await;
        Stop::Refused(Box::new(No { refusal, ..no }))
    }

    /// Gives the caller its answer, and sees the call to its end.
    async fn end(&self, came: Result<UnderWay, Stop>, give: Give, mut record: Record) {
        match came {
            Ok(mut under_way) => {
                match under_way.reply.take() {
                    Some(reply) => give.give(reply),
                    None => drop(give),
                }
                return attempts::finish(self, under_way, record).await;
            }
            Err(Stop::Refused(no)) => {
                upload::drain(&self.request, &self.incoming).await;
                record.refused(&no.refusal);
                let answer = answers::refused_call(&no, &self.id, self.incoming.header("accept"));
                give.give(Reply::Own(answer));
            }
            Err(Stop::Said(reason, answer)) => {
                record.said(reason, answer.status);
                give.give(Reply::Own(answer));
            }
            Err(Stop::Kept(reply, status)) => {
                record.said(None, status);
                give.give(reply);
            }
            Err(Stop::Gone) => record.gone(),
        }
        record.write();
    }

    /// Everything up to the caller's answer.
    async fn run(&self, keys: &Keys, record: &mut Record) -> Result<UnderWay, Stop> {
        let target = parse_target(&self.incoming.url, self.here.host_suffix.as_deref())?;
        let Address::Vendor(vendor) = target.address else {
            return Err(Refusal::new(Reason::NotFound, "no connection is at this address").into());
        };
        if self.incoming.is_navigation() {
            let detail = "a browser does not open a vendor's address, nor post a form to it: call it from a script";
            return Err(Refusal::new(Reason::Origin, detail).into());
        }
        if self.incoming.is_upgrade() {
            return Err(
                Refusal::new(Reason::Upgrade, "websockets to a vendor are not forwarded: use plain http").into()
            );
        }
        #[cfg(feature = "memory-figure")]
        if vendor.path == "/wasm-memory" {
            let bytes = core::arch::wasm32::memory_size::<0>() * 65_536;
            return Err(Stop::Said(None, Answer::json(200, bytes.to_string())));
        }
        let headers = self.incoming.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let search = key::search(&keys.master, headers, vendor.path, vendor.query.unwrap_or_default());
        // The object, the statistics and the log get the path without the keys that stand in it.
        let path = key::without(vendor.path, &search.path);
        let shown = VendorTarget { path: &path, ..vendor };
        let about = inspect::About { call: self, keys, vendor: &vendor, search: &search };
        let token_path = may_be_token_path(vendor.path);
        let body = if token_path || search.caller.is_none() { upload::early(self).await? } else { None };
        let mut seen = about.look(body.as_ref()).await?;
        if token_path {
            token::exchange(&about, &target, &shown, &seen).await?;
        }
        let (claims, key_apart) = self.claims(keys, &search, &seen)?;
        record.of(&claims, &shown);
        let mut admit = self.admit(claims, key_apart, &target, &shown);
        about.note_methods(&mut admit, &seen).await?;
        if !search.elsewhere.is_empty() {
            about.swap(&admit, &seen).await?;
        }
        if self.prefer.respond_async {
            return Err(Box::pin(keep::keep(&about, &target, admit, body)).await?);
        }
        let body = upload::prepare(self, &mut admit, body).await?;
        if !seen.read {
            seen = about.look(Some(&body)).await?;
        }
        let swap = about.swap(&admit, &seen).await?;
        about.note_methods(&mut admit, &seen).await?;
        let body = upload::in_batches(self, &admit, &vendor, body).await?;
        let taken = &search.taken;
        let sending = Forward { call: self, target: &target, vendor: &vendor, body: &body, taken, swap: swap.as_ref() };
        Ok(attempts::make(&sending, admit, |route| about.methods(Some(route), &seen)).await)
    }

    /// Who calls, and whether the key came in `Sluice-Key`.
    fn claims(&self, keys: &Keys, search: &Search<'_>, seen: &inspect::Seen) -> Result<(Claims, bool), Refusal> {
        let in_body = seen.keys.first().map(|stands| stands.key.as_str());
        let key = match (&search.caller, in_body) {
            (Some(found), _) => &found.key,
            (None, Some(_)) if places::is_soap(&self.incoming.headers) => return Err(places::soap()),
            (None, Some(key)) => key,
            (None, None) => {
                let places = "in Sluice-Key, or where the vendor's own credential would go";
                return Err(Refusal::new(Reason::Key, format!("no key: send one ({PREFIX}…) {places}")));
            }
        };
        let claims = open_key(keys, key, self.incoming.at)?;
        if claims.role != Role::App {
            return Err(Refusal::new(Reason::Role, "this key sees figures alone: make calls with an app's key"));
        }
        Ok((claims, search.caller.as_ref().is_some_and(|found| found.place == Place::Apart)))
    }

    /// What is asked of the tenant's object.
    pub fn admit(&self, claims: Claims, key_apart: bool, target: &Target, vendor: &VendorTarget) -> Admit {
        let incoming = &self.incoming;
        let uri = vendor.path.len().saturating_add(vendor.query.map_or(0, |query| query.len().saturating_add(1)));
        let connection = connection(vendor);
        let known = known::route(&claims.tenant, &connection);
        Admit {
            call: self.id.clone(),
            connection,
            method: incoming.method.clone(),
            path: vendor.route_path().to_owned(),
            uri_bytes: u32::try_from(uri).unwrap_or(u32::MAX),
            body: incoming.body_length(),
            page: incoming.is_page(),
            origin: incoming.origin().map(str::to_owned),
            own_origin: is_own_page(incoming, target),
            key_apart,
            wait_ms: self.prefer.wait_ms,
            // RFC 9218, section 4.1.
            urgency: urgency(incoming.header("priority")).unwrap_or(3),
            again: false,
            knows: known.map_or(0, |route| route.version),
            holds: known::bearer(&claims.tenant, vendor.connection).map_or(0, |bearer| bearer.mark),
            rejected: 0,
            claims,
        }
    }
}

/// The connection's name. Host names know no case; clients write them as they like.
pub fn connection(vendor: &VendorTarget) -> String {
    if vendor.by_host { vendor.connection.to_ascii_lowercase() } else { vendor.connection.to_owned() }
}

/// The worst place for a panic: a permit is held, and other calls are in flight in the same isolate.
#[cfg(feature = "panic-trigger")]
#[allow(clippy::panic)]
pub fn panic_if_asked(path: &str, trigger: &str) {
    if path == trigger {
        panic!("asked to, by a path that only a build for tests knows");
    }
}
