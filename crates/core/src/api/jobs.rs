//! Jobs and dead letters, as they are asked for.

use crate::http::Address;
use crate::jobs::State;
use crate::keys::is_name;
use crate::protocol::{Deletable, Filter, JobsWhat, Reply};
use crate::refusal::{Reason, Refusal};
use serde_json::Value;

/// Jobs of a list that does not say how many.
const LISTED: u32 = 100;

/// The methods that an address under `/jobs` or `/dead-letters` knows.
pub const fn methods(address: &Address<'_>) -> &'static [&'static str] {
    match address {
        Address::Job(_) | Address::DeadLetter(_) | Address::Jobs | Address::DeadLetters => &["GET", "DELETE"],
        Address::Replay(_) | Address::ReplayAll => &["POST"],
        _ => &["GET"],
    }
}

/// What is asked at an address with a method that it knows.
///
/// # Errors
/// If the query says what it cannot.
pub fn asked(method: &str, address: &Address<'_>, query: Option<&str>) -> Result<JobsWhat, Refusal> {
    let deletes = method == "DELETE";
    let dead = matches!(address, Address::DeadLetters);
    Ok(match *address {
        Address::Job(id) if deletes => JobsWhat::Delete(id.to_owned(), Deletable::Job),
        Address::DeadLetter(id) if deletes => JobsWhat::Delete(id.to_owned(), Deletable::DeadLetter),
        Address::Job(id) | Address::DeadLetter(id) => JobsWhat::Show(id.to_owned()),
        Address::JobResponse(id) => JobsWhat::Answer(id.to_owned()),
        Address::Replay(id) => JobsWhat::Replay(id.to_owned()),
        Address::ReplayAll => JobsWhat::ReplayAll(None),
        _ if deletes => {
            let Query { of, limit: None, after: None } = read(query, dead)? else { return Err(unknown()) };
            JobsWhat::DeleteAll(of, None)
        }
        _ => {
            let Query { of, limit, after } = read(query, dead)?;
            JobsWhat::List { of, limit: limit.unwrap_or(LISTED), after }
        }
    })
}

/// What a query says. A parameter without a value is as one that is not there.
struct Query {
    of: Filter,
    limit: Option<u32>,
    after: Option<String>,
}

fn read(query: Option<&str>, dead: bool) -> Result<Query, Refusal> {
    let mut said = Query { of: Filter { dead, ..Filter::default() }, limit: None, after: None };
    for parameter in query.unwrap_or_default().split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !["", "app", "connection", "state", "limit", "after"].contains(&name) {
            return Err(unknown());
        }
        if value.is_empty() {
            continue;
        }
        let known = match name {
            "app" => {
                said.of.app = Some(value.to_owned());
                is_name(value)
            }
            "connection" => {
                said.of.connection = Some(value.to_owned());
                is_name(value)
            }
            "state" => {
                said.of.state = State::NAMES.iter().find(|(known, _)| *known == value).map(|(_, state)| *state);
                said.of.state.is_some()
            }
            "limit" => {
                said.limit = value.parse().ok().filter(|limit| *limit > 0);
                said.limit.is_some()
            }
            _ => {
                said.after = Some(value.to_owned());
                name == "after"
            }
        };
        if !known {
            return Err(unknown());
        }
    }
    Ok(said)
}

fn unknown() -> Refusal {
    let detail = "the query may say app and connection (names), state (queued, running, done or dead), and of a list \
        limit (1 to 1,000) and after (an id)";
    Refusal::new(Reason::Request, detail)
}

/// A change of many jobs, asked for slice by slice, so that no event of the object changes more than some. If it is cut short,
/// asking again does the rest.
#[derive(Debug)]
pub struct Slices {
    /// The name under which a reply says how many there were.
    counted: &'static str,
    all: u64,
}

/// What follows on the reply to one slice.
#[derive(Debug)]
pub enum Slice {
    /// The object has more jobs: send it the question again, which now says where to go on.
    Next,
    /// All is done: the answer's status, and its document.
    Done(u16, String),
    /// The reply is the answer: it is no count.
    Other(Reply),
}

impl Slices {
    /// The slices of what is asked, if it is a change of many.
    pub const fn of(what: &JobsWhat) -> Option<Self> {
        match what {
            JobsWhat::ReplayAll(_) => Some(Self { counted: "replayed", all: 0 }),
            JobsWhat::DeleteAll(..) => Some(Self { counted: "deleted", all: 0 }),
            _ => None,
        }
    }

