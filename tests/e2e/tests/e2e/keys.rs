//! Keys: which are valid, where they may be, and what invalid ones cost.

use base64::Engine;
use serde_json::json;
use sluice_e2e::instance::Start;
use sluice_e2e::{Ask, Tenant, World};
use sluice_mock_upstreams::{Spec, Vendor};
use std::time::Duration;
use tokio::time::sleep;

tests![
    keys_that_do_not_hold_are_401_and_count_nothing,
    a_revoked_key_stops_at_once_and_a_tenant_made_anew_revives_none,
    forged_keys_make_no_object_and_no_storage,
    keys_stand_where_the_vendors_credential_would,
    with_passthrough_the_key_stands_apart,
    each_role_reaches_what_it_should,
    keys_outlive_a_restart_and_a_rotated_master_key,
];

async fn keys_that_do_not_hold_are_401_and_count_nothing(world: &World) {
    let vendor = Vendor::start(Spec::new("generic")).unwrap();
    let tenant = world.tenant("bad-keys");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let (brief, _) = tenant.make_key(&json!({"role": "app", "app": "app", "expires_in_seconds": 1})).await;
    tenant.get(&brief, "/echo").await.is_vendors(200);
    sleep(Duration::from_millis(2100)).await;

    let other = world.tenant("other");
    other
        .policy(&json!({"connections": {"d": {"vendor": "generic", "base_url": vendor.url()}}, "apps": {"app": {}}}))
        .await;
    let others = other.key("app").await;
    // The key of another tenant is valid, and reaches only that tenant.
    tenant.get(&others, "/echo").await.is_problem(404, "connection");

    let middle = key.len() / 2;
    let swapped = if &key[middle..=middle] == "A" { "B" } else { "A" };
    let forged = [
        brief,
        String::new(),
        "slk_".to_owned(),
        "slk_AAAA".to_owned(),
        key.replace("slk_", ""),
        format!("{key}A"),
        key[..key.len() - 1].to_owned(),
        format!("{}{swapped}{}", &key[..middle], &key[middle + 1..]),
        format!("slk_{}", "A".repeat(key.len() - 4)),
        format!("slk_{}", "A".repeat(5000)),
        key.to_uppercase(),
    ];
    for bad in forged {
        tenant.get(&bad, "/echo").await.is_problem(401, "key");
        tenant.send(&Ask::get("/status.json").key(&bad)).await.is_problem(401, "key");
    }
    tenant.send(&Ask::get("/v/c/echo")).await.is_problem(401, "key");
    assert_eq!(vendor.calls().0.len(), 1);
}

async fn a_revoked_key_stops_at_once_and_a_tenant_made_anew_revives_none(world: &World) {
    let vendor = Vendor::start(Spec::new("generic")).unwrap();
    let tenant = world.tenant("revoked");
    let kept = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let (revoked, id) = tenant.make_key(&json!({"role": "app", "app": "app"})).await;
    tenant.get(&revoked, "/echo").await.is_vendors(200);
    let listed = tenant.admin("GET", &format!("/tenants/{}/keys", tenant.name), None).await;
    assert!(listed.text().contains(&id) && !listed.text().contains("slk_"), "{}", listed.text());
    let path = format!("/tenants/{}/keys/{id}", tenant.name);
    assert!(tenant.admin("DELETE", &path, None).await.status < 300);
    tenant.get(&revoked, "/echo").await.is_problem(401, "key");
    tenant.get(&kept, "/echo").await.is_vendors(200);

    assert!(tenant.admin("DELETE", &format!("/tenants/{}", tenant.name), None).await.status < 300);
    tenant.get(&kept, "/echo").await.is_problem(401, "key");
    let fresh = tenant.simple("generic", &vendor.url(), &json!({})).await;
    tenant.get(&kept, "/echo").await.is_problem(401, "key");
    tenant.get(&revoked, "/echo").await.is_problem(401, "key");
    tenant.get(&fresh, "/echo").await.is_vendors(200);
}

async fn forged_keys_make_no_object_and_no_storage(world: &World) {
    let strict = world.strict();
    let foreign = world.tenant("foreign");
    foreign.policy(&json!({"apps": {"app": {}}})).await;
    // It is signed by another installation's master key, and for a tenant that this one does not
    // have.
    let foreign = foreign.key("app").await;
    // The list of tenants has an object of its own, which is asked about foreign keys; local workerd makes its file when it is first read.
    assert_eq!(Tenant::new(strict, "nobody").admin("GET", "/tenants", None).await.status, 200);
    let before = strict.files();
    for n in 0..50 {
        let bad = if n % 2 == 0 { foreign.clone() } else { format!("slk_{:060}", n) };
        let answer = Ask::get("/v/c/echo").key(&bad).send(strict.address()).await;
        answer.is_problem(401, "key");
        Ask::get("/status.json").key(&bad).send(strict.address()).await.is_problem(401, "key");
        Ask::get("/metrics").with("Authorization", &format!("Bearer {bad}")).send(strict.address()).await;
    }
    let names = |files: Vec<(std::path::PathBuf, u64)>| files.into_iter().map(|(path, _)| path).collect::<Vec<_>>();
    assert_eq!(names(strict.files()), names(before));
}

