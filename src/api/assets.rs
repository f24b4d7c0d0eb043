//! What needs no key: the status page's files, and whether Sluice is up.

use crate::config::Config;
use crate::request::Incoming;
use crate::response::{self, Reply};
use sluice_core::api::files;
use sluice_core::http::{self, Answer, Headers, Target};
use sluice_core::refusal::{Reason, Refusal};
use worker::{RequestInit, Response, ResponseBuilder, Result};

/// Answers `GET /healthz`.
pub fn health(incoming: &Incoming) -> Reply {
    match response::allows(incoming, &["GET"]) {
        Ok(()) => Reply::Own(Answer::typed(200, "text/plain; charset=utf-8", "ok\n")),
        Err(reply) => reply,
    }
}

/// Answers with a file of the status page.
pub async fn file(config: &Config, incoming: &Incoming, target: &Target<'_>) -> Reply {
    if let Err(reply) = response::allows(incoming, &["GET"]) {
        return reply;
    }
    let path = files::path(target);
    let Some(media_type) = files::media_type(path) else { return nothing() };
    let mut headers = files::headers(target, media_type, incoming.accept_encoding());
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
    // A file is found only by its path.
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
