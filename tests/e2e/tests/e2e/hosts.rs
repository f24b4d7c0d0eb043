//! Host routing: a connection's own host name, for SDKs that take only a host.

use serde_json::json;
use sluice_e2e::{Ask, World};
use sluice_mock_upstreams::{Spec, Vendor};

tests![every_path_of_a_connections_host_is_the_vendors];

async fn every_path_of_a_connections_host_is_the_vendors(world: &World) {
    let vendor = Vendor::start(Spec::new("generic").limits(vec![])).unwrap();
    let tenant = world.tenant("hosts");
    let key = tenant.simple("generic", &vendor.url(), &json!({})).await;
    let on = |host: &str, path: &str| Ask::get(path).key(&key).with("Host", host);
    for path in
        ["/echo?a=1", "/", "/status.json", "/healthz", "/v/c/echo", "/admin/tenants", "//x", "/index.html", "/jobs"]
    {
        for host in ["c.api.example.com", "C.API.example.com", "c.api.example.com:8787"] {
            let echo = tenant.send(&on(host, path)).await.echo();
            assert_eq!(echo.target(), path, "{host}");
        }
    }
    tenant.send(&on("c.api.example.com", "/a/%2e%2e/b")).await.is_problem(400, "path");
    tenant.send(&on("nowhere.api.example.com", "/echo")).await.is_problem(404, "connection");
    tenant.send(&Ask::get("/echo").with("Host", "c.api.example.com")).await.is_problem(401, "key");
    // This host is Sluice itself.
    let own = tenant.send(&on("sluice.api.example.com", "/status.json")).await;
    assert_eq!(own.json()["tenant"], json!(tenant.name));
    assert_eq!(tenant.send(&on("sluice.api.example.com", "/v/c/echo")).await.echo().target(), "/echo");
    let moved = tenant.send(&on("c.api.example.com", &format!("/redirect?to={}/next", vendor.url()))).await;
    let location = moved.header("location").unwrap();
    assert!(location == "/next" || location.ends_with("c.api.example.com/next"), "{location}");
}
