//! Sluice's own answers at a vendor's token endpoint. The key comes as `client_secret` and is
//! returned as the token, so that an SDK which insists on the exchange works unchanged.

use super::profile::{TokenEndpoint, TokenShape};
use crate::document::text;
use crate::http::{Answer, form, value};
use crate::keys::{PREFIX, Place, Search};
use serde::Serialize;
use serde_json::{Value, json};

/// Whether a path may be that of a token endpoint, so that its body is read before the caller is
/// known. Which endpoint the connection has is known only with the key.
pub fn may_be_token_path(path: &str) -> bool {
    ["token", "revoke", "revocation", "introspect"].iter().any(|end| path.ends_with(end))
        || path.contains("/refresh-tokens/")
}

/// A request to a token endpoint.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct TokenRequest {
    /// The caller's key, not yet verified: `client_secret` in form, JSON or query, else Basic
    /// credentials, else another field that holds a key.
    pub key: Option<String>,
    /// The token that the request is about, if it names one.
    pub token: Option<String>,
    /// `client_id` as the caller gives it.
    pub client_id: Option<String>,
    /// Whether the body has a type that no token endpoint reads.
    pub unreadable: bool,
}

/// Reads a request to a token endpoint from its query, its form or JSON, and `Authorization`.
pub fn read(headers: &[(String, String)], query: Option<&str>, body: &[u8], search: &Search) -> TokenRequest {
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut unreadable = false;
    let kind = value(headers, "content-type").unwrap_or_default().to_ascii_lowercase();
    if kind.contains("json") {
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => {
                fields.extend(
                    members.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))),
                );
            }
            _ => unreadable = !body.is_empty(),
        }
    } else if kind.is_empty() || kind.contains("urlencoded") {
        form::each(body.trim_ascii(), |name, value| fields.push((name.to_owned(), value.to_owned())));
    } else {
        unreadable = !body.is_empty();
    }
    form::each(query.unwrap_or_default().as_bytes(), |name, value| fields.push((name.to_owned(), value.to_owned())));
    let field = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    let is_key = |text: &String| text.starts_with(PREFIX);
    let caller = search.caller.as_ref().filter(|found| found.place != Place::Apart).map(|found| found.key.to_string());
    let secret = fields.iter().find(|(name, value)| name == "client_secret" && is_key(value));
    let others = ["refresh_token", "token", "code", "assertion", "password", "client_id"];
    TokenRequest {
        key: secret
            .map(|(_, secret)| secret.clone())
            .or(caller)
            .or_else(|| others.iter().filter_map(|name| field(name)).find(is_key)),
        token: field("token"),
        client_id: field("client_id").filter(|id| !is_key(id)),
        unreadable,
    }
}

/// What the answer says about a token.
#[derive(Clone, Copy)]
pub struct Issued<'a> {
    /// The key, which serves as the token.
    pub key: &'a str,
    /// How long the key still works, seconds; `None` until it is revoked.
    pub key_lives_seconds: Option<u64>,
    /// The URL of the connection at Sluice.
    pub instance_url: &'a str,
    /// The key's app, which serves as scope and user.
    pub app: &'a str,
    /// Unix time, milliseconds.
    pub now: i64,
}

/// Makes the answer of a token endpoint that issues a token.
pub fn issued(endpoint: &TokenEndpoint, token: &Issued) -> Answer {
    let usual = u64::from(endpoint.expires_in);
    let expires_in = token.key_lives_seconds.map_or(usual, |lives| lives.min(usual));
    let body = match endpoint.shape {
        TokenShape::OAuth => json!({"access_token": token.key, "token_type": "Bearer", "expires_in": expires_in}),
        TokenShape::Marketo => {
            json!({"access_token": token.key, "token_type": "bearer", "expires_in": expires_in, "scope": token.app})
        }
        // Salesforce's clients read only the token and the URL to use it with.
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
    // RFC 6749, section 5.1 demands this header.
    Answer::json(200, body.to_string()).with("Pragma", "no-cache")
}

#[derive(Serialize)]
struct Introspected<'a> {
    active: bool,
    scope: &'a str,
    token_type: &'static str,
    username: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
}

/// Makes the answer to a client that asks about its token, which is a valid key (RFC 7662, section
/// 2.2).
pub fn introspected(token: &Issued, client_id: Option<&str>) -> Answer {
    let seconds = u64::try_from(token.now / 1_000).unwrap_or_default();
    let body = Introspected {
        active: true,
        scope: token.app,
        token_type: "access_token",
        username: token.app,
        client_id,
        exp: token.key_lives_seconds.map(|lives| seconds.saturating_add(lives)),
    };
    Answer::json(200, text(&body)).with("Pragma", "no-cache")
}

