//! The methods that a call may have at its vendor: that of its request line, and any that the vendor may read in its place
//! (`_method`, `_HttpMethod`, `X-HTTP-Method-Override` and their like). They travel as one text: the method of the request
//! line, and behind it, each after a space, the others; with a `=` before one that the profile says the vendor reads.

use super::profile::{MethodPlace, Profile};
use crate::http::form;
use crate::policy::Routes;
use crate::refusal::{Reason, Refusal};

/// Most methods that one call may name.
const MOST: usize = 16;

/// Longest method, bytes.
const LONGEST: usize = 32;

/// Header and parameter names that say a method to some framework or vendor, in lower case and with `-` for `_`.
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

/// Methods that are in use. What a name of the list above says is taken for a method if it is one of these.
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

/// What a form that was not read may say.
const ANY_OF: [&str; 4] = ["GET", "PUT", "PATCH", "DELETE"];

/// A request, as far as it may name methods.
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

/// A body, as far as it may name a method.
#[derive(Clone, Copy)]
pub enum Body<'a> {
    /// There is none, or it is still to be read.
    None,
    /// It was read.
    Read(&'a [u8]),
    /// It is too long to be read before it is sent on.
    Unread,
}

/// The methods of a call.
///
/// # Errors
/// It names more of them than a call can have.
pub fn methods(profile: &Profile, asked: &Asked) -> Result<String, Refusal> {
    let mut said = Said { profile, asked, found: Vec::new() };
    for (name, value) in asked.headers {
        if value.len() <= 256 {
            value.split(',').for_each(|value| said.hear(name, value, |place| matches!(place, MethodPlace::Header(_))));
        }
    }
    let parameters = asked.query.unwrap_or_default().as_bytes();
    form::each(parameters, |name, value| said.hear(name, value, |place| matches!(place, MethodPlace::Query(_))));
    let in_form = |place: &MethodPlace| matches!(place, MethodPlace::Form(_));
    match asked.body {
        Body::None => {}
        Body::Read(bytes) => form::fields(asked.headers, bytes, |name, value| said.hear(name, value, in_form)),
        Body::Unread if form::is_any(asked.headers) && said.places().any(|place| in_form(&place)) => {
            ANY_OF.iter().for_each(|method| said.note(method, false));
        }
        Body::Unread => {}
    }
    let mut text = asked.method.to_owned();
    for (method, known) in &said.found {
        text.push_str(if *known { " =" } else { " " });
        text.push_str(method);
    }
    if said.found.len() > MOST {
        let detail = format!("the request names more than {MOST} methods for itself: send it with the one it has");
        return Err(Refusal::new(Reason::Request, detail));
    }
    Ok(text)
}

/// The method of the request line.
pub fn sent(methods: &str) -> &str {
    methods.split(' ').next().unwrap_or(methods)
}

/// Every method that the call may have.
pub fn each(methods: &str) -> impl Iterator<Item = &str> + Clone {
    methods.split(' ').map(|method| method.strip_prefix('=').unwrap_or(method))
}

/// Those that decide whether the call may be repeated: the one that its vendor reads, where the profile says so and no other
/// is named; else all.
pub fn effective(methods: &str) -> impl Iterator<Item = &str> + Clone {
    let mut named = methods.split(' ').skip(1);
    let only = named.next().and_then(|first| first.strip_prefix('=')).filter(|_| named.next().is_none());
    only.into_iter().chain(each(methods).take(if only.is_some() { 0 } else { usize::MAX }))
}

struct Said<'a> {
    profile: &'a Profile,
    asked: &'a Asked<'a>,
    found: Vec<(String, bool)>,
}

impl Said<'_> {
    /// The places at which the vendor reads a method on this path.
    fn places(&self) -> impl Iterator<Item = MethodPlace> {
        let matches =
            |routes: &[String]| routes.is_empty() || Routes::of(routes).matches(self.asked.method, self.asked.path);
        let here = self.profile.method_in.iter().filter(move |(_, routes)| matches(routes));
        here.map(|(place, _)| place.clone())
    }

    /// Takes a header or parameter.
    fn hear(&mut self, name: &str, value: &str, here: impl Fn(&MethodPlace) -> bool) {
        // Of those that stand for a header in an environment variable, `-` and `_` are the same.
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
