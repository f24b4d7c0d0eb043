use super::*;
use crate::keys::Master;
use crate::sealed::SealFault;
use base64::Engine;

const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\nMzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu\n-----END PRIVATE KEY-----\n";

fn master(byte: u8) -> Master {
    Master::parse(&base64::engine::general_purpose::STANDARD.encode([byte; 32])).expect("a master key")
}

/// Returns every type of credential with its secrets.
fn credentials() -> Vec<(Value, &'static [&'static str])> {
    vec![
        (json!({"type": "passthrough"}), &[]),
        (json!({"type": "bearer", "token": "hush"}), &["token"]),
        (json!({"type": "basic", "username": "any", "password": "hush"}), &["password"]),
        (json!({"type": "basic", "username": "hush", "password": ""}), &["username"]),
        (json!({"type": "header", "name": "X-Api-Key", "value": "hush"}), &["value"]),
        (json!({"type": "query", "name": "api_secret", "value": "hush hush"}), &["value"]),
        (
            json!({"type": "client_credentials", "client_id": "i", "client_secret": "hush", "token_url": "https://t.example.com/token", "scope": "api"}),
            &["client_secret"],
        ),
        (
            json!({"type": "refresh_token", "client_id": "i", "client_secret": "hush", "refresh_token": "hush-2", "token_url": "https://t.example.com/token"}),
            &["client_secret", "refresh_token"],
        ),
        (
            json!({"type": "jwt_bearer", "issuer": "i", "private_key": PEM, "audience": "https://t.example.com/token", "subject": "s", "scope": "x"}),
            &["private_key"],
        ),
    ]
}

fn masked(mut credential: Value, secrets: &[&str]) -> Value {
    secrets.iter().for_each(|field| credential[*field] = json!("***"));
    credential
}

#[test]
fn every_credential_is_shown_without_its_secrets() {
    for (credential, secrets) in credentials() {
        let own = policy(&with(json!({"credential": credential})));
        assert_eq!(understood(&own)["connections"]["c"]["credential"], masked(credential, secrets));
        assert!(!format!("{own:?}").contains("hush"), "{own:?}");
    }
    assert!(!format!("{:?}", policy(&example())).contains("whsec_"));
}

#[test]
fn three_stars_keep_the_stored_secret() {
    for (credential, secrets) in credentials() {
        let stored = policy(&with(json!({"credential": credential})));
        let again = with(json!({"credential": masked(credential, secrets), "retry": {"attempts": 5}}));
        let read = Policy::parse(&again.to_string(), &context(Some(&stored)));
        let read = read.unwrap_or_else(|faults| panic!("{faults:#?}")).0;
        assert_eq!(read.connections["c"].credential, stored.connections["c"].credential);
        assert_eq!(read.connections["c"].retry_attempts, 5);
    }
    let stored = policy(&example());
    let read = Policy::parse(&stored.understood(&[]), &context(Some(&stored)));
    assert_eq!(read.expect("a policy").0, stored);
}

#[test]
fn three_stars_keep_nothing_that_is_not_there() {
    let stored = policy(&with(json!({"credential": {"type": "bearer", "token": "hush"}})));
    let faults = |credential: Value| {
        pointers(Policy::parse(&with(json!({"credential": credential})).to_string(), &context(Some(&stored))))
    };
    assert_eq!(faults(json!({"type": "header", "name": "X-Key", "value": "***"})), ["/connections/c/credential/value"]);
    assert_eq!(
        faults(json!({"type": "basic", "username": "***", "password": "***"})),
        ["/connections/c/credential/username", "/connections/c/credential/password"]
    );
    let renamed = json!({"connections": {"other": with(json!({"credential": {"type": "bearer", "token": "***"}}))["connections"]["c"]}});
    let read = Policy::parse(&renamed.to_string(), &context(Some(&stored)));
    assert_eq!(pointers(read), ["/connections/other/credential/token"]);
}

