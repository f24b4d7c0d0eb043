//! An answer that Sluice makes itself, before it becomes a platform response.

use super::names::Names;
use crate::document::text;
use serde::{Serialize, Serializer};

/// Names and values, in order. Names are compared without regard to case; a name may come more than once.
pub type Headers = Vec<(String, String)>;

/// As the platform's constructors take them, in JSON: an object, or where a name comes twice a list of pairs. The platform walks through a
/// list by iterators of JavaScript's, several steps a header: with few headers either way, 0.03 ms a call.
pub fn as_init(headers: &[(String, String)]) -> String {
    let names = Names::of(headers.iter().map(|(name, _)| name.as_str()));
    if names.repeat() { text(&headers) } else { text(&Members(headers)) }
}

/// An object of strings; each name is there once.
struct Members<'a>(&'a [(String, String)]);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Status, headers and a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200..=599.
    pub status: u16,
    /// All headers, `Content-Type` among them; no `Content-Length`, which the platform writes.
    pub headers: Headers,
    /// UTF-8; empty for none.
    pub body: String,
}

impl Answer {
    /// No headers, no body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    /// A JSON text, not to be stored by anyone on the way.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::typed(status, "application/json", body)
    }

    /// A text of this media type.
    pub fn typed(status: u16, media_type: &str, body: impl Into<String>) -> Self {
        let answer = Self { status, headers: Vec::new(), body: body.into() };
        answer.with("Content-Type", media_type).with("Cache-Control", "no-store")
    }

    /// The same with one header more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The first value of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }
}

/// The first value of that name.
pub fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Whether an `Accept` field names problem documents, and not with `q=0`.
pub fn accepts_problem(accept: Option<&str>) -> bool {
    accept.unwrap_or_default().split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/problem+json"))
            && !parts.any(|parameter| {
                let (name, weight) = parameter.split_once('=').unwrap_or((parameter, ""));
                let weight = weight.trim();
                name.trim().eq_ignore_ascii_case("q")
                    && weight.starts_with('0')
                    && !weight.contains(|c| ('1'..='9').contains(&c))
            })
    })
}

#[cfg(test)]
mod tests {
    use super::{accepts_problem, as_init};
    use crate::http::names::tests::grows_as_sorting_does;

    #[test]
    fn sixteen_thousand_headers_are_written_in_hardly_more_than_twice_the_steps_of_eight() {
        grows_as_sorting_does("written", |n| {
            as_init(&(0..n).map(|at| (format!("X-{at}"), String::new())).collect::<Vec<_>>());
        });
    }

    #[test]
    fn headers_are_an_object_unless_that_would_lose_one() {
        let pairs = |pairs: &[(&str, &str)]| {
            as_init(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>())
        };
        assert_eq!(pairs(&[]), "{}");
        assert_eq!(pairs(&[("Accept", "a\"b"), ("Vary", "Origin")]), r#"{"Accept":"a\"b","Vary":"Origin"}"#);
        assert_eq!(
            pairs(&[("set-cookie", "a=1"), ("Set-Cookie", "b=2")]),
            r#"[["set-cookie","a=1"],["Set-Cookie","b=2"]]"#
        );
    }

    #[test]
    fn problem_documents_are_asked_for_by_name_alone() {
        assert!(accepts_problem(Some("application/problem+json")));
        assert!(accepts_problem(Some("application/json;q=0.5, Application/Problem+JSON ; q=0.9")));
        assert!(!accepts_problem(Some("application/json, */*")));
        assert!(!accepts_problem(None));
    }

    #[test]
    fn a_weight_of_nought_declines() {
        assert!(!accepts_problem(Some("application/problem+json;q=0")));
        assert!(!accepts_problem(Some("application/problem+json; q=0.000")));
        assert!(accepts_problem(Some("application/problem+json; q=0.001")));
    }
}
