//! Checks whether keys are where the vendor's profile allows them. A call with a key elsewhere is
//! refused, since the vendor would receive the key.

use super::profile::{KeyPlace, Profile, TokenPlace};
use crate::keys::{Place, Search, Stands, is_usual};
use crate::policy::{Credential, Routes};
use crate::refusal::{Reason, Refusal};
use crate::{document, percent};
use serde_json::Value;

/// A request that contains keys, and where it would go.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The vendor's profile.
    pub profile: &'a Profile,
    /// The credential that is put into the call; `None` where a token is fetched for it.
    pub credential: Option<&'a Credential>,
    /// The method of the request line, upper case.
    pub method: &'a str,
    /// The vendor's path as sent, without the query.
    pub path: &'a str,
    /// The keys in its head.
    pub search: &'a Search<'a>,
    /// Its body, where that was read.
    pub body: &'a [u8],
    /// The keys in the body.
    pub in_body: &'a [Stands],
}

/// A key that is replaced by the real token when the call is sent.
#[derive(Clone, PartialEq, Eq)]
pub enum Swap {
    /// The key is the end of the path.
    Path(Stands),
    /// The key is a JSON string in the body.
    Json(Stands),
}

/// A request in which the real token has replaced the key.
pub struct Swapped {
    /// The path.
    pub path: String,
    /// The body, if the token is in it.
    pub body: Option<Vec<u8>>,
}

impl Swap {
    /// Returns the key's text.
    pub fn key(&self) -> &str {
        match self {
            Self::Path(stands) | Self::Json(stands) => &stands.key,
        }
    }

    /// Returns the request with the token in the key's place.
    pub fn put(&self, token: &str, path: &str, body: &[u8]) -> Swapped {
        match self {
            Self::Path(stands) => {
                let before = path.get(..stands.from).unwrap_or_default();
                Swapped { path: format!("{before}{}", percent::encoded(token)), body: None }
            }
            Self::Json(stands) => {
                let text = document::text(&token);
                let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default();
                let part = |range| body.get(range).unwrap_or_default();
                let body = [part(0..stands.from), inner.as_bytes(), part(stands.to..body.len())].concat();
                Swapped { path: path.to_owned(), body: Some(body) }
            }
        }
    }
}

/// Decides where the real token replaces a key, other than in the place where a credential always
/// goes.
///
/// # Errors
/// It fails with a refusal if a key is misplaced.
pub fn judge(asked: &Asked) -> Result<Option<Swap>, Refusal> {
    let Asked { search, in_body, profile, .. } = asked;
    let passthrough = matches!(asked.credential, Some(Credential::Passthrough));
    let beside = search.caller.as_ref().is_some_and(|found| found.place == Place::Apart);
    // A call whose key must come in `Sluice-Key` is answered with that advice and not forwarded.
    let only_misses = passthrough && !beside && search.elsewhere.len() <= 1 && in_body.is_empty();
    for place in &search.elsewhere {
        let known = match place {
            Place::Apart => true,
            Place::Authorization(scheme) => is_usual(scheme) || is_own(scheme, asked),
            Place::Header(name) => profile
                .key_in
                .iter()
                .any(|known| matches!(known, KeyPlace::Header(known) if known.eq_ignore_ascii_case(name))),
            Place::Query(name) => {
                profile.key_in.iter().any(|known| matches!(known, KeyPlace::Query(known) if known == name))
            }
            Place::Path => in_path(asked).is_some(),
            Place::InHeader(_) | Place::InQuery | Place::Body => false,
        };
        if !known || passthrough && !only_misses {
            return Err(misplaced(*place));
        }
    }
    if in_body.is_empty() {
        return Ok(in_path(asked).map(Swap::Path));
    }
    match in_json(asked).filter(|_| !passthrough && search.path.is_empty()) {
        Some(stands) => Ok(Some(Swap::Json(stands))),
        None => Err(misplaced(Place::Body)),
    }
}

/// Makes the refusal of a call with a key in a place from which the vendor would receive it.
pub fn misplaced(place: Place) -> Refusal {
    let place = match place {
        Place::Apart | Place::Authorization(_) => "in authorization, where it would not be replaced".to_owned(),
        Place::Header(name) | Place::InHeader(name) => format!("in the header {}", name.to_ascii_lowercase()),
        Place::Query(name) => format!("in the query parameter {name}"),
        Place::InQuery => "in the query".to_owned(),
        Place::Path => "in the path".to_owned(),
        Place::Body => "in the body".to_owned(),
    };
    let detail = format!(
        "there is a key {place}, where the vendor would receive it, so nothing was sent: send the key in Sluice-Key, or where this \
         vendor's own credential goes, and nowhere else"
    );
    Refusal::new(Reason::KeyMisplaced, detail)
}

/// Makes the refusal of a SOAP call whose only key is in the envelope.
pub fn soap() -> Refusal {
    let detail = "no key in the head: the session in a soap envelope is not replaced, so a soap call needs its key in Sluice-Key, \
        the vendor's own session in the envelope, and a connection whose credential is passthrough";
    Refusal::new(Reason::Key, detail)
}

/// Whether a request is a SOAP call.
pub fn is_soap(headers: &[(String, String)]) -> bool {
    let kind = crate::http::value(headers, "content-type").unwrap_or_default().to_ascii_lowercase();
    crate::http::value(headers, "soapaction").is_some() || kind.contains("soap") || kind.contains("text/xml")
}

/// Whether this is the scheme under which the real credential is sent.
fn is_own(scheme: &str, asked: &Asked) -> bool {
    let own = match asked.credential {
        Some(Credential::Header { name, value }) if name.eq_ignore_ascii_case("authorization") => value.as_str(),
        Some(Credential::Header { .. } | Credential::Query { .. } | Credential::Basic { .. }) => "",
        _ => match &asked.profile.token_in {
            TokenPlace::Header { name, prefix } if name.eq_ignore_ascii_case("authorization") => prefix.as_str(),
            _ => "",
        },
    };
    own.split_once(' ').is_some_and(|(own, _)| own.eq_ignore_ascii_case(scheme))
}

/// Whether the real credential is a token, which can replace a key in any place.
fn is_token(asked: &Asked) -> bool {
    matches!(asked.credential, None | Some(Credential::Bearer { .. }))
}

/// Returns the key in the path, if it is the whole last segment on one of the profile's routes.
fn in_path(asked: &Asked) -> Option<Stands> {
    let [stands] = asked.search.path.as_slice() else { return None };
    let whole = stands.to == asked.path.len() && asked.path.get(..stands.from)?.ends_with('/');
    let route = |known: &KeyPlace| match known {
        KeyPlace::Path(route) => Routes::of(std::slice::from_ref(route)).allow(asked.method, asked.path),
        _ => false,
    };
    (whole && is_token(asked) && asked.profile.key_in.iter().any(route)).then(|| stands.clone())
}

/// Returns the key in the body, if it is the whole string of one of the profile's JSON fields.
fn in_json(asked: &Asked) -> Option<Stands> {
    let [stands] = asked.in_body else { return None };
    let pointer = |known: &KeyPlace| match known {
        KeyPlace::Json(pointer, routes) if Routes::of(routes).allow(asked.method, asked.path) => Some(pointer.clone()),
        _ => None,
    };
    let pointer = asked.profile.key_in.iter().find_map(pointer)?;
    let body = serde_json::from_slice::<Value>(asked.body).ok()?;
    let field = body.get(pointer.strip_prefix('/')?)?.as_str()?;
    (is_token(asked) && field == stands.key).then(|| stands.clone())
}

#[cfg(test)]
mod tests;