#[test]
fn a_stored_secret_goes_to_no_other_host() {
    let base = |base_url: &str, token_url: Option<&str>, secret: &str| {
        let mut credential = json!({"type": "client_credentials", "client_id": "i", "client_secret": secret});
        if let Some(url) = token_url {
            credential["token_url"] = json!(url);
        }
        json!({"connections": {"c": {"vendor": "marketo", "base_url": base_url, "credential": credential}}})
    };
    let token = Some("https://t.example.com/token");
    let stored = policy(&base("https://a.example.com/v1", token, "hush"));
    let read = |base_url, token_url| {
        let text = base(base_url, token_url, "***").to_string();
        pointers(Policy::parse(&text, &context(Some(&stored))))
    };
    let fault = ["/connections/c/credential/client_secret"];
    assert!(read("https://A.example.com:443/v2/", Some("https://t.example.com/other")).is_empty());
    assert_eq!(read("https://b.example.com/v1", token), fault);
    assert_eq!(read("https://a.example.com:8443/v1", token), fault);
    assert_eq!(read("https://a.example.com/v1", Some("https://evil.example.com/token")), fault);
    assert_eq!(read("https://a.example.com/v1", None), fault);
    // The vendor's own token endpoint is at the base URL.
    let stored = policy(&base("https://a.example.com", None, "hush"));
    let read = |token_url| {
        let text = base("https://a.example.com", token_url, "***").to_string();
        pointers(Policy::parse(&text, &context(Some(&stored))))
    };
    assert!(read(None).is_empty() && read(Some("https://a.example.com/identity/oauth/token")).is_empty());
    assert_eq!(read(token), fault);
}

#[test]
fn a_stored_policy_holds_no_secret_and_reads_back_the_same() {
    let fill = |bytes: &mut [u8]| bytes.fill(7);
    for (credential, _) in credentials() {
        let mut document = example();
        document["connections"]["marketo"]["credential"] = credential;
        let own = policy(&document);
        let stored = own.to_stored("acme", &master(1), &fill).expect("stored");
        for secret in ["hush", "whsec_", "MIIEvQ"] {
            assert!(!stored.contains(secret), "{stored}");
        }
        assert_eq!(Policy::from_stored(&stored, "acme", &master(1), false), Ok(own));
    }
}

#[test]
fn a_text_that_looks_sealed_is_a_text() {
    let credential = json!({"type": "client_credentials", "client_id": "sealed:x", "client_secret": "sealed:y", "token_url": "https://t.example.com"});
    let own = policy(&with(json!({"credential": credential})));
    let stored = own.to_stored("acme", &master(1), &|bytes| bytes.fill(7)).expect("stored");
    assert_eq!(Policy::from_stored(&stored, "acme", &master(1), false), Ok(own));
}

#[test]
fn a_stored_policy_opens_for_its_tenant_and_its_master_alone() {
    let stored = policy(&example()).to_stored("acme", &master(1), &|bytes| bytes.fill(7)).expect("stored");
    let fault = |text: &str, tenant: &str, byte: u8| {
        Policy::from_stored(text, tenant, &master(byte), false).expect_err("a fault")
    };
    assert_eq!(fault(&stored, "evil", 1), StoredFault::Seal(SealFault::Broken));
    assert_eq!(fault(&stored, "acme", 2), StoredFault::Seal(SealFault::UnknownKey));
    assert_eq!(fault("{}", "acme", 1), StoredFault::FieldFormat);
    assert_eq!(fault("", "acme", 1), StoredFault::FieldFormat);
    assert_eq!(fault(r#"{"version":2,"policy":{}}"#, "acme", 1), StoredFault::FieldFormat);
    assert_eq!(
        fault(r#"{"version":1,"policy":{"connections":{"c":{"vendor":"hubspot"}}}}"#, "acme", 1),
        StoredFault::FieldFormat
    );
    let gone = fault(
        r#"{"version":1,"policy":{"connections":{"c":{"vendor":"gone","credential":{"type":"passthrough"}}}}}"#,
        "acme",
        1,
    );
    assert!(matches!(&gone, StoredFault::Invalid(faults) if faults[0].pointer == "/connections/c/vendor"), "{gone}");
}

#[test]
fn a_stored_loopback_address_holds_only_while_it_is_allowed() {
    let context = Context { allow_loopback: true, ..context(None) };
    let own =
        Policy::parse(&with(json!({"base_url": "http://127.0.0.1:9000"})).to_string(), &context).expect("a policy").0;
    let stored = own.to_stored("acme", &master(1), &|bytes| bytes.fill(7)).expect("stored");
    assert_eq!(Policy::from_stored(&stored, "acme", &master(1), true), Ok(own));
    assert!(matches!(Policy::from_stored(&stored, "acme", &master(1), false), Err(StoredFault::Invalid(_))));
}

#[test]
fn the_stored_form_of_version_1_still_reads() {
    let stored = include_str!("stored-v1.json");
    let read = Policy::from_stored(stored, "acme", &master(1), false).expect("a policy");
    assert_eq!(read, policy(&example()));
}
