//! Decides what of a call that its caller does not wait for is kept as a job, and what its caller
//! is answered.

use super::{Caller, unexpected_reply};
use crate::http::{Answer, Headers, Prefer, Sending, VendorTarget, outgoing};
use crate::jobs::{self, Bytes};
use crate::keys::{Taken, without_parameters};
use crate::policy::Credential;
use crate::protocol::{No, Reply, Route};
use crate::refusal::{Reason, Refusal};
use crate::upstream::Dialect;
use crate::upstream::credential::{placed, placed_token};

/// The longest body of a job: 1 MB.
pub const LONGEST_BODY_BYTES: u64 = 1_048_576;

/// The longest that a caller waits for its job's end, milliseconds: an hour, as for a permit.
const LONGEST_WAIT_MS: u64 = 3_600_000;

/// The urgency of a job that says none: RFC 9218 leaves the default to us, and a job is in no hurry.
pub const USUAL_URGENCY: u8 = 5;

/// The head of a call that is to be kept.
#[derive(Debug, Clone, Copy)]
pub struct Submission<'a> {
    /// The method of the request line, upper case.
    pub method: &'a str,
    /// The URL as sent.
    pub url: &'a str,
    /// The headers as sent.
    pub headers: &'a [(String, String)],
    /// Where it goes.
    pub vendor: &'a VendorTarget<'a>,
    /// What of the head has a key in it.
    pub taken: &'a Taken,
    /// What the caller prefers.
    pub prefer: &'a Prefer,
}

/// The end of a submission.
#[derive(Debug)]
pub enum Submitted {
    /// The job is kept under this id.
    Queued(String),
    /// The job has ended while its caller waited: this is its answer.
    Answered(Box<jobs::Answer>),
    /// The job is not kept.
    Refused(Box<No>),
    /// The caller has gone. The job may be kept all the same.
    CallerGone,
}

impl Submission<'_> {
    /// Checks whether the call can be kept with a body of this length, bytes.
    ///
    /// # Errors
    /// If it is one with a body that the platform would not send.
    pub fn check_body(&self, length: usize) -> Result<(), Refusal> {
        if length > 0 && matches!(self.method, "GET" | "HEAD") {
            let detail = "a get request with a body cannot be kept: leave respond-async out";
            return Err(Refusal::new(Reason::Request, detail));
        }
        Ok(())
    }

    /// Returns how long the caller waits for the job's end, milliseconds, if it does.
    pub fn wait_ms(&self) -> Option<u64> {
        self.prefer.wait_ms.filter(|ms| *ms > 0).map(|ms| ms.min(LONGEST_WAIT_MS))
    }

    /// Returns the request as it is kept: without keys, and without the credential, which is put in
    /// when it goes.
    pub fn request(&self, route: &Route, callback: Option<&str>, body: Vec<u8>) -> jobs::Request {
        jobs::Request {
            method: self.method.to_owned(),
            url: self.url_without_keys(),
            headers: self.kept_headers(route),
            body: Bytes(body),
            callback: callback.map(str::to_owned),
        }
    }

    fn url_without_keys(&self) -> String {
        match (self.url.split_once('?'), self.vendor.query) {
            (Some((before, _)), Some(query)) => {
                let query = without_parameters(query, &self.taken.query);
                if query.is_empty() { before.to_owned() } else { format!("{before}?{query}") }
            }
            _ => self.url.to_owned(),
        }
    }

    fn kept_headers(&self, route: &Route) -> Headers {
        let credential = match &route.credential {
            Some(credential) => placed(credential, &route.profile),
            None => Some(placed_token("", &route.profile)),
        };
        let credential = credential.unwrap_or_default();
        let sending = Sending {
            passthrough: matches!(route.credential, Some(Credential::Passthrough)),
            placed: &credential,
            also: &[],
            taken: self.taken,
            prefer: self.prefer,
            // The answer is to be readable in the job's document.
            accept_encoding: Some("identity"),
        };
        let mut headers = outgoing(self.headers, &sending);
        if credential.header.is_some() {
            // The credential is the last one.
            headers.pop();
        }
        headers
    }
}

