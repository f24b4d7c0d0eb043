//! An answer as a caller received it.

use serde_json::Value;
use std::time::Duration;

/// An answer, whole or as far as it came.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// The headers in order, with names in the case in which they came.
    pub headers: Vec<(String, String)>,
    /// The body, with its chunks joined.
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub whole: bool,
    /// The time from the first byte sent to the head's end.
    pub head_after: Duration,
    /// The time from the first byte sent to the body's end.
    pub took: Duration,
}

impl Answer {
    /// Returns the first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Returns every header of that name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Parses the body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|fault| panic!("no JSON ({fault}) in {self:?}"))
    }

    /// Returns `Sluice-Reason`.
    pub fn sluice_reason(&self) -> Option<&str> {
        self.header("sluice-reason")
    }

    /// Returns `Retry-After` in seconds.
    pub fn retry_after(&self) -> Option<u64> {
        self.header("retry-after").map(|v| v.parse().unwrap_or_else(|_| panic!("Retry-After «{v}» is no whole number")))
    }

    /// Checks that Sluice made this answer, with that status and reason, as a problem document or
    /// in a dialect.
    #[track_caller]
    pub fn is_refusal(&self, status: u16, reason: &str) {
        let seen = (self.status, self.sluice_reason());
        assert_eq!(seen, (status, Some(reason)), "headers {:?}, body {}", self.headers, self.text());
    }

    /// Checks that this is a refusal in a problem document.
    #[track_caller]
    pub fn is_problem(&self, status: u16, reason: &str) {
        self.is_refusal(status, reason);
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/problem+json"), "content type «{kind}»");
        let body = self.json();
        assert_eq!(body["status"], status, "{body}");
        assert!(body["title"].is_string() && body["type"].is_string(), "{body}");
    }

    /// Checks that the vendor made this answer, with that status.
    #[track_caller]
    pub fn is_vendors(&self, status: u16) {
        assert_eq!((self.status, self.sluice_reason()), (status, None), "{}", self.text());
    }

    /// Returns what the vendor's echo saw.
    #[track_caller]
    pub fn echo(&self) -> Echo {
        self.is_vendors(200);
        Echo(self.json())
    }
}

/// A request as the vendor saw it.
#[derive(Debug, Clone)]
pub struct Echo(pub Value);

impl Echo {
    /// Returns the target, byte for byte.
    pub fn target(&self) -> &str {
        self.0["target"].as_str().unwrap_or_default()
    }

    /// Returns the first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.0["headers"].as_array()?;
        let found = headers.iter().find(|pair| pair[0].as_str().is_some_and(|n| n.eq_ignore_ascii_case(name)))?;
        found[1].as_str()
    }

    /// Returns every header's name, in lower case.
    pub fn names(&self) -> Vec<String> {
        let headers = self.0["headers"].as_array().cloned().unwrap_or_default();
        headers.iter().filter_map(|pair| pair[0].as_str().map(str::to_ascii_lowercase)).collect()
    }
}
