//! Sluice's own answer where a vendor's clients fetch a token: the key comes as `client_secret` and goes back as the
//! token, so that an SDK which insists on the exchange works unchanged.

#![expect(clippy::arithmetic_side_effects, reason = "two hexadecimal digits")]

use super::profile::{TokenEndpoint, TokenShape};
use crate::http::{Answer, value};
use crate::json;
use crate::key::{PREFIX, find};

/// The most of a token request's body that is read, bytes: a form of a few fields.
pub const LONGEST_TOKEN_REQUEST: usize = 16 * 1024;

/// Whether a path may be a token endpoint's: it is then worth reading the body for a key. Which one the connection has
/// is known only once the key is.
pub fn may_be_token_path(path: &str) -> bool {
    path.ends_with("/token")
}

/// Whether the body says that it is a form, as a token request's is. Some clients send it in chunks, jsforce among them.
pub fn is_form(headers: &[(String, String)]) -> bool {
    value(headers, "content-type").is_some_and(|kind| kind.to_ascii_lowercase().contains("form-urlencoded"))
}

/// The key in a token request: `client_secret` in the form or the query, or Basic credentials.
pub fn key_in_request(headers: &[(String, String)], query: Option<&str>, body: &[u8]) -> Option<String> {
    let form = is_form(headers) || value(headers, "content-type").is_none();
    let body = if form { std::str::from_utf8(body).unwrap_or_default() } else { "" };
    let in_form = [body, query.unwrap_or_default()].into_iter().find_map(|form| {
        let mut fields = form.trim().split('&').filter_map(|field| field.split_once('='));
        let secret = fields.find(|(name, _)| *name == "client_secret").map(|(_, secret)| decoded(secret))?;
        secret.starts_with(PREFIX).then_some(secret)
    });
    let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    in_form.or_else(|| {
        find(pairs.filter(|(name, _)| name.eq_ignore_ascii_case("authorization")), "")
            .map(|found| found.key.into_owned())
    })
}

/// What is said of a token.
#[derive(Clone, Copy)]
pub struct Issued<'a> {
    /// The key, which is the token.
    pub key: &'a str,
    /// How long the key still works, seconds; none: until revoked.
    pub key_lives_seconds: Option<u64>,
    /// The connection's URL here.
    pub instance_url: &'a str,
    /// The key's app, as scope and user.
    pub app: &'a str,
    /// Unix time, milliseconds.
    pub now: i64,
}

/// The answer of a token endpoint.
pub fn issued(endpoint: &TokenEndpoint, token: &Issued) -> Answer {
    let usual = u64::from(endpoint.expires_in);
    let expires_in = token.key_lives_seconds.map_or(usual, |lives| lives.min(usual));
    let body = match endpoint.shape {
        TokenShape::OAuth => json!({"access_token": token.key, "token_type": "Bearer", "expires_in": expires_in}),
        TokenShape::Marketo => {
            json!({"access_token": token.key, "token_type": "bearer", "expires_in": expires_in, "scope": token.app})
        }
        // Its clients look no further than the token and where to go with it.
        TokenShape::Salesforce => json!({
            "access_token": token.key,
            "instance_url": token.instance_url,
            "id": format!("{}/id/sluice/{}", token.instance_url, token.app),
            "token_type": "Bearer",
            "issued_at": token.now.to_string(),
        }),
        TokenShape::Refreshing => json!({
            "access_token": token.key,
            "refresh_token": token.key,
            "token_type": "bearer",
            "expires_in": expires_in,
            "scope": token.app,
        }),
    };
    // RFC 6749, section 5.1.
    Answer::json(200, body.to_string()).with("Pragma", "no-cache")
}

/// A form's value, decoded.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let escaped = match (first, after) {
            (b'%', [high, low, more @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let code = digit(high).zip(digit(low)).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                code.map(|code| (code, more))
            }
            _ => None,
        };
        match escaped {
            Some((byte, more)) => {
                bytes.push(byte);
                rest = more;
            }
            None => bytes.push(if first == b'+' { b' ' } else { first }),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendor::Profile;
    use serde_json::{Value, json};

    fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn issue(vendor: &str, lives: Option<u64>) -> Value {
        let endpoint = Profile::built_in(vendor).unwrap().token_endpoint.unwrap();
        let token = Issued {
            key: "slk_k",
            key_lives_seconds: lives,
            instance_url: "https://h/v/c",
            app: "crm-sync",
            now: 1_700_000_000_000,
        };
        serde_json::from_str(&issued(&endpoint, &token).body).unwrap()
    }

    #[test]
    fn the_key_comes_as_client_secret_wherever_clients_put_it() {
        let form = headers(&[("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")]);
        let key = Some("slk_a-b.c".to_owned());
        assert_eq!(key_in_request(&form, None, b"grant_type=client_credentials&client_secret=slk_a-b.c"), key);
        assert_eq!(key_in_request(&form, None, b"client_secret=slk%5Fa-b%2ec&client_id=x"), key);
        assert_eq!(key_in_request(&[], Some("client_id=x&client_secret=slk_a-b.c"), b""), key);
        let basic = headers(&[("Authorization", "Basic aWQ6c2xrX2EtYi5j")]);
        assert_eq!(key_in_request(&basic, None, b"grant_type=refresh_token"), key);
    }

    #[test]
    fn a_client_secret_of_the_vendors_own_is_no_key() {
        assert_eq!(key_in_request(&[], Some("client_secret=abc"), b"client_secret=def"), None);
        let json = headers(&[("content-type", "application/json")]);
        assert_eq!(key_in_request(&json, None, b"client_secret=slk_a"), None);
        assert_eq!(key_in_request(&[], None, b"\xff\xfe"), None);
    }

    #[test]
    fn the_token_endpoints_paths_are_worth_a_look() {
        for name in Profile::names() {
            if let Some(endpoint) = Profile::built_in(name).unwrap().token_endpoint {
                assert!(may_be_token_path(&endpoint.path), "{name}");
            }
        }
        assert!(!may_be_token_path("/rest/v1/leads.json"));
    }

    #[test]
    fn marketos_answer_is_its_own() {
        assert_eq!(
            issue("marketo", None),
            json!({"access_token": "slk_k", "token_type": "bearer", "expires_in": 3599, "scope": "crm-sync"})
        );
    }

    #[test]
    fn salesforces_answer_names_sluice_as_the_instance() {
        let answer = issue("salesforce", None);
        assert_eq!(answer["instance_url"], "https://h/v/c");
        assert_eq!(answer["issued_at"], "1700000000000");
        assert_eq!(answer.get("expires_in"), None);
    }

    #[test]
    fn keaps_and_hubspots_answers_have_a_refresh_token() {
        for (vendor, expires_in) in [("keap-oauth", 86_399), ("hubspot", 1_800)] {
            let answer = issue(vendor, None);
            assert_eq!((&answer["access_token"], &answer["refresh_token"]), (&json!("slk_k"), &json!("slk_k")));
            assert_eq!(answer["expires_in"], expires_in, "{vendor}");
        }
    }

    #[test]
    fn a_token_is_not_said_to_outlive_its_key() {
        assert_eq!(issue("aprimo", None)["expires_in"], 600);
        assert_eq!(issue("aprimo", Some(20))["expires_in"], 20);
        assert_eq!(issue("aprimo", Some(20_000))["expires_in"], 600);
    }

    #[test]
    fn a_form_is_decoded_as_forms_are() {
        assert_eq!(decoded("a+b%20c%zz%4"), "a b c%zz%4");
    }
}