/// Makes the answer to a client that revokes its token (RFC 7009, section 2.2). The key stays
/// valid: other instances of the app use it too, and only an administrator revokes it.
pub fn revoked(method: &str) -> Answer {
    Answer::empty(if method == "DELETE" { 204 } else { 200 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Master, search};
    use crate::upstream::Profile;
    use crate::upstream::profile::AboutToken;

    fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn issue(vendor: &str, lives: Option<u64>) -> Value {
        let endpoint = Profile::built_in(vendor).unwrap().token_endpoint.clone().unwrap();
        let token = Issued {
            key: "slk_k",
            key_lives_seconds: lives,
            instance_url: "https://h/v/c",
            app: "crm-sync",
            now: 1_700_000_000_000,
        };
        serde_json::from_str(&issued(&endpoint, &token).body).unwrap()
    }

    fn master() -> Master {
        Master::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap()
    }

    fn read_from(headers: &[(String, String)], query: Option<&str>, body: &[u8]) -> TokenRequest {
        let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        read(headers, query, body, &search(&master(), pairs, "/token", query.unwrap_or_default()))
    }

    fn key_in(pairs: &[(&str, &str)], query: Option<&str>, body: &str) -> Option<String> {
        read_from(&headers(pairs), query, body.as_bytes()).key
    }

    const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
    const JSON: (&str, &str) = ("content-type", "application/json");

    #[test]
    fn the_key_comes_as_client_secret_wherever_clients_put_it() {
        let key = Some("slk_a-b.c".to_owned());
        assert_eq!(key_in(&[FORM], None, "grant_type=client_credentials&client_secret=slk_a-b.c"), key);
        assert_eq!(key_in(&[FORM], None, "client_secret=slk%5Fa-b%2ec&client_id=x"), key);
        assert_eq!(key_in(&[], Some("client_id=x&client_secret=slk_a-b.c"), ""), key);
        assert_eq!(key_in(&[JSON], None, r#"{"grant_type":"refresh_token","client_secret":"slk\u005fa-b.c"}"#), key);
        let basic = [("Authorization", "Basic aWQ6c2xrX2EtYi5j"), FORM];
        assert_eq!(key_in(&basic, None, "grant_type=refresh_token"), key);
        assert_eq!(key_in(&[FORM], None, "grant_type=refresh_token&client_secret=own&refresh_token=slk_a-b.c"), key);
        assert_eq!(key_in(&[FORM], None, "token=slk_a-b.c"), key);
    }

    #[test]
    fn a_client_secret_of_the_vendors_own_is_no_key() {
        assert_eq!(key_in(&[FORM], Some("client_secret=abc"), "client_secret=def"), None);
        assert_eq!(key_in(&[("Sluice-Key", "slk_k"), FORM], None, "client_secret=def"), None);
        assert_eq!(read_from(&headers(&[FORM]), None, b"\xff\xfe").key, None);
    }

    #[test]
    fn a_body_that_no_token_endpoint_reads_is_told() {
        for (kind, body) in
            [("text/xml", "<a/>"), ("multipart/form-data; boundary=b", "--b--"), ("application/json", "{")]
        {
            assert!(read_from(&headers(&[("content-type", kind)]), None, body.as_bytes()).unreadable, "{kind}");
            assert!(!read_from(&headers(&[("content-type", kind)]), None, b"").unreadable, "{kind}");
        }
    }

    #[test]
    fn the_token_endpoints_paths_are_worth_a_look() {
        for name in Profile::names() {
            let profile = Profile::built_in(name).unwrap();
            let Some(endpoint) = &profile.token_endpoint else { continue };
            let routes = endpoint.paths.iter().chain(&endpoint.revoke).chain(&endpoint.introspect);
            for path in routes.map(|route| route.rsplit(' ').next().unwrap()).chain([endpoint.path.as_str()]) {
                assert!(may_be_token_path(&path.replace('*', "x")), "{name}: {path}");
            }
        }
        assert!(!may_be_token_path("/rest/v1/leads.json"));
    }

    #[test]
    fn hubspots_dated_endpoints_are_its_token_endpoint_too() {
        let hubspot = Profile::built_in("hubspot").unwrap();
        for path in ["/oauth/v1/token", "/oauth/v3/token", "/oauth/2026-03/token", "/oauth/2026-09/token"] {
            assert_eq!(hubspot.about_token("POST", path), Some(AboutToken::Issue), "{path}");
            assert_eq!(
                hubspot.about_token("POST", &format!("{path}/introspect")),
                Some(AboutToken::Introspect),
                "{path}"
            );
        }
        assert_eq!(hubspot.about_token("DELETE", "/oauth/v1/refresh-tokens/x"), Some(AboutToken::Revoke));
        assert_eq!(hubspot.about_token("GET", "/oauth/v1/access-tokens/x"), None);
        let salesforce = Profile::built_in("salesforce").unwrap();
        for method in ["GET", "POST"] {
            assert_eq!(salesforce.about_token(method, "/services/oauth2/revoke"), Some(AboutToken::Revoke));
        }
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
}
