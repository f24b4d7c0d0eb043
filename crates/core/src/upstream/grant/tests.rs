use super::*;
use serde_json::{Value, json};

const CLIENT: &str = "client";

fn profile(name: &str) -> Profile {
    Profile::built_in(name).unwrap()
}

fn client_credentials(token_url: Option<&str>) -> Credential {
    Credential::ClientCredentials {
        client_id: CLIENT.into(),
        client_secret: "hush & more".into(),
        token_url: token_url.map(str::to_owned),
        scope: Some("api".into()),
    }
}

fn refresh_token() -> Credential {
    Credential::RefreshToken {
        client_id: CLIENT.into(),
        client_secret: "hush".into(),
        refresh_token: "first".into(),
        token_url: "https://t.example.com/token".into(),
    }
}

fn jwt(pem: &str) -> Credential {
    Credential::JwtBearer {
        issuer: "robot@example.com".into(),
        private_key: pem.into(),
        audience: "https://oauth2.example.com/token".into(),
        subject: Some("boss@example.com".into()),
        scope: Some("a b".into()),
    }
}

/// These are not keys; the tests look only at their frames.
const PKCS8: &str = "-----BEGIN PRIVATE KEY-----\nAQID\nBAUG\n-----END PRIVATE KEY-----\n";
const PKCS1: &str = "-----BEGIN RSA PRIVATE KEY-----\r\nAQID\r\n-----END RSA PRIVATE KEY-----";

fn ask(credential: &Credential, vendor: &str) -> Exchange {
    exchange(credential, &profile(vendor), "https://base.example.com", None, 1_700_000_000_500).unwrap()
}

#[test]
fn client_credentials_go_to_the_vendors_endpoint_under_the_base_url_as_a_form() {
    let asked = ask(&client_credentials(None), "marketo");
    assert_eq!(asked.url, "https://base.example.com/identity/oauth/token");
    assert_eq!(asked.form, "grant_type=client_credentials&client_id=client&client_secret=hush%20%26%20more&scope=api");
    assert_eq!((asked.basic, asked.sign), (None, None));
}

#[test]
fn a_token_url_of_the_policys_own_wins_over_the_vendors() {
    let own = client_credentials(Some("https://login.example.com/t"));
    assert_eq!(ask(&own, "salesforce").url, "https://login.example.com/t");
    assert_eq!(ask(&own, "generic").url, "https://login.example.com/t");
}

#[test]
fn a_vendor_that_wants_basic_authentication_gets_that_alone() {
    let asked = ask(&refresh_token(), "keap-oauth");
    assert_eq!(asked.form, "grant_type=refresh_token&refresh_token=first");
    assert_eq!(asked.basic.as_deref(), Some("Y2xpZW50Omh1c2g="));
    let asked = ask(&refresh_token(), "hubspot");
    assert!(asked.form.contains("client_secret=hush") && asked.basic.is_none());
}

#[test]
fn the_refresh_token_that_came_last_is_the_one_that_is_sent() {
    let asked = exchange(&refresh_token(), &profile("generic"), "https://b.example.com", Some("second"), 0).unwrap();
    assert_eq!(asked.url, "https://t.example.com/token");
    assert!(asked.form.contains("refresh_token=second"), "{}", asked.form);
}

#[test]
fn an_assertion_says_who_for_whom_to_whom_and_for_two_minutes() {
    let signing = ask(&jwt(PKCS8), "ga4-data").sign.unwrap();
    let parts: Vec<Value> = signing
        .input
        .split('.')
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    assert_eq!(parts[0], json!({"alg": "RS256", "typ": "JWT"}));
    let claims = json!({"iss": "robot@example.com", "sub": "boss@example.com", "aud": "https://oauth2.example.com/token",
        "scope": "a b", "iat": 1_700_000_000, "exp": 1_700_000_120});
    assert_eq!(parts[1], claims);
}

