//! An answer that Sluice itself makes, before it becomes a response of the platform.

/// Names and values in order. Names are compared without regard to case, and may occur more than
/// once.
pub type Headers = Vec<(String, String)>;

/// A status, headers and a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status, 200 to 599.
    pub status: u16,
    /// All headers, with `Content-Type` but without `Content-Length`, which the platform writes.
    pub headers: Headers,
    /// The body in UTF-8, empty for none.
    pub body: String,
}

impl Answer {
    /// Makes an answer without headers and body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    /// Makes an answer with a JSON text, which must not be stored on the way.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::typed(status, "application/json", body)
    }

    /// Makes an answer with a text of this media type, which must not be stored on the way.
    pub fn typed(status: u16, media_type: &str, body: impl Into<String>) -> Self {
        let answer = Self { status, headers: Vec::new(), body: body.into() };
        answer.with("Content-Type", media_type).with("Cache-Control", "no-store")
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Returns the first value of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }
}

/// Returns the first value of that name.
pub fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Whether an `Accept` field names problem documents, other than with `q=0`.
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
    use super::accepts_problem;

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
