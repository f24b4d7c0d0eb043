//! What decides on a call besides its address: keys where none may stand, and the methods that its
//! vendor may read.

use crate::call::body;
use crate::call::context::{Call, CallEnd};
use crate::call::stream::Body;
use crate::config::Keys;
use crate::route_cache;
use sluice_core::http::VendorTarget;
use sluice_core::keys::{Search, Stands, seek};
use sluice_core::protocol::{Admit, Route};
use sluice_core::refusal::Refusal;
use sluice_core::upstream::Profile;
use sluice_core::upstream::body::inflated;
use sluice_core::upstream::methods;
use sluice_core::upstream::places::{self, Swap};

/// A call and what its head says.
#[derive(Clone, Copy)]
pub struct About<'a> {
    /// The call.
    pub call: &'a Call,
    /// The installation's keys.
    pub keys: &'a Keys,
    /// Where it goes, as sent.
    pub vendor: &'a VendorTarget<'a>,
    /// The keys of its head.
    pub search: &'a Search<'a>,
}

/// A body, as far as it was read.
#[derive(Default)]
pub struct Seen {
    /// It was read, or there is none to read.
    pub read: bool,
    /// Its bytes; empty where it is too long to be read before it is sent.
    pub bytes: Vec<u8>,
    /// It is longer than what is read.
    pub longer: bool,
    /// Its bytes without its `Content-Encoding`, where it has one that can be undone.
    pub plain: Option<Vec<u8>>,
    /// The keys in it.
    pub keys: Vec<Stands>,
}

impl About<'_> {
    /// Looks into a body, in the form that [`body::prepare`] gives it; none where it was not taken
    /// yet.
    pub async fn look(&self, body: Option<&Body>) -> Result<Seen, CallEnd> {
        let Some(body) = body else { return Ok(Seen { read: !self.call.incoming.has_body(), ..Seen::default() }) };
        let Some(bytes) = body::bytes(self.call, body).await? else {
            return Ok(Seen { read: true, longer: !matches!(body, Body::None), ..Seen::default() });
        };
        Ok(self.bytes(bytes))
    }

    /// Looks into a body whose bytes are all at hand: undoes its `Content-Encoding`, and finds the
    /// keys in it.
    pub fn bytes(&self, bytes: Vec<u8>) -> Seen {
        let plain = inflated(self.call.incoming.header("content-encoding"), &bytes);
        let keys = seek(&self.keys.master, plain.as_deref().unwrap_or(&bytes));
        Seen { read: true, bytes, longer: false, plain, keys }
    }

    /// Returns the methods of the call, as far as it is read; by the rules of any vendor where its
    /// profile is not known.
    pub fn methods(&self, route: Option<&Route>, seen: &Seen) -> Result<String, Refusal> {
        let unknown = Profile::default();
        let incoming = &self.call.incoming;
        let plain = incoming.header("content-encoding").is_none_or(|coding| coding.eq_ignore_ascii_case("identity"));
        let asked = methods::Asked {
            method: &incoming.method,
            path: self.vendor.route_path(),
            query: self.vendor.query,
            headers: &incoming.headers,
            body: match seen {
                Seen { longer: true, .. } => methods::Body::Unread,
                Seen { plain: Some(plain), .. } => methods::Body::Read(plain),
                Seen { bytes, .. } if bytes.is_empty() => methods::Body::None,
                _ if !plain => methods::Body::Unread,
                Seen { bytes, .. } => methods::Body::Read(bytes),
            },
        };
        methods::methods(route.map_or(&unknown, |route| &route.profile), &asked)
    }

    /// Notes the methods of the call. Where it names others than its own, its profile has to be
    /// known.
    pub async fn note_methods(&self, admit: &mut Admit, seen: &Seen) -> Result<(), CallEnd> {
        let known = route_cache::route(&admit.claims.tenant, &admit.connection);
        admit.method = self.methods(known.as_deref(), seen)?;
        if known.is_none() && admit.method.contains(' ') {
            let route = body::describe(self.call, admit).await?;
            admit.method = self.methods(Some(&route), seen)?;
        }
        Ok(())
    }

    /// Returns where the real token goes in a key's place, if anywhere; or the refusal of a call
    /// with a misplaced key. Nothing of it has been counted or sent.
    pub async fn swap(&self, admit: &Admit, seen: &Seen) -> Result<Option<Swap>, CallEnd> {
        if self.search.elsewhere.is_empty() && seen.keys.is_empty() {
            return Ok(None);
        }
        let route = body::describe(self.call, admit).await?;
        let asked = places::Asked {
            profile: &route.profile,
            credential: route.credential.as_ref(),
            method: &self.call.incoming.method,
            path: self.vendor.path,
            search: self.search,
            body: &seen.bytes,
            in_body: &seen.keys,
        };
        Ok(places::judge(&asked)?)
    }
}
