use super::*;
use crate::keys::{Claims, Master, Role, search, seek};

fn master() -> Master {
    Master::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap()
}

fn key() -> String {
    let (tenant, id, app) = ("acme".to_owned(), "k1".to_owned(), Some("crm".to_owned()));
    Claims { tenant, id, role: Role::App, app, expires: None }.sign(&master()).unwrap()
}

/// A request with a key wherever its texts have a `KEY`.
struct Request<'a> {
    vendor: &'a str,
    call: (&'a str, &'a str),
    headers: &'a [(&'a str, &'a str)],
    query: &'a str,
    body: &'a str,
    credential: Credential,
}

impl Default for Request<'_> {
    fn default() -> Self {
        let credential = Credential::Bearer { token: "real/1".to_owned() };
        Self { vendor: "generic", call: ("POST", "/x"), headers: &[], query: "", body: "", credential }
    }
}

impl Request<'_> {
    /// Returns the reason why it is refused, or the target and body that are sent.
    fn judged(&self) -> Result<Option<(String, Option<String>)>, &'static str> {
        let put = |text: &str| text.replace("KEY", &key());
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| ((*name).to_owned(), put(value))).collect();
        let (path, query, body) = (put(self.call.1), put(self.query), put(self.body));
        let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let search = search(&master(), pairs, &path, &query);
        let in_body = seek(&master(), body.as_bytes());
        let swap = judge(&Asked {
            profile: &Profile::built_in(self.vendor).unwrap(),
            credential: Some(&self.credential),
            method: self.call.0,
            path: &path,
            search: &search,
            body: body.as_bytes(),
            in_body: &in_body,
        });
        let swapped =
            swap.map_err(|refusal| refusal.reason.as_str())?.map(|swap| swap.put("real/1", &path, body.as_bytes()));
        Ok(swapped.map(|out| (out.path, out.body.map(|body| String::from_utf8(body).unwrap()))))
    }
}

const MISPLACED: Result<Option<(String, Option<String>)>, &str> = Err("key-misplaced");

#[test]
fn a_key_where_the_vendors_credential_goes_is_replaced() {
    let fine =
        |vendor, headers: &[(&str, &str)], query| Request { vendor, headers, query, ..Request::default() }.judged();
    for value in ["KEY", "Bearer KEY", "bearer KEY", "OAuth KEY"] {
        assert_eq!(fine("generic", &[("authorization", value)], ""), Ok(None), "{value}");
        assert_eq!(fine("generic", &[("authorization", value), ("sluice-key", "KEY")], ""), Ok(None), "{value}");
    }
    assert_eq!(fine("keap", &[("X-Keap-API-Key", "KEY")], ""), Ok(None));
    assert_eq!(fine("salesforce", &[("X-SFDC-SESSION", "KEY")], ""), Ok(None));
    assert_eq!(fine("marketo", &[], "a=b&access_token=KEY"), Ok(None));
    assert_eq!(fine("ga4-mp", &[("sluice-key", "KEY")], "measurement_id=G-1&api_secret=KEY"), Ok(None));
}

#[test]
fn a_key_anywhere_else_is_refused() {
    let refused = |headers: &[(&str, &str)], query, body| {
        let path = ("POST", "/x");
        Request { vendor: "marketo", headers, query, body, call: path, ..Request::default() }.judged()
    };
    for beside in [("sluice-key", "KEY"), ("authorization", "Bearer KEY"), ("accept", "*/*")] {
        for header in [
            ("x-api-key", "KEY"),
            ("x-custom", "Token KEY"),
            ("cookie", "a=b; session=KEY"),
            ("user-agent", "sdk KEY/1"),
            ("x-keap-api-key", "KEY"),
        ] {
            assert_eq!(refused(&[beside, header], "", ""), MISPLACED, "{header:?}");
        }
        for query in ["q=KEY", "access_token=xKEY", "KEY", "access_token=KEYKEY", "a=1&KEY=2"] {
            assert_eq!(refused(&[beside], query, ""), MISPLACED, "{query}");
        }
        for body in ["KEY", "{\"input\":[{\"token\":\"KEY\"}]}", "token=KEY", "<sessionId>KEY</sessionId>"] {
            assert_eq!(refused(&[beside], "", body), MISPLACED, "{body}");
        }
    }
    assert_eq!(refused(&[("authorization", "Digest username=\"KEY\"")], "", ""), MISPLACED);
    let path = Request { call: ("GET", "/things/KEY/x"), ..Request::default() };
    assert_eq!(path.judged(), MISPLACED);
}

#[test]
fn another_scheme_is_the_keys_place_where_the_real_credential_has_it() {
    let own = |value: &str| Credential::Header { name: "Authorization".to_owned(), value: value.to_owned() };
    let token = [("authorization", "Token KEY")];
    let with = |credential| Request { headers: &token, credential, ..Request::default() }.judged();
    assert_eq!(with(own("token real")), Ok(None));
    assert_eq!(with(own("Zoho-oauthtoken real")), MISPLACED);
    assert_eq!(with(Credential::Bearer { token: "real".to_owned() }), MISPLACED);
}

#[test]
fn with_passthrough_a_key_beside_the_one_in_sluice_key_is_refused_wherever_it_is() {
    let with = |headers: &[(&str, &str)], body| {
        Request { vendor: "salesforce", headers, body, credential: Credential::Passthrough, ..Request::default() }
            .judged()
    };
    assert_eq!(with(&[("sluice-key", "KEY"), ("authorization", "Bearer own")], ""), Ok(None));
    assert_eq!(with(&[("sluice-key", "KEY"), ("authorization", "Bearer KEY")], ""), MISPLACED);
    assert_eq!(with(&[("sluice-key", "KEY")], "<sessionId>KEY</sessionId>"), MISPLACED);
    // The object asks for the key in `Sluice-Key`.
    assert_eq!(with(&[("x-sfdc-session", "KEY")], ""), Ok(None));
}

#[test]
fn the_real_token_is_looked_up_in_the_keys_place() {
    let hubspot = |call, body| Request { vendor: "hubspot", call, body, ..Request::default() }.judged();
    let path = |path: &str| Ok(Some((path.to_owned(), None)));
    assert_eq!(hubspot(("GET", "/oauth/v1/access-tokens/KEY"), ""), path("/oauth/v1/access-tokens/real%2F1"));
    assert_eq!(hubspot(("GET", "/oauth/v1/access-tokens/xKEY"), ""), MISPLACED);
    assert_eq!(hubspot(("GET", "/oauth/v1/access-tokens/KEY/x"), ""), MISPLACED);
    assert_eq!(hubspot(("DELETE", "/oauth/v1/access-tokens/KEY"), ""), MISPLACED);
    let info = ("POST", "/oauth/v2/private-apps/get/access-token-info");
    let body = |body: &str| Ok(Some((info.1.to_owned(), Some(body.to_owned()))));
    assert_eq!(hubspot(info, "{\"tokenKey\": \"KEY\"}"), body("{\"tokenKey\": \"real/1\"}"));
    assert_eq!(hubspot(info, "{\"tokenKey\": \"KEY\", \"x\": \"KEY\"}"), MISPLACED);
    assert_eq!(hubspot(info, "{\"other\": \"KEY\"}"), MISPLACED);
    // Where no token is put in, none can replace the key.
    let credential = Credential::Header { name: "X-Key".to_owned(), value: "v".to_owned() };
    let call = ("GET", "/oauth/v1/access-tokens/KEY");
    assert_eq!(Request { vendor: "hubspot", call, credential, ..Request::default() }.judged(), MISPLACED);
}
