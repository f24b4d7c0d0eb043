//! Finds the keys in the head of a request. The caller's key comes in `Sluice-Key`, or where the
//! vendor's own credential would be, so that a vendor's SDK needs only a new base URL. In any other
//! place it is accepted only if the vendor's profile names that place.

use super::claims::{MAX_KEY_BYTES, PREFIX};
use super::master::Master;
use super::seek::{Stands, seek, whole};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};
use std::borrow::Cow;

/// The most characters of Basic credentials that are decoded: the longest key beside a user name of
/// the same length.
const MAX_BASIC_BYTES: usize = 4 * MAX_KEY_BYTES;

/// Basic's base64, with or without padding, since some clients leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key that has not been verified yet, and its place. `Debug` does not show the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Found<'a> {
    /// The key's text.
    pub key: Cow<'a, str>,
    /// Where in the request it was.
    pub place: Place<'a>,
}

/// A place in a request where a key can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// In the `Sluice-Key` header, beside the vendor's credential.
    Apart,
    /// In `Authorization` under this scheme, which is empty where there is none. With `Basic` it is
    /// the user name or the password.
    Authorization(&'a str),
    /// The whole value of another header, by its name as sent.
    Header(&'a str),
    /// The whole value of a query parameter, by its name as sent.
    Query(&'a str),
    /// Somewhere in the header of that name, beside other text.
    InHeader(&'a str),
    /// Somewhere in the query, beside other text.
    InQuery,
    /// In the path.
    Path,
    /// In the body.
    Body,
}

impl std::fmt::Debug for Found<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found").field("place", &self.place).finish_non_exhaustive()
    }
}

/// The keys in the head of a request. `Debug` does not show them.
#[derive(Debug, Clone, Default)]
pub struct Search<'a> {
    /// The caller's key, whether or not it is valid.
    pub caller: Option<Found<'a>>,
    /// Where valid keys are, other than in `Sluice-Key`. A single key in `Authorization` is left
    /// out if its scheme is one that every vendor's clients use.
    pub elsewhere: Vec<Place<'a>>,
    /// The keys in the path.
    pub path: Vec<Stands>,
    /// The headers and parameters that contain a key.
    pub taken: Taken,
}

/// The headers and query parameters that contain a key, and so are not forwarded to the vendor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// The headers' names, in lower case.
    pub headers: Vec<String>,
    /// The positions of the parameters in the query, from 0.
    pub query: Vec<usize>,
}

/// Finds the keys in a request's headers (name in any case, value), in its path and in its query
/// (without `?`).
///
/// `Sluice-Key` wins over all others, whatever it holds; then comes `Authorization`, then any other
/// header, then the query, then the path. Of two in the same kind of place the first wins.
pub fn search<'a>(
    master: &Master,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    path: &str,
    query: &'a str,
) -> Search<'a> {
    let mut found = Search::default();
    let (mut apart, mut authorization, mut other) = (None, None, None);
    for (name, value) in headers {
        let value = value.trim_matches([' ', '\t']);
        if name.eq_ignore_ascii_case("sluice-key") {
            apart.get_or_insert(Found { key: Cow::Borrowed(value), place: Place::Apart });
            continue;
        }
        let is_authorization = name.eq_ignore_ascii_case("authorization");
        if is_authorization && let Some((scheme, key)) = in_authorization(value) {
            let place = Place::Authorization(scheme);
            if whole(master, key.as_bytes()).is_some() {
                found.take_header(name, place);
            } else if !seek(master, value.as_bytes()).is_empty() {
                found.take_header(name, Place::InHeader(name));
            }
            authorization.get_or_insert(Found { key, place });
            continue;
        }
        let stands = seek(master, value.as_bytes());
        let Some(first) = stands.first() else { continue };
        let place = match stands.len() {
            1 if first.from == 0 && first.to == value.len() && !is_authorization => Place::Header(name),
            _ => Place::InHeader(name),
        };
        found.take_header(name, place);
        other.get_or_insert(Found { key: Cow::Owned(first.key.clone()), place });
    }
    if !seek(master, query.as_bytes()).is_empty() {
        for (at, parameter) in query.split('&').enumerate() {
            let stands = seek(master, parameter.as_bytes());
            let Some(first) = stands.first() else { continue };
            let place = match parameter.split_once('=') {
                Some((name, value))
                    if stands.len() == 1
                        && first.to == parameter.len()
                        && first.to.checked_sub(first.from) == Some(value.len()) =>
                {
                    Place::Query(name)
                }
                _ => Place::InQuery,
            };
            found.taken.query.push(at);
            found.elsewhere.push(place);
            other.get_or_insert(Found { key: Cow::Owned(first.key.clone()), place });
        }
    }
    found.path = seek(master, path.as_bytes());
    if let Some(first) = found.path.first() {
        found.elsewhere.push(Place::Path);
        other.get_or_insert(Found { key: Cow::Owned(first.key.clone()), place: Place::Path });
    }
    let beside = apart.is_some();
    found.caller = apart.or(authorization).or(other);
    // The usual case is a single key in `Authorization`.
    if !beside && found.elsewhere.len() == 1 {
        found.elsewhere.retain(|place| !matches!(place, Place::Authorization(scheme) if is_usual(scheme)));
    }
    found
}

