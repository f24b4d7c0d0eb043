//! Fuzzes the methods that a request names beside that of its request line.

use sluice_core::upstream::Profile;
use sluice_core::upstream::methods::{self, Asked, Body};

/// Checks that the method of the request line is always among the methods, and that none is
/// invented where the request names no other. The first line of the input is a query, the lines up
/// to an empty one are headers, and the rest is the body.
pub fn method(data: &[u8]) {
    let text = super::text(data);
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let query = lines.next().unwrap_or_default();
    let pair = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let fields: Vec<(String, String)> = lines.filter_map(pair).collect();
    for vendor in ["generic", "marketo", "salesforce", "ga4-data"] {
        let profile = Profile::built_in(vendor).expect("a profile");
        for body in [Body::None, Body::Read(body.as_bytes()), Body::Unread] {
            let asked =
                Asked { method: "POST", path: "/rest/v1/leads.json", query: Some(query), headers: &fields, body };
            let Ok(methods) = methods::methods(&profile, &asked) else { continue };
            let all: Vec<&str> = methods::each(&methods).collect();
            assert_eq!((methods::sent(&methods), all.first()), ("POST", Some(&"POST")));
            let plain = |method: &&str| !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
            assert!(all.iter().all(plain) && all.len() <= 17, "{methods}");
            let mut effective = methods::effective(&methods);
            assert!(effective.all(|method| all.contains(&method)), "{methods}");
            if !matches!(body, Body::Unread) && !text.to_ascii_lowercase().contains("method") && !text.contains('%') {
                assert_eq!(methods, "POST", "nothing says a method in «{text}»");
            }
        }
    }
}
