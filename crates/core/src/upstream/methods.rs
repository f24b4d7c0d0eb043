//! The methods that a call may have for its vendor: that of its request line, and any that the
//! vendor may read in its place (`_method`, `_HttpMethod`, `X-HTTP-Method-Override` and the like).
//! They are passed on as one text: the method of the request line, then each other one after a
//! space, with a `=` before a method that the vendor reads according to its profile.

use super::profile::{MethodPlace, Profile};
use crate::http::form;
use crate::policy::Routes;
use crate::refusal::{Reason, Refusal};

/// The most methods that one call may name.
const MOST: usize = 16;

/// The longest method, bytes.
const LONGEST: usize = 32;

/// The names of headers and parameters from which some framework or vendor reads a method, in lower
/// case and with `-` for `_`.
const NAMES: [&str; 13] = [
    "-method",
    "-httpmethod",
    "-http-method",
    "$httpmethod",
    "$method",
    "httpmethod",
    "x-method",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "http-method-override",
    "x-original-method",
    "x-rewrite-method",
];

/// The methods in use. Only these are recognised as the value of a name in the list above.
const METHODS: [&str; 26] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "QUERY",
    "SEARCH",
    "MERGE",
    "REPORT",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "LINK",
    "UNLINK",
    "BIND",
    "PURGE",
    "VIEW",
    "BATCH",
];

/// The methods that a form may name that was not read.
const ANY_OF: [&str; 4] = ["GET", "PUT", "PATCH", "DELETE"];

/// The parts of a request that may name methods.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The method of the request line, upper case.
    pub method: &'a str,
    /// The vendor's path as sent, without the query.
    pub path: &'a str,
    /// The query as sent, without `?`.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: Body<'a>,
}

/// A body that may name a method.
#[derive(Clone, Copy)]
pub enum Body<'a> {
    /// There is none, or it has not been read yet.
    None,
    /// It was read, and these are its bytes.
    Read(&'a [u8]),
    /// It is too long to be read before it is forwarded.
    Unread,
}

/// Returns the methods of a call in the form that the module describes.
///
/// # Errors
/// It fails with a refusal if the call names more than 16 further methods.
pub fn methods(profile: &Profile, asked: &Asked) -> Result<String, Refusal> {
    let mut named = NamedMethods { profile, asked, found: Vec::new() };
    for (name, value) in asked.headers {
        if value.len() <= 256 {
            value.split(',').for_each(|value| named.read(name, value, |place| matches!(place, MethodPlace::Header(_))));
        }
    }
    let parameters = asked.query.unwrap_or_default().as_bytes();
    form::each(parameters, |name, value| named.read(name, value, |place| matches!(place, MethodPlace::Query(_))));
    let in_form = |place: &MethodPlace| matches!(place, MethodPlace::Form(_));
    match asked.body {
        Body::None => {}
        Body::Read(bytes) => form::fields(asked.headers, bytes, |name, value| named.read(name, value, in_form)),
        Body::Unread if form::is_any(asked.headers) && named.places().any(|place| in_form(&place)) => {
            ANY_OF.iter().for_each(|method| named.note(method, false));
        }
        Body::Unread => {}
    }
    let mut text = asked.method.to_owned();
    for (method, known) in &named.found {
        text.push_str(if *known { " =" } else { " " });
        text.push_str(method);
    }
    if named.found.len() > MOST {
        let detail =
            format!("the request names more than {MOST} other methods in headers or parameters: send only its own");
        return Err(Refusal::new(Reason::Request, detail));
    }
    Ok(text)
}

/// Returns the method of the request line.
pub fn sent(methods: &str) -> &str {
    methods.split(' ').next().unwrap_or(methods)
}

/// Yields every method that the call may have.
pub fn each(methods: &str) -> impl Iterator<Item = &str> + Clone {
    methods.split(' ').map(|method| method.strip_prefix('=').unwrap_or(method))
}

/// Yields the methods that decide whether the call may be repeated: the one that the vendor reads
/// according to its profile, if it is the only one named; otherwise all.
pub fn effective(methods: &str) -> impl Iterator<Item = &str> + Clone {
    let mut named = methods.split(' ').skip(1);
    let only = named.next().and_then(|first| first.strip_prefix('=')).filter(|_| named.next().is_none());
    only.into_iter().chain(each(methods).take(if only.is_some() { 0 } else { usize::MAX }))
}

struct NamedMethods<'a> {
    profile: &'a Profile,
    asked: &'a Asked<'a>,
    found: Vec<(String, bool)>,
}

impl NamedMethods<'_> {
    /// Yields the places where the vendor reads a method on this path.
    fn places(&self) -> impl Iterator<Item = MethodPlace> {
        let matches =
            |routes: &[String]| routes.is_empty() || Routes::of(routes).matches(self.asked.method, self.asked.path);
        let here = self.profile.method_in.iter().filter(move |(_, routes)| matches(routes));
        here.map(|(place, _)| place.clone())
    }

    /// Notes the method that a header or parameter names, if it names one.
    fn read(&mut self, name: &str, value: &str, here: impl Fn(&MethodPlace) -> bool) {
        // Names that become environment variables, as headers do in CGI, do not differ in `-` and
        // `_`.
        let plain = || name.bytes().map(|byte| if byte == b'_' { '-' } else { char::from(byte.to_ascii_lowercase()) });
        let known = !self.profile.method_in.is_empty()
            && self.places().any(|place| here(&place) && place.name().eq_ignore_ascii_case(name));
        let listed = || NAMES.iter().any(|known| known.chars().eq(plain()));
        if known || listed() {
            let method: String = value
                .trim_matches(|character: char| character.is_whitespace() || character.is_control())
                .chars()
                .take_while(char::is_ascii_alphabetic)
                .take(LONGEST)
                .map(|letter| letter.to_ascii_uppercase())
                .collect();
            if known || METHODS.contains(&method.as_str()) {
                self.note(&method, known);
            }
        }
    }

    fn note(&mut self, method: &str, known: bool) {
        if method.is_empty() || method == self.asked.method || self.found.len() > MOST {
            return;
        }
        match self.found.iter_mut().find(|(found, _)| found == method) {
            Some((_, was_known)) => *was_known |= known,
            None => self.found.push((method.to_owned(), known)),
        }
    }
}

#[cfg(test)]
mod tests;