/// Whether the clients of any vendor may send their credential under this scheme.
pub fn is_usual(scheme: &str) -> bool {
    ["", "bearer", "basic", "oauth"].iter().any(|known| known.eq_ignore_ascii_case(scheme))
}

impl<'a> Search<'a> {
    fn take_header(&mut self, name: &str, place: Place<'a>) {
        let lower = name.to_ascii_lowercase();
        self.elsewhere.push(place);
        if self.taken.headers.last() != Some(&lower) {
            self.taken.headers.push(lower);
        }
    }
}

/// Removes the parameters at these positions from a query (without `?`). Every other byte stays as
/// sent.
pub fn without_parameters<'a>(query: &'a str, places: &[usize]) -> Cow<'a, str> {
    if places.is_empty() {
        return Cow::Borrowed(query);
    }
    let kept = query.split('&').enumerate().filter(|(at, _)| !places.contains(at)).map(|(_, parameter)| parameter);
    Cow::Owned(kept.collect::<Vec<_>>().join("&"))
}

/// Returns the key among the protocols that a page offers for its WebSocket: `new WebSocket(url,
/// ["sluice.v1", key])`. A browser cannot set a header there.
pub fn in_protocols(offered: &str) -> Option<&str> {
    let mut protocols = offered.split(',').map(str::trim);
    let known = protocols.clone().any(|protocol| protocol == "sluice.v1");
    protocols.find(|protocol| known && protocol.starts_with(PREFIX))
}

/// Returns the scheme in `Authorization`, and the key behind it.
fn in_authorization(value: &str) -> Option<(&str, Cow<'_, str>)> {
    if value.starts_with(PREFIX) {
        return Some(("", Cow::Borrowed(value)));
    }
    let (scheme, credential) = value.split_once(' ')?;
    let credential = credential.trim_start_matches(' ');
    if credential.starts_with(PREFIX) {
        return Some((scheme, Cow::Borrowed(credential)));
    }
    let basic = scheme.eq_ignore_ascii_case("basic").then(|| in_basic(credential))??;
    Some((scheme, Cow::Owned(basic)))
}

/// Returns the key that is the password or the user name of Basic credentials.
fn in_basic(credential: &str) -> Option<String> {
    if credential.len() > MAX_BASIC_BYTES {
        return None;
    }
    let pair = String::from_utf8(BASE64.decode(credential).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    [password, user].into_iter().find(|part| part.starts_with(PREFIX)).map(str::to_owned)
}