#[test]
fn an_assertion_goes_to_the_vendors_endpoint_or_else_to_its_audience() {
    assert_eq!(ask(&jwt(PKCS8), "salesforce").url, "https://base.example.com/services/oauth2/token");
    assert_eq!(ask(&jwt(PKCS8), "ga4-data").url, "https://oauth2.example.com/token");
    assert_eq!(ask(&jwt(PKCS8), "salesforce").form, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer");
}

#[test]
fn an_rsa_key_of_the_older_form_is_put_into_the_newer_one() {
    assert_eq!(pkcs8(PKCS8), Some(vec![1, 2, 3, 4, 5, 6]));
    let wrapped = pkcs8(PKCS1).unwrap();
    assert_eq!(wrapped, [&[48, 23], super::super::pem::RSA.as_slice(), &[4, 3, 1, 2, 3]].concat());
    let long = format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----", STANDARD.encode([7; 600]));
    let wrapped = pkcs8(&long).unwrap();
    assert_eq!(wrapped[..4], [48, 0x82, 2, 110], "18 + 4 + 600 bytes within");
    assert_eq!(wrapped[22..26], [4, 0x82, 2, 88], "600 bytes");
}

#[test]
fn a_key_that_is_none_is_said_to_be_none() {
    let broken = "-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----";
    let asked = exchange(&jwt(broken), &profile("ga4-data"), "https://b.example.com", None, 0);
    assert_eq!(asked, Err(Failure::Key));
}

#[test]
fn a_token_is_read_with_its_life_in_either_form_and_the_next_refresh_token() {
    let issued =
        read(200, None, r#"{"access_token":"t","refresh_token":"r","expires_in":"3599","scope":"x"}"#).unwrap();
    assert_eq!((issued.token.as_str(), issued.refresh_token.as_deref(), issued.life_s), ("t", Some("r"), Some(3_599)));
    let issued = read(201, None, r#"{"access_token":"t","expires_in":60}"#).unwrap();
    assert_eq!((issued.refresh_token, issued.life_s), (None, Some(60)));
    assert_eq!(read(200, None, r#"{"access_token":"t"}"#).unwrap().life_s, None);
}

#[test]
fn a_life_that_is_not_told_is_the_vendors_usual_one_and_none_is_endless() {
    let issued = |life_s| Issued { token: "t".into(), refresh_token: None, life_s };
    assert_eq!(life_ms(&issued(None), &profile("keap-oauth")), 86_399_000);
    assert_eq!(life_ms(&issued(None), &profile("generic")), 3_600_000);
    assert_eq!(life_ms(&issued(Some(600)), &profile("generic")), 600_000);
    assert_eq!(life_ms(&issued(Some(u64::MAX)), &profile("generic")), 31_536_000_000);
}

#[test]
fn answers_without_a_token_say_what_went_wrong() {
    let refused = |status, code: &str| Err(Failure::Refused { status, code: Some(code.to_owned()) });
    assert_eq!(read(400, None, r#"{"error":"invalid_client"}"#), refused(400, "invalid_client"));
    assert_eq!(read(401, None, r#"{"error":"invalid_grant","error_description":"x"}"#), refused(401, "invalid_grant"));
    assert_eq!(read(200, None, r#"{"error":"invalid_scope"}"#), refused(200, "invalid_scope"));
    assert_eq!(read(404, None, "<html>"), Err(Failure::Refused { status: 404, code: None }));
    assert_eq!(read(302, None, ""), Err(Failure::Redirected));
    let sent = Exchange {
        url: "https://old.example/services/oauth2/token".into(),
        basic: None,
        form: "grant_type=refresh_token&client_secret=hush%2Fhush".into(),
        sign: None,
        timeout_ms: 1,
    };
    let to = |location: &str| match sent.redirected(location) {
        Failure::RedirectedTo { to } => Some(to),
        _ => None,
    };
    for (location, expected) in [
        ("https://new.example/token?client_secret=hush%2Fhush", Some("https://new.example/token")),
        ("/other", Some("https://old.example/other")),
        ("//new.example/x#y", Some("https://new.example/x")),
        ("https://new.example/hush%2fhush/token", None),
        ("https://user@new.example/", None),
        ("token", None),
        ("", None),
    ] {
        assert_eq!(to(location).as_deref(), expected, "{location}");
    }
    assert!(sent.redirected("/other").is_lasting());
    assert!(sent.redirected("/other").detail("sf").contains("https://old.example/other"));
    let unwell = |status, retry_after_ms| Err(Failure::Unwell { status, retry_after_ms });
    assert_eq!(read(503, Some(7_000), ""), unwell(503, Some(7_000)));
    assert_eq!(read(429, None, r#"{"error":"invalid_client"}"#), unwell(429, None));
    for rubbish in ["", "null", "[]", r#"{"access_token":""}"#, r#"{"access_token":5}"#, r#"{"access_token":"a\nb"}"#] {
        assert_eq!(read(200, None, rubbish), Err(Failure::Senseless), "{rubbish}");
    }
    let long = format!(r#"{{"access_token":"{}"}}"#, "x".repeat(LONGEST_TOKEN + 1));
    assert_eq!(read(200, None, &long), Err(Failure::Senseless));
}

#[test]
fn an_endpoints_own_words_are_not_repeated() {
    let echo = read(400, None, r#"{"error":"client_secret hush is wrong"}"#).unwrap_err();
    assert_eq!(echo, Failure::Refused { status: 400, code: None });
}

#[test]
fn every_failure_is_one_sentence_that_names_the_connection() {
    let code = |code: &str| Failure::Refused { status: 400, code: Some(code.to_owned()) };
    let failures = [
        code("invalid_client"),
        code("invalid_grant"),
        Failure::Refused { status: 404, code: None },
        Failure::Unwell { status: 500, retry_after_ms: None },
        Failure::Senseless,
        Failure::Redirected,
        Failure::Silent,
        Failure::Unreachable,
        Failure::Key,
        Failure::Lost,
    ];
    for failure in failures {
        let detail = failure.detail("crm");
        assert!(detail.contains("connection crm") && !detail.ends_with('.'), "{detail}");
        assert!(detail.contains(':'), "it says what to do: {detail}");
    }
}

#[test]
fn no_debug_shows_a_secret() {
    let asked = ask(&client_credentials(None), "marketo");
    let signing = ask(&jwt(PKCS8), "ga4-data");
    let issued = Issued { token: "hush".into(), refresh_token: Some("hush".into()), life_s: None };
    let shown = format!("{asked:?} {signing:?} {:?} {issued:?}", signing.sign);
    assert!(!shown.contains("hush") && !shown.contains("AQID") && !shown.contains("eyJ"), "{shown}");
}
