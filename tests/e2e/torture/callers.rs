//! The callers: each makes its call at the time that the plan names, and records what became of it.

use crate::plan::{Call, Leaves};
use crate::stage::{MAX_WAIT_MS, SEATS, Stage, tenant_of};
use sluice_e2e::{Ask, Open};
use sluice_mock_upstreams::pattern;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The record of a call.
#[derive(Debug)]
pub struct Made {
    /// The call.
    pub call: Call,
    /// When it was sent, milliseconds after the start.
    pub sent: u64,
    /// When it ended, milliseconds after the start.
    pub ended: u64,
    /// How it ended.
    pub end: End,
}

/// How a call ended.
#[derive(Debug)]
pub enum End {
    /// It had an answer.
    Answered(Seen),
    /// Its caller went before that.
    Left,
    /// The connection broke, or could not be made.
    Broken(String),
}

/// The parts of an answer that are kept.
#[derive(Debug)]
pub struct Seen {
    pub status: u16,
    /// `Sluice-Reason`.
    pub reason: Option<String>,
    /// `Sluice-Call`. For a job that was answered directly it is the job's id.
    pub id: Option<String>,
    /// The job that `Location` names.
    pub job: Option<String>,
    /// Whether the body came to its end.
    pub whole: bool,
    /// The detail of a problem document.
    #[expect(dead_code, reason = "shown with a fault")]
    pub detail: String,
}

/// Makes a call.
pub async fn make(call: Call, key: String, to: SocketAddr, began: Instant) -> Made {
    let sent = since(began);
    let ask = ask(&call, &key);
    let end = match go(&call, &ask, to).await {
        Ok(Some(seen)) => End::Answered(seen),
        Ok(None) => End::Left,
        Err(why) => End::Broken(why.to_string()),
    };
    Made { call, sent, ended: since(began), end }
}

/// Returns the whole milliseconds since then.
pub fn since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Returns the most milliseconds that a call waits for its first permit, or a job for its end.
pub fn waits(call: &Call) -> u64 {
    let asked = call.wait.map(|seconds| seconds * 1_000);
    if call.job { asked.unwrap_or(0) } else { asked.unwrap_or(MAX_WAIT_MS).min(MAX_WAIT_MS) }
}

fn ask(call: &Call, key: &str) -> Ask {
    let mut ask = Ask::new(call.method, &format!("/v/{}{}", SEATS[call.seat].name, call.target)).key(key);
    let mut prefer: Vec<String> = Vec::new();
    prefer.extend(call.job.then(|| "respond-async".to_owned()));
    prefer.extend(call.wait.map(|seconds| format!("wait={seconds}")));
    if !prefer.is_empty() {
        ask = ask.with("Prefer", &prefer.join(", "));
    }
    if let Some(urgency) = call.urgency {
        ask = ask.with("Priority", &format!("u={urgency}"));
    }
    if let Some(name) = &call.key {
        ask = ask.with("Idempotency-Key", name);
    }
    match call.body {
        Some((bytes, true)) => ask.chunked(pattern::whole(bytes as u64)),
        Some((bytes, false)) => ask.body(pattern::whole(bytes as u64)),
        None => ask,
    }
}

/// Makes the call; returns its answer, or `None` where the caller has gone.
async fn go(call: &Call, ask: &Ask, to: SocketAddr) -> io::Result<Option<Seen>> {
    let mut open = Open::connect(to).await?;
    if let Leaves::Uploading(bytes) = call.leaves {
        let begun = Ask { body: None, chunked: false, ..ask.clone() };
        let begun = begun.with("Content-Length", &call.body.map_or(0, |(bytes, _)| bytes).to_string());
        open.write(begun.head(to).as_bytes()).await?;
        open.write(&pattern::whole(bytes as u64)).await?;
        sleep(Duration::from_millis(20)).await;
        open.reset();
        return Ok(None);
    }
    open.start(ask).await?;
    if let Leaves::After(ms) = call.leaves {
        return match timeout(Duration::from_millis(ms), open.head()).await {
            Ok(head) => {
                head?;
                Ok(Some(seen(open.rest().await?)))
            }
            Err(_) => {
                open.reset();
                Ok(None)
            }
        };
    }
    open.head().await?;
    if let Leaves::Reading(bytes) = call.leaves {
        let mut read = 0;
        while read < bytes {
            match open.piece().await {
                Ok(Some(piece)) => read += piece.len(),
                Ok(None) | Err(_) => break,
            }
        }
        open.reset();
        return Ok(None);
    }
    Ok(Some(seen(open.rest().await?)))
}

fn seen(answer: sluice_e2e::Answer) -> Seen {
    let reason = answer.sluice_reason().map(str::to_owned);
    let own = reason.is_some() || answer.header("sluice-call").is_none();
    let detail = if own { answer.text().chars().take(300).collect() } else { String::new() };
    Seen {
        status: answer.status,
        id: answer.header("sluice-call").map(str::to_owned),
        job: answer.header("location").and_then(|to| to.strip_prefix("/jobs/")).map(str::to_owned),
        reason,
        whole: answer.whole,
        detail,
    }
}

/// Returns the key of a call's app.
pub fn key(stage: &Stage, call: &Call) -> String {
    stage.keys[tenant_of(&SEATS[call.seat])][call.app].clone()
}
