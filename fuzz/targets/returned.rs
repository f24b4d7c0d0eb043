//! Fuzzes the headers of a vendor that the caller receives.

use sluice_core::http::{Mask, Returning, returned};

/// Checks that no header that the caller receives has the credential in it, neither as it is nor
/// percent-encoded, and that a text that has been masked needs no second masking. The first line of
/// the input is a credential, the second the name of its parameter, and each other line one of the
/// vendor's fields, `name: value`.
pub fn returning(data: &[u8]) {
    let mut lines = super::text(data).lines();
    let (secret, name) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let pair = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let vendor: Vec<(String, String)> = lines.filter_map(pair).collect();
    let mask = Mask::new([secret.to_owned()], Some((name.to_owned(), secret.to_owned())));
    for status in [200, 302] {
        let call = Returning {
            status,
            passthrough: true,
            base_url: "https://vendor.example/base",
            connection_url: "https://sluice.example/v/c",
            path: "/a/b",
            mask: &mask,
            call: "c",
            attempts: 1,
            queue_ms: 0,
            vendor_ms: 0,
            total_ms: 0,
            rate_limit_policy: "\"day\";q=1",
            rate_limit: "\"day\";r=1",
            would: None,
            origin: Some("https://page.example"),
            page: true,
        };
        let out = returned(&vendor, &call);
        let own =
            ["sluice-", "server-timing", "ratelimit", "access-control-", "vary", "x-content-type", "content-security"];
        for (name, value) in &out {
            let lower = name.to_ascii_lowercase();
            assert!(lower != "clear-site-data" && lower != "nel", "{name} came back");
            if lower == "set-cookie" {
                let paths = value.split(';').skip(1).filter(|part| part.trim_start().starts_with("Path=/v/c"));
                assert_eq!(paths.count(), 1, "the cookie «{value}» is not the connection's alone");
            }
            // A header that Sluice adds does not come from the vendor, whatever the credential is.
            if own.iter().any(|own| lower.starts_with(own)) || secret.len() < 6 || secret.contains('*') {
                continue;
            }
            // A URL that is rewritten and the path of a cookie have text of Sluice's in them.
            let rewritten = matches!(lower.as_str(), "location" | "content-location" | "link" | "set-cookie");
            let encoded: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
            for form in [secret, &encoded] {
                assert!(rewritten || !value.contains(form), "«{form}» came back in {name}: {value}");
            }
        }
    }
    for (name, value) in &vendor {
        if let Some(masked) = mask.header(name, value) {
            assert!(secret.contains('*') || mask.text(&masked).is_none(), "{masked} still shows it");
        }
        let mut body = value.clone().into_bytes();
        mask.star(&mut body);
        assert_eq!(body.len(), value.len(), "a body keeps its length");
    }
}