impl Submitted {
    /// Returns what the object's reply means for a caller that is there, or has gone.
    pub fn of(reply: Reply, caller: Caller) -> Self {
        match reply {
            Reply::Queued(id) => Self::Queued(id),
            Reply::Answer(answer) => Self::Answered(answer),
            Reply::Refused(no) => Self::Refused(Box::new(no)),
            _ if caller == Caller::Gone => Self::CallerGone,
            _ => {
                Self::Refused(Box::new(No { refusal: unexpected_reply(), dialect: Dialect::Generic, rate_limit: None }))
            }
        }
    }
}

/// Returns the refusal of a body that is longer than a job's may be.
pub fn body_too_long() -> Refusal {
    let detail = format!("a job's body may have {LONGEST_BODY_BYTES} bytes: send this one directly, or in parts");
    Refusal::new(Reason::Payload, detail)
}

/// Returns the refusal of a call about a token: the key in it would be kept.
pub fn about_a_token() -> Refusal {
    let detail = "a call about a token is not kept, since its key would be kept with it: leave respond-async out";
    Refusal::new(Reason::KeyMisplaced, detail)
}

/// Returns the answer that says under which address a job is kept. `origin` is where Sluice's own
/// addresses are, if not where the call came; `call` is the call's id.
pub fn accepted(job: &str, origin: &str, call: &str) -> Answer {
    Answer::json(202, serde_json::json!({ "id": job }).to_string())
        .with("Location", format!("{origin}/jobs/{job}"))
        .with("Preference-Applied", "respond-async")
        .with("Sluice-Call", call)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::RouteVersion;
    use crate::upstream::Profile;

    fn route(credential: Option<Credential>) -> Route {
        Route {
            version: RouteVersion(1),
            profile: Profile::built_in("generic").unwrap(),
            base_url: "https://vendor.example".to_owned(),
            credential,
            timeout_ms: 1_000,
            attempts: 1,
            max_wait_ms: 0,
            max_pause_ms: 0,
            unhurried: false,
            rate_limit_policy: String::new(),
        }
    }

    fn bearer() -> Option<Credential> {
        Some(Credential::Bearer { token: "vendor-secret".to_owned() })
    }

    /// Returns the request that is kept of one with this URL and these headers, of which the query
    /// parameters and headers with a key are taken.
    fn kept(url: &str, headers: &[(&str, &str)], taken: &Taken, credential: Option<Credential>) -> jobs::Request {
        let query = url.split_once('?').map(|(_, query)| query);
        let vendor = VendorTarget { connection: "c", path: "/x", query, by_host: false };
        let headers: Headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let prefer = Prefer::read(&headers);
        let whole = Submission { method: "POST", url, headers: &headers, vendor: &vendor, taken, prefer: &prefer };
        whole.request(&route(credential), Some("https://me.example/done"), b"{}".to_vec())
    }

    #[test]
    fn neither_a_key_nor_the_credential_is_kept() {
        let taken = Taken { headers: vec!["authorization".to_owned()], query: vec![1] };
        let sent = [("authorization", "Bearer slk_key"), ("sluice-key", "slk_key"), ("x-own", "stays")];
        for credential in [bearer(), None, Some(Credential::Passthrough)] {
            let request = kept("https://s.example/v/c/x?a=1&key=slk_key&b=2", &sent, &taken, credential);
            assert_eq!(request.url, "https://s.example/v/c/x?a=1&b=2");
            let text = format!("{:?}", request.headers);
            assert!(!text.contains("slk_") && !text.contains("vendor-secret"), "{text}");
            assert!(request.headers.contains(&("x-own".to_owned(), "stays".to_owned())), "{text}");
            assert!(!request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")), "{text}");
            assert_eq!(
                (request.body.0.as_slice(), request.callback.as_deref()),
                (&b"{}"[..], Some("https://me.example/done"))
            );
        }
    }

    #[test]
    fn a_url_loses_its_question_mark_with_the_last_parameter_and_nothing_else() {
        let of =
            |url, taken: &[usize]| kept(url, &[], &Taken { headers: Vec::new(), query: taken.to_vec() }, bearer()).url;
        assert_eq!(of("https://s.example/v/c/x?key=slk_key", &[0]), "https://s.example/v/c/x");
        assert_eq!(of("https://s.example/v/c/x", &[]), "https://s.example/v/c/x");
        assert_eq!(of("https://s.example/v/c/x?a=%2f&&b", &[]), "https://s.example/v/c/x?a=%2f&&b");
    }

    #[test]
    fn the_answer_of_a_job_is_asked_for_as_it_is() {
        let request = kept("https://s.example/v/c/x", &[("accept-encoding", "gzip")], &Taken::default(), bearer());
        let encodings: Vec<_> =
            request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("accept-encoding")).collect();
        assert_eq!(encodings.len(), 1);
        assert_eq!(encodings[0].1, "identity");
    }

    #[test]
    fn a_body_is_kept_but_that_of_a_get_request() {
        let vendor = VendorTarget { connection: "c", path: "/x", query: None, by_host: false };
        let (taken, prefer) = (Taken::default(), Prefer::read(&[]));
        let checked = |method, length| {
            let url = "https://s.example/v/c/x";
            Submission { method, url, headers: &[], vendor: &vendor, taken: &taken, prefer: &prefer }.check_body(length)
        };
        for (method, length, held) in [
            ("POST", 0, true),
            ("POST", 9, true),
            ("DELETE", 9, true),
            ("GET", 0, true),
            ("HEAD", 0, true),
            ("GET", 1, false),
            ("HEAD", 1, false),
        ] {
            assert_eq!(checked(method, length).is_ok(), held, "{method} {length}");
        }
        assert_eq!(checked("GET", 1).unwrap_err().reason, Reason::Request);
    }

    #[test]
    fn a_caller_waits_an_hour_at_most() {
        let vendor = VendorTarget { connection: "c", path: "/x", query: None, by_host: false };
        let taken = Taken::default();
        for (field, wait_ms) in [
            ("respond-async", None),
            ("respond-async, wait=0", None),
            ("respond-async, wait=2", Some(2_000)),
            ("respond-async, wait=86400", Some(3_600_000)),
        ] {
            let prefer = Prefer::read(&[("prefer".to_owned(), field.to_owned())]);
            let url = "https://s.example/v/c/x";
            let submission =
                Submission { method: "POST", url, headers: &[], vendor: &vendor, taken: &taken, prefer: &prefer };
            assert_eq!(submission.wait_ms(), wait_ms, "{field}");
        }
    }

    #[test]
    fn what_the_object_says_counts_also_for_a_caller_that_has_gone() {
        let no = || No { refusal: Refusal::new(Reason::Rate, "full"), dialect: Dialect::Generic, rate_limit: None };
        for caller in [Caller::Present, Caller::Gone] {
            assert!(matches!(Submitted::of(Reply::Queued("j".to_owned()), caller), Submitted::Queued(id) if id == "j"));
            assert!(
                matches!(Submitted::of(Reply::Refused(no()), caller), Submitted::Refused(no) if no.refusal.reason == Reason::Rate)
            );
        }
        assert!(matches!(Submitted::of(Reply::Done, Caller::Gone), Submitted::CallerGone));
        let Submitted::Refused(no) = Submitted::of(Reply::Done, Caller::Present) else { panic!("no refusal") };
        assert_eq!(no.refusal.reason, Reason::Unavailable);
    }

    #[test]
    fn a_job_is_found_where_sluices_own_addresses_are() {
        let here = accepted("j1", "", "c1");
        assert_eq!((here.status, here.body.as_str()), (202, r#"{"id":"j1"}"#));
        assert_eq!(here.header("Location"), Some("/jobs/j1"));
        assert_eq!(here.header("Sluice-Call"), Some("c1"));
        assert_eq!(here.header("Preference-Applied"), Some("respond-async"));
        let there = accepted("j1", "https://sluice.api.example.com", "c1");
        assert_eq!(there.header("Location"), Some("https://sluice.api.example.com/jobs/j1"));
    }
}
