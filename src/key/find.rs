//! Where in a request the key is: in `Sluice-Key`, or wherever the vendor's own credential would be, so that a vendor's
//! SDK needs a new base URL and nothing else.

use super::claims::{MAX_KEY_BYTES, PREFIX};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};
use std::borrow::Cow;

/// Characters of Basic credentials that are decoded: room for the longest key beside a user name of the same length.
const MAX_BASIC_BYTES: usize = 4 * MAX_KEY_BYTES;

/// Basic's base64, also from clients that leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key and where it was. Not yet checked, so not yet believed. Its `Debug` does not show the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Found<'a> {
    /// The key.
    pub key: Cow<'a, str>,
    /// Where it was.
    pub place: Place<'a>,
}

/// A place in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// The `Sluice-Key` header: beside the vendor's credential, not in its place.
    Apart,
    /// `Authorization`, under any scheme.
    Authorization,
    /// Another header, by its name as sent.
    Header(&'a str),
    /// A query parameter, by its name as sent.
    Query(&'a str),
}

impl std::fmt::Debug for Found<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Finds the key in a request's headers (name and value, in any case of the name) and its query (without `?`).
///
/// `Sluice-Key` wins, whatever it holds; then `Authorization`, then any other header whose whole value begins as a key
/// does, then such a query parameter (`api_secret` and `access_token` among them). Of two alike the first.
pub fn find<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>, query: &'a str) -> Option<Found<'a>> {
    let mut best: Option<Found<'a>> = None;
    for (name, value) in headers {
        match in_header(name, value) {
            Some(found) if found.place == Place::Apart => return Some(found),
            Some(found) if found.place == Place::Authorization => {
                if best.as_ref().is_none_or(|best| best.place != Place::Authorization) {
                    best = Some(found);
                }
            }
            found => best = best.or(found),
        }
    }
    best.or_else(|| parameters(query).find_map(in_parameter))
}

/// Whether a header is one that [`find`] would take a key from: such a one is not for the vendor.
pub fn carries_key(name: &str, value: &str) -> bool {
    in_header(name, value).is_some()
}

/// The query (without `?`) less every parameter that holds a key; every other byte as sent.
pub fn without_keys(query: &str) -> Cow<'_, str> {
    if !parameters(query).any(|parameter| in_parameter(parameter).is_some()) {
        return Cow::Borrowed(query);
    }
    let kept = parameters(query).filter(|parameter| in_parameter(parameter).is_none());
    Cow::Owned(kept.collect::<Vec<_>>().join("&"))
}

/// The key among the protocols that a page's WebSocket offers: `new WebSocket(url, ["sluice.v1", key])`. A browser cannot
/// set a header there.
pub fn in_protocols(offered: &str) -> Option<&str> {
    let mut protocols = offered.split(',').map(str::trim);
    let known = protocols.clone().any(|protocol| protocol == "sluice.v1");
    protocols.find(|protocol| known && protocol.starts_with(PREFIX))
}

fn in_header<'a>(name: &'a str, value: &'a str) -> Option<Found<'a>> {
    let value = value.trim_matches([' ', '\t']);
    if name.eq_ignore_ascii_case("sluice-key") {
        return Some(Found { key: Cow::Borrowed(value), place: Place::Apart });
    }
    let authorization = name.eq_ignore_ascii_case("authorization");
    if value.starts_with(PREFIX) {
        let place = if authorization { Place::Authorization } else { Place::Header(name) };
        return Some(Found { key: Cow::Borrowed(value), place });
    }
    let (scheme, credential) = authorization.then(|| value.split_once(' '))??;
    let credential = credential.trim_start_matches(' ');
    let key = if credential.starts_with(PREFIX) {
        Cow::Borrowed(credential)
    } else if scheme.eq_ignore_ascii_case("basic") {
        Cow::Owned(in_basic(credential)?)
    } else {
        return None;
    };
    Some(Found { key, place: Place::Authorization })
}

/// The key as password or user name of Basic credentials.
fn in_basic(credential: &str) -> Option<String> {
    if credential.len() > MAX_BASIC_BYTES {
        return None;
    }
    let pair = String::from_utf8(BASE64.decode(credential).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    [password, user].into_iter().find(|part| part.starts_with(PREFIX)).map(str::to_owned)
}

fn parameters(query: &str) -> impl Iterator<Item = &str> {
    query.split('&')
}

fn in_parameter(parameter: &str) -> Option<Found<'_>> {
    let (name, value) = parameter.split_once('=')?;
    value.starts_with(PREFIX).then_some(Found { key: Cow::Borrowed(value), place: Place::Query(name) })
}
