//! What needs no key: the status page's files, and whether Sluice is up.

use crate::config::Config;
use crate::request::Incoming;
use crate::response::{self, Reply};
use sluice_core::http::{self, Answer, Headers, Target};
use sluice_core::refusal::{Reason, Refusal};
use worker::{RequestInit, Response, ResponseBuilder, Result};

/// `GET /healthz`.
pub fn health(incoming: &Incoming) -> Reply {
    match response::allows(incoming, &["GET"]) {
        Ok(()) => Reply::Own(Answer::typed(200, "text/plain; charset=utf-8", "ok\n")),
        Err(reply) => reply,
    }
}

/// A file of the status page.
pub async fn file(config: &Config, incoming: &Incoming, target: &Target<'_>) -> Reply {
    if let Err(reply) = response::allows(incoming, &["GET"]) {
        return reply;
    }
    let path = if target.path.is_empty() { "/" } else { target.path };
    let Some(media_type) = media_type(path) else { return nothing() };
    let mut headers: Headers = [
        ("Content-Type", media_type),
        // The files change with a deploy, all at once.
        ("Cache-Control", "no-cache"),
        ("Content-Security-Policy", &policy(target)),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Vary", "Accept-Encoding"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    if target.scheme == "https" {
        let (name, value) = http::STRICT_TRANSPORT;
        headers.push((name.to_owned(), value.to_owned()));
    }
    if incoming.accept_encoding().is_some_and(|encodings| encodings.contains("gzip")) {
        // The platform compresses a body that says it is: wherever it runs, the page is as light.
        headers.push(("Content-Encoding".to_owned(), "gzip".to_owned()));
    }
    http::allow(&mut headers, incoming.origin());
    match fetched(config, incoming, path, headers).await {
        Ok(Some(response)) => Reply::Done(response.into()),
        Ok(None) => nothing(),
        Err(_) => Refusal::new(Reason::Internal, "the status page's files cannot be read: deploy them again").into(),
    }
}

/// Fetches a file, which is answered under these headers and its own tag. None where there is no
/// such file.
async fn fetched(config: &Config, incoming: &Incoming, path: &str, headers: Headers) -> Result<Option<Response>> {
    let assets = config.assets.as_ref().ok_or("the Worker has no binding to the page's files")?;
    let init = RequestInit::new();
    if let Some(tag) = incoming.header("if-none-match") {
        init.headers.set("If-None-Match", tag)?;
    }
    // The files are found by the path alone.
    let file = assets.fetch(format!("http://assets{path}"), Some(init)).await?;
    let status = file.status_code();
    if !matches!(status, 200 | 304) {
        return Ok(None);
    }
    let all = worker::Headers::new();
    for (name, value) in &headers {
        all.append(name, value)?;
    }
    if let Some(tag) = file.headers().get("etag")? {
        all.set("ETag", &tag)?;
    }
    let answer = ResponseBuilder::new().with_status(status).with_headers(all);
    let has_body = status == 200 && incoming.method != "HEAD";
    Ok(Some(if has_body { answer.body(file.body().clone()) } else { answer.empty() }))
}

fn nothing() -> Reply {
    Refusal::new(Reason::NotFound, "nothing is at this address: docs/api.md lists those there are").into()
}

/// By the path's ending; none for what the page has no files of.
fn media_type(path: &str) -> Option<&'static str> {
    if path == "/" {
        return Some("text/html; charset=utf-8");
    }
    match path.rsplit_once('.')?.1 {
        "html" => Some("text/html; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "json" => Some("application/json"),
        "svg" => Some("image/svg+xml"),
        "png" => Some("image/png"),
        "ico" => Some("image/vnd.microsoft.icon"),
        "txt" => Some("text/plain; charset=utf-8"),
        _ => None,
    }
}

/// The page loads its own files and asks its own Worker, and nothing else. Some browsers do not
/// take `'self'` to stand for the WebSocket at the same place.
fn policy(target: &Target) -> String {
    let socket = if target.scheme == "https" { "wss" } else { "ws" };
    let plain = target.host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte));
    let socket = if plain { format!(" {socket}://{}", target.host) } else { String::new() };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'{socket}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}