    /// Takes the reply to one slice, and says in `what` where the next begins.
    pub fn heard(&mut self, reply: Reply, what: &mut JobsWhat) -> Slice {
        let (status, told) = match &reply {
            Reply::Document { status, body, .. } => (*status, serde_json::from_str::<Value>(body).ok()),
            _ => (0, None),
        };
        let Some(told) = told else { return Slice::Other(reply) };
        self.all = self.all.saturating_add(told.get(self.counted).and_then(Value::as_u64).unwrap_or(0));
        match (told.get("next").and_then(Value::as_str), what) {
            (Some(next), JobsWhat::ReplayAll(after) | JobsWhat::DeleteAll(_, after)) => {
                *after = Some(next.to_owned());
                Slice::Next
            }
            _ => Slice::Done(status, serde_json::json!({ self.counted: self.all }).to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, address: Address<'_>, query: &str) -> String {
        match asked(method, &address, Some(query).filter(|query| !query.is_empty())) {
            Ok(what) => format!("{what:?}"),
            Err(refusal) => refusal.reason.as_str().to_owned(),
        }
    }

    #[test]
    fn an_address_and_a_method_say_what_is_meant() {
        for (method, address, wanted) in [
            ("GET", Address::Job("j"), r#"Show("j")"#),
            ("HEAD", Address::DeadLetter("j"), r#"Show("j")"#),
            ("DELETE", Address::Job("j"), r#"Delete("j", Job)"#),
            ("DELETE", Address::DeadLetter("j"), r#"Delete("j", DeadLetter)"#),
            ("GET", Address::JobResponse("j"), r#"Answer("j")"#),
            ("POST", Address::Replay("j"), r#"Replay("j")"#),
            ("POST", Address::ReplayAll, "ReplayAll(None)"),
        ] {
            assert_eq!(of(method, address, ""), wanted, "{method} {address:?}");
        }
        assert!(of("GET", Address::Jobs, "").contains("dead: false"));
        assert!(of("GET", Address::DeadLetters, "").contains("dead: true"));
        assert!(of("GET", Address::Jobs, "").contains("limit: 100, after: None"));
        assert!(of("DELETE", Address::DeadLetters, "").starts_with("DeleteAll(Filter { dead: true"));
    }

    #[test]
    fn a_query_says_which_jobs_and_of_a_list_how_many_and_after_which() {
        let listed = of("GET", Address::Jobs, "app=crm-sync&connection=crm&state=dead&limit=7&after=j1&&app=");
        for part in [
            r#"app: Some("crm-sync")"#,
            r#"connection: Some("crm")"#,
            "state: Some(Dead)",
            "limit: 7",
            r#"after: Some("j1")"#,
        ] {
            assert!(listed.contains(part), "{part} in {listed}");
        }
        for query in ["app=Crm", "connection=-a", "state=lost", "limit=0", "limit=x", "limit=-1", "page=2", "App=crm"] {
            assert_eq!(of("GET", Address::Jobs, query), "request", "{query}");
        }
        for query in ["limit=7", "after=j1"] {
            assert_eq!(of("DELETE", Address::Jobs, query), "request", "{query}: all of them are deleted");
        }
        assert!(of("DELETE", Address::Jobs, "state=done").contains("state: Some(Done)"));
    }

    #[test]
    fn only_what_changes_something_is_posted_or_deleted() {
        assert_eq!(methods(&Address::Jobs), ["GET", "DELETE"]);
        assert_eq!(methods(&Address::DeadLetter("j")), ["GET", "DELETE"]);
        assert_eq!(methods(&Address::Replay("j")), ["POST"]);
        assert_eq!(methods(&Address::ReplayAll), ["POST"]);
        assert_eq!(methods(&Address::JobResponse("j")), ["GET"]);
    }

    fn document(body: &str) -> Reply {
        Reply::Document { status: 200, body: body.to_owned(), warnings: Vec::new() }
    }

    #[test]
    fn slices_go_on_where_the_last_one_ended_and_are_counted_together() {
        for (mut what, counted) in
            [(JobsWhat::ReplayAll(None), "replayed"), (JobsWhat::DeleteAll(Filter::default(), None), "deleted")]
        {
            let mut slices = Slices::of(&what).unwrap();
            for (nth, next) in [(50, "j9"), (50, "j5")] {
                let body = format!(r#"{{"{counted}": {nth}, "next": "{next}"}}"#);
                assert!(matches!(slices.heard(document(&body), &mut what), Slice::Next));
                assert!(format!("{what:?}").contains(next), "{what:?}");
            }
            let Slice::Done(200, body) = slices.heard(document(&format!(r#"{{"{counted}": 3}}"#)), &mut what) else {
                panic!("it goes on")
            };
            assert_eq!(body, format!(r#"{{"{counted}":103}}"#));
        }
        assert!(Slices::of(&JobsWhat::Replay("j".to_owned())).is_none());
    }

    #[test]
    fn a_refusal_ends_the_slices() {
        let mut what = JobsWhat::ReplayAll(None);
        let mut slices = Slices::of(&what).unwrap();
        for reply in [Reply::Done, document("no json")] {
            assert!(matches!(slices.heard(reply, &mut what), Slice::Other(_)));
        }
    }
}
