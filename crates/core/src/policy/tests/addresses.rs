use super::*;

fn accepted(url: &str, allow_loopback: bool) -> bool {
    let context = Context { allow_loopback, ..context(None) };
    Policy::parse(&with(json!({"base_url": url})).to_string(), &context).is_ok()
}

#[test]
fn public_names_over_https_are_accepted() {
    for url in [
        "https://api.hubapi.com",
        "https://123-ABC-456.mktorest.com",
        "https://acme.my.salesforce.com/",
        "https://acme.dam.aprimo.com/api/core",
        "https://acme.dam.aprimo.com/api/core/",
        "https://api.example.com:8443/a%20b/@x",
        "https://xn--bcher-kva.example",
        "https://1.2.3.4.example.com",
        "https://10.example.com",
        "https://0x7f000001.com",
        "https://localhost.example.com",
        "https://internal.example.com",
    ] {
        assert!(accepted(url, false), "{url}");
    }
}

#[test]
fn everything_private_or_odd_is_refused_in_any_notation() {
    for url in [
        "http://api.hubapi.com",
        "HTTPS://api.hubapi.com",
        "https:/api.hubapi.com",
        "https:api.hubapi.com",
        "//api.hubapi.com",
        "ftp://api.hubapi.com",
        "javascript:alert(1)",
        "",
        "https://",
        "https:///path",
        "https://localhost",
        "https://LOCALHOST:8443",
        "https://localhost.",
        "https://foo.localhost",
        "https://printer.local",
        "https://metadata.google.internal",
        "https://router.lan",
        "https://nas.home",
        "https://nas.home.arpa",
        "https://1.0.0.127.in-addr.arpa",
        "https://host.localdomain",
        "https://intranet",
        "https://api.hubapi.com.",
        "https://127.0.0.1",
        "https://127.0.0.1:8080",
        "https://127.1",
        "https://127.0.1",
        "https://2130706433",
        "https://0x7f000001",
        "https://0x7f.0.0.1",
        "https://0177.0.0.1",
        "https://017700000001",
        "https://1.1.1.1",
        "https://0",
        "https://0.0.0.0",
        "https://10.0.0.1",
        "https://172.16.0.1",
        "https://192.168.1.1",
        "https://169.254.169.254",
        "https://100.64.0.1",
        "https://a.0x1",
        "https://a.1",
        "https://[::1]",
        "https://[::ffff:127.0.0.1]",
        "https://[::ffff:7f00:1]",
        "https://[fe80::1%25eth0]",
        "https://[fd00::1]:443",
        "https://::1",
        "https://user@api.hubapi.com",
        "https://user:pass@api.hubapi.com",
        "https://@api.hubapi.com",
        "https://api.hubapi.com@127.0.0.1",
        "https://api.hubapi.com#@127.0.0.1",
        "https://api.hubapi.com\\@127.0.0.1",
        "https://127.0.0.1\\.hubapi.com",
        "https://api.hubapi.com?x=1",
        "https://api.hubapi.com/?",
        "https://api.hubapi.com/#",
        "https://api.hubapi.com:0",
        "https://api.hubapi.com:65536",
        "https://api.hubapi.com:",
        "https://api.hubapi.com:080",
        "https://api.hubapi.com:+1",
        "https://api.hubapi.com:1:2",
        "https://api hubapi.com",
        " https://api.hubapi.com",
        "https://api.hubapi.com ",
        "https://api.hubapi.com\t",
        "https://api.hubapi\u{3002}com",
        "https://１２７.0.0.1",
        "https://ⓛocalhost",
        "https://bücher.example",
        "https://api%2ehubapi.com",
        "https://api..hubapi.com",
        "https://.hubapi.com",
        "https://-a.hubapi.com",
        "https://a-.hubapi.com",
        "https://a_b.hubapi.com",
        "https://api.hubapi.com//",
        "https://api.hubapi.com//a",
        "https://api.hubapi.com/a/../b",
        "https://api.hubapi.com/.",
        "https://api.hubapi.com/%2e%2e/b",
        "https://api.hubapi.com/a%2Fb",
        "https://api.hubapi.com/a\\b",
        "https://api.hubapi.com/%zz",
        "https://api.hubapi.com/%",
        "https://api.hubapi.com/<x>",
        "https://api.hubapi.com/[x]",
        "http://localhost:8787",
        "http://127.0.0.1:8787",
    ] {
        assert!(!accepted(url, false), "{url}");
    }
    assert!(!accepted(&format!("https://{}.com", "a".repeat(64)), false));
    assert!(!accepted(&format!("https://{}com", "a.".repeat(126)), false));
}

#[test]
fn loopback_is_accepted_only_where_it_is_allowed_and_only_as_itself() {
    for url in ["http://127.0.0.1:9000", "http://localhost:9000/base", "http://127.0.0.1", "http://localhost/"] {
        assert!(accepted(url, true), "{url}");
        assert!(!accepted(url, false), "{url}");
    }
    for url in [
        "http://127.0.0.2:9000",
        "http://[::1]:9000",
        "http://localhost.:9000",
        "http://a.localhost:9000",
        "http://localhost.example.com",
        "http://api.hubapi.com",
        "http://2130706433",
        "http://127.1:9000",
        "http://u@localhost:9000",
        "http://127.0.0.1:9000\\@api.hubapi.com",
        "http://192.168.0.1",
        "https://127.0.0.1",
        "https://localhost",
    ] {
        assert!(!accepted(url, true), "{url}");
    }
}

#[test]
fn a_base_url_is_kept_as_written_less_its_last_slash() {
    let base = |url: &str| policy(&with(json!({"base_url": url}))).connections["c"].base_url.clone();
    assert_eq!(base("https://123-ABC-456.mktorest.com/"), "https://123-ABC-456.mktorest.com");
    assert_eq!(base("https://api.example.com:8443/v1/@x%20/"), "https://api.example.com:8443/v1/@x%20");
}

#[test]
fn callbacks_go_to_the_hosts_that_are_named_and_nowhere_else() {
    let hosts = |hosts: Value, allow_loopback: bool| {
        let text =
            json!({"callbacks": {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "hosts": hosts}}).to_string();
        let read = Policy::parse(&text, &Context { allow_loopback, ..context(None) });
        read.unwrap_or_else(|faults| panic!("{faults:#?}")).0.callbacks.expect("callbacks")
    };
    let own = hosts(json!(["hooks.example.com", "other.example.com:8443"]), false);
    assert!(own.admit("https://hooks.example.com/a?b=c", false));
    assert!(own.admit("https://HOOKS.example.com:9/", false));
    assert!(own.admit("https://other.example.com:8443/", false));
    for url in [
        "https://other.example.com/",
        "https://evil.example.com/",
        "https://hooks.example.com.evil.com/",
        "https://hooks.example.com@evil.com/",
        "http://hooks.example.com/",
        "http://localhost/",
    ] {
        assert!(!own.admit(url, true), "{url}");
    }
    let local = hosts(json!(["127.0.0.1", "localhost:9000"]), true);
    assert!(local.admit("http://127.0.0.1:1234/x", true) && local.admit("http://localhost:9000/", true));
    assert!(!local.admit("http://127.0.0.1:1234/x", false) && !local.admit("http://localhost:9001/", true));
}