async fn keys_stand_where_the_vendors_credential_would(world: &World) {
    let token = sluice_e2e::secrets::invent("vendor-token");
    for (vendor_name, read) in [("generic", "/echo"), ("hubspot", "/echo"), ("marketo", "/echo"), ("aprimo", "/echo")] {
        let vendor = Vendor::start(Spec::new(vendor_name).credential(&token)).unwrap();
        let tenant = world.tenant("places");
        let more = json!({"credential": {"type": "bearer", "token": token}});
        let key = tenant.simple(vendor_name, &vendor.url(), &more).await;
        let ask = |name: &str, value: &str| Ask::get(&format!("/v/c{read}")).with(name, value);
        let pair = |user: &str, password: &str| {
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
        };
        let mut asks = vec![
            ask("Sluice-Key", &key),
            ask("Authorization", &format!("Bearer {key}")),
            ask("authorization", &format!("bearer {key}")),
            ask("Sluice-Key", &key).with("Authorization", "Bearer of-the-callers-own"),
        ];
        if vendor_name == "generic" {
            asks.push(ask("Authorization", &pair("any", &key)));
            asks.push(ask("Authorization", &pair(&key, "")));
        }
        if vendor_name == "marketo" {
            asks.push(Ask::get(&format!("/v/c{read}?access_token={key}&x=1")));
        }
        for ask in asks {
            let echo = tenant.send(&ask).await.echo();
            assert_eq!(echo.header("authorization"), Some(format!("Bearer {token}").as_str()), "{vendor_name} {ask:?}");
            assert!(!echo.0.to_string().contains("slk_"), "the key reached the vendor: {}", echo.0);
        }
        // A valid key elsewhere does not help an invalid one that has precedence.
        let both = ask("Sluice-Key", "slk_bad").with("Authorization", &format!("Bearer {key}"));
        tenant.send(&both).await.is_problem(401, "key");
    }
}

async fn with_passthrough_the_key_stands_apart(world: &World) {
    let vendor = Vendor::start(Spec::new("generic")).unwrap();
    let tenant = world.tenant("apart");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let own = Ask::get("/v/c/echo?access_token=mine").with("Authorization", "Bearer mine").key(&key);
    let echo = tenant.send(&own).await.echo();
    assert_eq!((echo.header("authorization"), echo.target()), (Some("Bearer mine"), "/echo?access_token=mine"));
    let bearer = Ask::get("/v/c/echo").with("Authorization", &format!("Bearer {key}"));
    tenant.send(&bearer).await.is_problem(401, "key");
    assert_eq!(vendor.calls().0.len(), 1, "the key did not go to the vendor");
}

async fn each_role_reaches_what_it_should(world: &World) {
    let vendor = Vendor::start(Spec::new("generic")).unwrap();
    let tenant = world.tenant("roles");
    let connection = json!({"vendor": "generic", "base_url": vendor.url()});
    let apps = json!({"app": {}, "page": {"origins": ["https://www.example.com"]}});
    tenant.policy(&json!({"connections": {"c": connection}, "apps": apps})).await;
    let app = tenant.key("app").await;
    let page = tenant.key("page").await;
    let viewer = tenant.make_key(&json!({"role": "viewer"})).await.0;
    let operator = tenant.make_key(&json!({"role": "operator"})).await.0;
    for key in [&app, &viewer, &operator] {
        let status = tenant.status(key).await;
        assert_eq!(status["tenant"], json!(tenant.name));
        assert_eq!(status["connections"]["c"]["vendor"], "generic");
        let bearer = Ask::get("/status.json").with("Authorization", &format!("Bearer {key}"));
        assert_eq!(tenant.send(&bearer).await.status, 200);
    }
    for key in [&viewer, &operator] {
        tenant.get(key, "/echo").await.is_problem(403, "role");
    }
    let origin = Ask::get("/status.json").key(&page).with("Origin", "https://www.example.com");
    tenant.send(&origin).await.is_problem(403, "role");
    let in_query = tenant.send(&Ask::get(&format!("/status.json?key={app}"))).await;
    in_query.is_problem(401, "key");
    assert!(vendor.calls().0.is_empty());
    // Administration accepts only the administrator's token.
    for key in [&app, &operator] {
        let ask = Ask::get("/admin/tenants").with("Authorization", &format!("Bearer {key}"));
        assert_eq!(tenant.send(&ask).await.status, 401);
    }
}

async fn keys_outlive_a_restart_and_a_rotated_master_key(_: &World) {
    let vendor = Vendor::start(Spec::new("generic")).unwrap();
    let token = sluice_e2e::secrets::invent("vendor-token");
    let instance = Start::fresh("rotated").run();
    let tenant = Tenant::new(&instance, "rotated");
    let more = json!({"credential": {"type": "bearer", "token": token}});
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    let old = instance.kill();

    let mut start = old.clone();
    let (second, second_token) = (Start::fresh("unused"), sluice_e2e::secrets::invent("admin"));
    start.master_key = format!("{},{}", second.master_key, old.master_key);
    start.admin_token = format!("{second_token},{}", old.admin_token);
    let instance = start.run();
    let echo = tenant.get(&key, "/echo").await.echo();
    assert_eq!(echo.header("authorization"), Some(format!("Bearer {token}").as_str()), "the credential is still read");
    for admin in [&second_token, &old.admin_token] {
        let ask = Ask::get("/admin/tenants").with("Authorization", &format!("Bearer {admin}"));
        assert_eq!(tenant.send(&ask).await.status, 200);
    }
    let mut start = instance.kill();
    second.master_key.clone_into(&mut start.master_key);
    start.admin_token = second_token;
    let _instance = start.run();
    tenant.get(&key, "/echo").await.is_problem(401, "key");
}
