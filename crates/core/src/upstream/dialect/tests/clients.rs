//! What the usual clients do when they are throttled: the rule of each, as its own source has it,
//! and how it treats every refusal. There is one row for each client; those whose library can be
//! installed are also run, in `tests/sdk`.

use super::super::*;
use super::{CALL, THROTTLES, refusal, to};
use crate::http::{Returning, returned, value};
use serde_json::Value;

/// What a client does on an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    /// It tries again by itself, first after this many milliseconds.
    Repeats(u32),
    /// It reports the vendor's throttling to its caller.
    Tells,
    /// It reports an ordinary error to its caller.
    Fails,
}
use Does::{Fails, Repeats, Tells};

/// An answer as a client reads it.
struct Read {
    status: u16,
    body: Value,
}

impl Read {
    /// Returns the code of the first error, as Marketo's clients read it.
    fn code(&self) -> &str {
        assert_eq!(self.body["success"], false);
        self.body["errors"][0]["code"].as_str().expect("a code is text")
    }
}

struct Client {
    name: &'static str,
    dialect: Dialect,
    rule: fn(&Read) -> Does,
    /// What it must do when the pace is too fast.
    pace: Does,
    /// What it must do when too many calls are in flight.
    slots: Does,
    /// What it must do when the daily quota is spent.
    day: Does,
}

const CLIENTS: [Client; 12] = [
    Client {
        name: "hubspot-api-nodejs",
        dialect: Dialect::HubSpot,
        rule: |answer| match (answer.status, &answer.body["policyName"], &answer.body["message"]) {
            (500..=599, ..) => Repeats(200),
            (429, policy, _) if policy == "TEN_SECONDLY_ROLLING" => Repeats(10_000),
            (429, _, message) if message == "You have reached your secondly limit." => Repeats(1_000),
            (429, ..) => Tells,
            _ => Fails,
        },
        pace: Repeats(10_000),
        slots: Repeats(10_000),
        day: Tells,
    },
    Client {
        name: "tap-hubspot",
        dialect: Dialect::HubSpot,
        rule: |answer| if answer.status >= 400 { Repeats(10_000) } else { Fails },
        pace: Repeats(10_000),
        slots: Repeats(10_000),
        day: Repeats(10_000),
    },
    Client {
        name: "marketorestpython",
        dialect: Dialect::Marketo,
        // It waits with full jitter from 1 s on, and ignores the status.
        rule: |answer| match answer.code() {
            "502" | "604" | "606" | "608" | "615" | "713" | "1014" | "1016" | "1019" | "1022" | "1029" => {
                Repeats(1_000)
            }
            "607" => Tells,
            _ => Fails,
        },
        pace: Repeats(1_000),
        slots: Repeats(1_000),
        day: Tells,
    },
    Client {
        name: "tap-marketo",
        dialect: Dialect::Marketo,
        rule: |answer| match (answer.status, answer.code()) {
            (200, "606") => Repeats(4_000),
            (200, "607" | "615") => Tells,
            _ => Fails,
        },
        pace: Repeats(4_000),
        // It does not know 615: it fails with Marketo's message.
        slots: Tells,
        day: Tells,
    },
    Client {
        name: "embulk-input-marketo",
        dialect: Dialect::Marketo,
        rule: |answer| match (answer.status, answer.code()) {
            (400..=403, _) => Fails,
            (200, "602" | "606" | "615") => Repeats(20_000),
            (200, _) => Tells,
            _ => Repeats(0),
        },
        pace: Repeats(20_000),
        slots: Repeats(20_000),
        day: Tells,
    },
    Client {
        name: "rudder-transformer",
        dialect: Dialect::Marketo,
        // It puts throttled calls back into its queue.
        rule: |answer| match (answer.status, answer.code()) {
            (200, "502" | "606" | "607" | "608" | "615" | "601" | "602" | "604" | "611") => Repeats(0),
            _ => Fails,
        },
        pace: Repeats(0),
        slots: Repeats(0),
        day: Repeats(0),
    },
    Client {
        name: "jsforce",
        dialect: Dialect::Salesforce,
        // It repeats GET, PUT and DELETE; a POST fails with the first error's code.
        rule: |answer| match (answer.status, answer.body[0]["errorCode"].as_str()) {
            (420 | 429 | 500 | 502..=504, _) => Repeats(500),
            (403, Some("REQUEST_LIMIT_EXCEEDED")) => Tells,
            _ => Fails,
        },
        pace: Repeats(500),
        slots: Repeats(500),
        day: Tells,
    },
    Client {
        name: "simple-salesforce",
        dialect: Dialect::Salesforce,
        // It raises SalesforceRefusedRequest, or SalesforceGeneralError with the array as its
        // content.
        rule: |answer| match (answer.status, answer.body[0]["errorCode"].as_str()) {
            (401, Some("INVALID_SESSION_ID")) => Repeats(0),
            (403, Some("REQUEST_LIMIT_EXCEEDED")) | (503, Some("SERVER_UNAVAILABLE")) => Tells,
            _ => Fails,
        },
        pace: Tells,
        slots: Tells,
        day: Tells,
    },
    Client {
        name: "tap-salesforce",
        dialect: Dialect::Salesforce,
        // Any refusal ends its run. It stops earlier, by the usage that Salesforce's good answers
        // report: see below.
        rule: |_| Fails,
        pace: Fails,
        slots: Fails,
        day: Fails,
    },
    Client {
        name: "tap-mailchimp",
        dialect: Dialect::Mailchimp,
        // It waits with full jitter from 3 s on, six times; 403 is final.
        rule: |answer| if answer.status == 429 || answer.status >= 500 { Repeats(3_000) } else { Fails },
        pace: Repeats(3_000),
        slots: Repeats(3_000),
        day: Repeats(3_000),
    },
    Client {
        name: "aprimo-js",
        dialect: Dialect::Aprimo,
        // It tries again at once and as often as its settings say, which by default is never. A
        // refusal costs no quota, so nothing is lost by that.
        rule: |answer| if answer.status == 429 { Repeats(0) } else { Fails },
        pace: Repeats(0),
        slots: Repeats(0),
        day: Repeats(0),
    },
    Client {
        name: "Aprimo-Connect for .NET",
        dialect: Dialect::Aprimo,
        // It repeats Polly's transient errors, of which 429 is none. What helps this client is that
        // its calls wait, up to 10 s.
        rule: |answer| if answer.status == 408 || answer.status >= 500 { Repeats(2_000) } else { Fails },
        pace: Fails,
        slots: Fails,
        day: Fails,
    },
];

