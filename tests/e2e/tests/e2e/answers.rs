//! What of a vendor's answer is returned and what is not: credentials, instructions to a browser,
//! other connections' cookies.

use serde_json::{Value, json};
use sluice_e2e::raw::{Raw, Seen};
use sluice_e2e::{Ask, Tenant, World, secrets};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

tests![
    a_credential_of_the_query_is_taken_out_of_every_header_that_repeats_it,
    a_credential_of_any_type_is_in_no_header_of_an_answer_nor_in_a_job,
    an_error_code_that_repeats_the_credential_is_counted_without_it,
    a_navigation_and_a_form_to_a_vendors_address_are_refused,
    an_answer_to_a_page_is_sandboxed_and_orders_no_browser_about,
    a_jobs_answer_is_as_harmless_to_a_browser_as_a_direct_one,
    a_cookie_of_one_connection_is_never_sent_to_another,
    links_and_content_locations_into_the_vendor_point_here,
    the_vendors_own_limits_are_joined_with_ours,
    header_bytes_that_are_no_utf8_pass_both_ways,
    a_reason_that_is_no_utf8_loses_no_answer,
    a_token_endpoint_that_moved_is_told_with_its_new_address,
];

/// Makes an answer with these header lines and this body.
fn answer(status: &str, lines: &[String], body: &str) -> Vec<u8> {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn percent(text: &str, upper: bool) -> String {
    text.bytes().map(|byte| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") }).collect()
}

async fn connected(world: &World, vendor: &Raw, credential: &Value) -> (Tenant, String) {
    let tenant = world.tenant("answers");
    let more = json!({"credential": credential, "retry": {"attempts": 1}});
    let key = tenant.simple("generic", &vendor.url(), &more).await;
    (tenant, key)
}

async fn a_credential_of_the_query_is_taken_out_of_every_header_that_repeats_it(world: &World) {
    let secret = secrets::invent("query+/=&");
    let encoded = percent(&secret, false);
    let vendor = Raw::start(move |seen| {
        let (target, host) = (seen.target(), seen.header("host").unwrap_or_default());
        let lines = [
            format!("Location: http://{host}{target}#end"),
            format!("Content-Location: {target}"),
            format!("Link: <http://{host}{target}>; rel=\"next\", <https://other.example{target}>; rel=\"x\""),
            format!("Refresh: 5; url={target}"),
            format!("X-Request: GET {target}"),
            format!("X-Coded: {encoded}"),
        ];
        answer("302 Found", &lines, "")
    })
    .await;
    let (tenant, key) = connected(world, &vendor, &json!({"type": "query", "name": "api_key", "value": secret})).await;
    let here = format!("http://{}/v/c/x", tenant.to());
    let came = tenant.get(&key, "/x?a=1&api_key=own&b=2").await;
    came.is_vendors(302);
    assert!(vendor.seen()[0].target().contains("api_key=query%2B"), "{}", vendor.seen()[0].target());
    assert_eq!(came.header("location"), Some(format!("{here}?a=1&b=2#end").as_str()));
    assert_eq!(came.header("content-location"), Some(format!("{here}?a=1&b=2").as_str()));
    let link = format!("<{here}?a=1&b=2>; rel=\"next\", <https://other.example/x?a=1&b=2>; rel=\"x\"");
    assert_eq!(came.header("link"), Some(link.as_str()));
    assert_eq!(came.header("refresh"), Some("5; url=/x?a=1&b=2"));
    assert_eq!(came.header("x-request"), Some("GET /x?a=1&api_key=***&b=2"));
    assert_eq!(came.header("x-coded"), Some("***"));
}

/// Answers as a vendor that repeats its credential's header in every form, in the reason, in a
/// header's name, and in the body.
fn repeats(seen: &Seen) -> Vec<u8> {
    if seen.target() == "/token" {
        let body = json!({"access_token": "fetched-9f8e7d6c5b4a", "expires_in": 3600}).to_string();
        return answer("200 OK", &["Content-Type: application/json".to_owned()], &body);
    }
    let got = seen.header("authorization").or_else(|| seen.header("x-own")).unwrap_or_default();
    let bare = got.rsplit(' ').next().unwrap_or_default().to_owned();
    let plain = if got.starts_with("Basic ") { "hush:hush-hush-1".to_owned() } else { bare.clone() };
    let lines = [
        format!("X-Whole: {got}"),
        format!("X-Bare: {bare}"),
        format!("X-Upper: {}", percent(&plain, true)),
        format!("X-Lower: {}", percent(&plain, false)),
        format!("WWW-Authenticate: Bearer error=\"no such token {plain}\""),
        format!("Location: https://other.example/?t={plain}"),
        format!("X-{bare}: 1").replace('=', ""),
        "Content-Type: text/plain".to_owned(),
    ];
    answer(&format!("200 {bare}"), &lines, &format!("you sent {got} {plain}"))
}

async fn a_credential_of_any_type_is_in_no_header_of_an_answer_nor_in_a_job(world: &World) {
    let vendor = Raw::start(repeats).await;
    let token_url = format!("{}/token", vendor.url());
    for (credential, secret) in [
        (json!({"type": "bearer", "token": "pat-real"}), "pat-real"),
        (json!({"type": "basic", "username": "hush", "password": "hush-hush-1"}), "hush-hush-1"),
        (json!({"type": "header", "name": "X-Own", "value": "own-secret"}), "own-secret"),
        (
            json!({"type": "client_credentials", "client_id": "i", "client_secret": "s3cr3t", "token_url": token_url}),
            "fetched-9f8e7d6c5b4a",
        ),
    ] {
        let (tenant, key) = connected(world, &vendor, &credential).await;
        let came = tenant.get(&key, "/x").await;
        came.is_vendors(200);
        let shown = format!("{} {:?}", came.reason, came.headers);
        let coded = "aHVzaDpodXNoLWh1c2gtM";
        let all = [secret.to_owned(), percent(secret, true), percent(secret, false), coded.to_owned()];
        assert!(!all.iter().any(|form| shown.contains(form.as_str())), "{secret}: {shown}");
        assert!(came.text().contains(secret), "a body passes as received");

        let job = tenant.send(&Ask::get("/v/c/x").key(&key).with("Prefer", "respond-async, wait=10")).await;
        assert_eq!((job.status, job.body.len()), (200, came.body.len()), "{}", job.text());
        let shown = format!("{:?} {}", job.headers, job.text());
        assert!(!all.iter().any(|form| shown.contains(form.as_str())), "{secret} of a job: {shown}");
    }
}

async fn an_error_code_that_repeats_the_credential_is_counted_without_it(world: &World) {
    let vendor = Raw::start(|seen| {
        let got = seen.header("authorization").unwrap_or_default();
        let body = json!({"error": format!("no-such-token:{}", got.trim_start_matches("Bearer "))}).to_string();
        answer("400 Bad", &["Content-Type: application/json".to_owned()], &body)
    })
    .await;
    let tenant = world.tenant("code");
    let secret = format!("{}{}", secrets::invent("long"), secrets::invent("er"));
    let more =
        json!({"credential": {"type": "bearer", "token": secret}, "profile": {"reading": {"codes": ["/error"]}}});
    let key = tenant.simple("own", &vendor.url(), &more).await;
    tenant.get(&key, "/x").await.is_vendors(400);
    tenant.until(&key, "it is settled", |c| c["last_hour"]["calls"] == 1).await;
    let errors = tenant.send(&Ask::get("/stats/errors.json").key(&key)).await;
    assert!(errors.text().contains("no-such-token:***"), "{}", errors.text());
}

async fn a_navigation_and_a_form_to_a_vendors_address_are_refused(world: &World) {
    let vendor = Raw::start(|_| answer("200 OK", &["Content-Type: text/html".to_owned()], "<script></script>")).await;
    let tenant = world.tenant("navigation");
    let connection =
        json!({"vendor": "marketo", "base_url": vendor.url(), "credential": {"type": "bearer", "token": "t"}});
    let home = "https://www.example.com";
    tenant.policy(&json!({"connections": {"c": connection}, "apps": {"page": {"origins": [home]}, "app": {}}})).await;
    let (page, app) = (tenant.key("page").await, tenant.key("app").await);
    let form = "application/x-www-form-urlencoded";
    for key in [&page, &app] {
        let target = format!("/v/c/x?access_token={key}");
        let post = Ask::post(&target, "a=1").with("Content-Type", form);
        for ask in [
            Ask::get(&target).with("Sec-Fetch-Mode", "navigate").with("Sec-Fetch-Site", "none"),
            Ask::get(&target).with("Sec-Fetch-Dest", "iframe").with("Sec-Fetch-Site", "cross-site"),
            Ask::get(&target).with("Upgrade-Insecure-Requests", "1"),
            post.clone().with("Sec-Fetch-Mode", "navigate").with("Origin", home),
            post.clone().with("Origin", home).with("Accept", "text/html,*/*;q=0.8"),
            post.clone().with("Origin", home).with("Sec-Fetch-Mode", "navigate").with("Prefer", "respond-async"),
            // The same holds at the token endpoint, which Sluice answers itself.
            Ask::post(
                "/v/c/identity/oauth/token",
                format!("grant_type=client_credentials&client_id=x&client_secret={key}"),
            )
            .with("Content-Type", form)
            .with("Sec-Fetch-Mode", "navigate"),
        ] {
            let came = tenant.send(&ask).await;
            came.is_problem(403, "origin");
            assert_eq!(came.header("x-content-type-options"), Some("nosniff"));
        }
    }
    assert!(vendor.seen().is_empty());
    let script = Ask::post("/v/c/x", "a=1").key(&page).with("Content-Type", form).with("Origin", home);
    for mode in [None, Some("cors"), Some("no-cors")] {
        let ask = script.clone().with("Accept", "*/*");
        let ask = mode.map_or_else(
            || ask.clone(),
            |mode| ask.clone().with("Sec-Fetch-Mode", mode).with("Sec-Fetch-Dest", "empty"),
        );
        tenant.send(&ask).await.is_vendors(200);
    }
}

const ORDERS: [&str; 5] = ["Clear-Site-Data", "Service-Worker-Allowed", "NEL", "Report-To", "Reporting-Endpoints"];

async fn an_answer_to_a_page_is_sandboxed_and_orders_no_browser_about(world: &World) {
    let vendor = Raw::start(|_| {
        let mut lines: Vec<String> = ORDERS.iter().map(|name| format!("{name}: \"*\"")).collect();
        lines.extend(["Content-Type: text/html".to_owned(), "Access-Control-Allow-Origin: *".to_owned()]);
        answer("200 OK", &lines, "<script></script>")
    })
    .await;
    let tenant = world.tenant("sandbox");
    let home = "https://www.example.com";
    let connection = json!({"vendor": "generic", "base_url": vendor.url()});
    tenant.policy(&json!({"connections": {"c": connection}, "apps": {"page": {"origins": [home]}, "app": {}}})).await;
    let (page, app) = (tenant.key("page").await, tenant.key("app").await);
    let to_page = tenant.send(&Ask::get("/v/c/x").key(&page).with("Origin", home)).await;
    let to_app = tenant.get(&app, "/x").await;
    for came in [&to_page, &to_app] {
        came.is_vendors(200);
        assert_eq!(came.all("x-content-type-options"), ["nosniff"]);
        assert!(ORDERS.iter().all(|name| came.header(name).is_none()), "{:?}", came.headers);
    }
    assert_eq!(to_page.header("content-security-policy"), Some("sandbox"));
    assert_eq!(to_page.all("access-control-allow-origin"), [home]);
    assert_eq!(to_app.header("content-security-policy"), None);
}

async fn a_jobs_answer_is_as_harmless_to_a_browser_as_a_direct_one(world: &World) {
    let vendor = Raw::start(|_| {
        let lines: Vec<String> = ORDERS.iter().map(|name| format!("{name}: \"*\"")).collect();
        answer("200 OK", &[lines, vec!["Content-Type: text/html".to_owned()]].concat(), "<script></script>")
    })
    .await;
    let (tenant, key) = connected(world, &vendor, &json!({"type": "passthrough"})).await;
    let job = tenant.send(&Ask::get("/v/c/x").key(&key).with("Prefer", "respond-async")).await;
    let id = job.json()["id"].as_str().unwrap().to_owned();
    tenant.until(&key, "the job is done", |c| c["jobs"]["queued"] == 0 && c["jobs"]["running"] == 0).await;
    let own = format!("http://{}", tenant.to());
    let ask = Ask::get(&format!("/jobs/{id}/response")).key(&key).with("Origin", &own);
    let came = tenant.send(&ask.with("Sec-Fetch-Site", "same-origin")).await;
    assert_eq!((came.status, came.text().as_str()), (200, "<script></script>"));
    assert_eq!(came.header("content-security-policy"), Some("sandbox"));
    assert_eq!(came.all("x-content-type-options"), ["nosniff"]);
    assert!(ORDERS.iter().all(|name| came.header(name).is_none()), "{:?}", came.headers);
}

async fn a_cookie_of_one_connection_is_never_sent_to_another(world: &World) {
    let vendor = Raw::start(|_| {
        let lines = [
            "Set-Cookie: a=1; Domain=vendor.example; Path=/; HttpOnly".to_owned(),
            "Set-Cookie: b=2; Path=/deep; Secure".to_owned(),
            "Set-Cookie: c=3".to_owned(),
        ];
        answer("200 OK", &lines, "")
    })
    .await;
    let (tenant, key) = connected(world, &vendor, &json!({"type": "passthrough"})).await;
    let came = tenant.get(&key, "/deep/x").await;
    assert_eq!(
        came.all("set-cookie"),
        ["a=1; Path=/v/c; HttpOnly", "b=2; Path=/v/c/deep; Secure", "c=3; Path=/v/c/deep"]
    );
    let ask = Ask::get("/deep/x").with("Host", "c.api.example.com").key(&key);
    let came = tenant.send(&ask).await;
    assert_eq!(came.all("set-cookie"), ["a=1; Path=/; HttpOnly", "b=2; Path=/deep; Secure", "c=3; Path=/deep"]);
}

async fn links_and_content_locations_into_the_vendor_point_here(world: &World) {
    let vendor = Raw::start(|seen| {
        let host = seen.header("host").unwrap_or_default();
        let lines = [
            format!("Link: <http://{host}/next?cursor=2>; rel=\"next\", </last>; rel=\"last\""),
            format!("Content-Location: http://{host}/x/1"),
            format!("Location: http://{host}/x/1"),
        ];
        answer("201 Created", &lines, "")
    })
    .await;
    let (tenant, key) = connected(world, &vendor, &json!({"type": "passthrough"})).await;
    let came = tenant.get(&key, "/x").await;
    let here = format!("http://{}/v/c", tenant.to());
    let link = format!("<{here}/next?cursor=2>; rel=\"next\", <{here}/last>; rel=\"last\"");
    assert_eq!(came.header("link"), Some(link.as_str()));
    assert_eq!(came.header("content-location"), Some(format!("{here}/x/1").as_str()));
    assert_eq!(came.header("location"), Some(format!("{}/x/1", vendor.url()).as_str()), "it names what was made");
}

async fn the_vendors_own_limits_are_joined_with_ours(world: &World) {
    let vendor = Raw::start(|seen| match seen.target().as_str() {
        "/with" => {
            answer("200 OK", &["RateLimit-Policy: \"v\";q=9;w=1".to_owned(), "RateLimit: \"v\";r=8".to_owned()], "")
        }
        _ => answer("200 OK", &[], ""),
    })
    .await;
    let tenant = world.tenant("joined");
    let limits = json!([{"name": "rate", "kind": "rolling_window", "calls": 10, "seconds": 20}]);
    let key = tenant.simple("generic", &vendor.url(), &json!({"limits": limits})).await;
    let came = tenant.get(&key, "/with").await;
    assert_eq!(came.header("ratelimit-policy"), Some("\"v\";q=9;w=1, \"sluice-rate\";q=10;w=20"));
    let left = came.header("ratelimit").unwrap();
    assert!(left.starts_with("\"v\";r=8, \"sluice-rate\";r=9"), "{left}");
    let came = tenant.get(&key, "/without").await;
    assert_eq!(came.header("ratelimit-policy"), Some("\"rate\";q=10;w=20"));
}

/// Sends bytes and reads the bytes of the answer.
async fn exchange(to: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut came = Vec::new();
    stream.read_to_end(&mut came).await.unwrap();
    came
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

async fn header_bytes_that_are_no_utf8_pass_both_ways(world: &World) {
    let vendor = Raw::start(|_| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=\"Caf\xe9 M\xfcnchen.csv\"\r\nX-Owner: M\xc3\xbcller\r\nContent-Length: 2\r\n\r\nok";
        head.to_vec()
    })
    .await;
    let (tenant, key) = connected(world, &vendor, &json!({"type": "bearer", "token": "a-real-token"})).await;
    for method in ["GET", "POST"] {
        let head = format!(
            "{method} /v/c/x HTTP/1.1\r\nHost: h\r\nSluice-Key: {key}\r\nConnection: close\r\nContent-Length: 0\r\nX-Utf8: M\u{fc}ller\r\nX-Owner: "
        );
        let came = exchange(tenant.to(), &[head.as_bytes(), b"caf\xe9\r\n\r\n"].concat()).await;
        assert!(
            has(&came, b"HTTP/1.1 200 OK") && has(&came, b"filename=\"Caf\xe9 M\xfcnchen.csv\""),
            "{}",
            came.escape_ascii()
        );
        assert!(has(&came, b"M\xc3\xbcller"));
        let seen = vendor.seen().pop().unwrap();
        assert!(has(&seen.head, b"caf\xe9\r\n") || seen.head.ends_with(b"caf\xe9"), "{}", seen.head.escape_ascii());
        assert!(has(&seen.head, b": M\xc3\xbcller"), "{}", seen.head.escape_ascii());
        assert!(has(&seen.head, b"Bearer a-real-token") && !has(&seen.head, b"slk_"), "{}", seen.head.escape_ascii());
    }
    // What is kept is converted to text. The answer is whole all the same.
    let kept = tenant.send(&Ask::post("/v/c/x", "").key(&key).with("Prefer", "respond-async, wait=10")).await;
    assert_eq!((kept.status, kept.text().as_str()), (200, "ok"));
}

async fn a_reason_that_is_no_utf8_loses_no_answer(world: &World) {
    let vendor = Raw::start(|_| b"HTTP/1.1 201 Cr\xe9\xe9\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok".to_vec()).await;
    let (tenant, key) = connected(world, &vendor, &json!({"type": "passthrough"})).await;
    let came = tenant.send(&Ask::post("/v/c/x", "a").key(&key)).await;
    came.is_vendors(201);
    assert_eq!((came.text().as_str(), came.header("x-a")), ("ok", Some("1")));
    tenant.until(&key, "it is settled", |c| c["last_hour"]["calls"] == 1).await;
    let errors = tenant.send(&Ask::get("/stats/errors.json").key(&key)).await;
    assert!(!errors.text().contains("unreachable"), "{}", errors.text());
}

async fn a_token_endpoint_that_moved_is_told_with_its_new_address(world: &World) {
    let secret = secrets::invent("client");
    let vendor = Raw::start(|_| {
        answer("302 Found", &["Location: https://new.example/services/oauth2/token?x=1".to_owned()], "")
    })
    .await;
    let token_url = format!("{}/token", vendor.url());
    let credential =
        json!({"type": "client_credentials", "client_id": "i", "client_secret": secret, "token_url": token_url});
    let (tenant, key) = connected(world, &vendor, &credential).await;
    let came = tenant.get(&key, "/x").await;
    came.is_problem(502, "vendor-unreachable");
    assert!(came.text().contains("https://new.example/services/oauth2/token"), "{}", came.text());
    assert!(!came.text().contains("x=1"), "{}", came.text());
}