#[test]
fn every_client_does_when_sluice_refuses_what_it_does_when_its_vendor_does() {
    for client in CLIENTS {
        for reason in THROTTLES {
            let said = answer(&refusal(reason), &to(client.dialect));
            let read = Read { status: said.status, body: serde_json::from_str(&said.body).unwrap() };
            let expected = match reason {
                Reason::DailyQuota | Reason::AppBudget => client.day,
                Reason::Concurrency => client.slots,
                _ => client.pace,
            };
            assert_eq!((client.rule)(&read), expected, "{} {reason:?}: {} {}", client.name, said.status, said.body);
        }
    }
}

/// tap-salesforce stops by its own budget when `^api-usage=(\d+)/(\d+)$` matches; simple-salesforce
/// and jsforce parse it too.
#[test]
fn salesforces_usage_comes_as_salesforce_sent_it() {
    for sent in ["api-usage=18/5000", "api-usage=25/5000; per-app-api-usage=17/250(appName=sample-connected-app)"] {
        let vendor = [("Sforce-Limit-Info".to_owned(), sent.to_owned())];
        let call = Returning {
            status: 200,
            passthrough: false,
            base_url: "https://x.my.salesforce.com",
            connection_url: "http://h/v/sf",
            path: "/x",
            mask: &crate::http::Mask::default(),
            call: CALL,
            attempts: 1,
            queue_ms: 0,
            vendor_ms: 0,
            total_ms: 0,
            rate_limit_policy: "",
            rate_limit: "",
            would: None,
            origin: None,
            page: false,
        };
        assert_eq!(value(&returned(&vendor, &call), "Sforce-Limit-Info"), Some(sent));
    }
}
