//! The control API under `/__control`, whose requests are neither counted nor journalled.

use crate::journal::Calls;
use crate::server::{Handle, State};
use crate::spec::Spec;
use crate::wire::{Answer, Connection, Head, Payload, Sent};
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

/// The path under which it is served.
pub(crate) const PREFIX: &str = "/__control/";

/// Answers one control request.
pub(crate) async fn serve<S>(state: &State, connection: &mut Connection<S>, head: &Head) -> Sent
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(payload) = connection.payload(head).await else { return Sent::Last };
    let path = head.path().strip_prefix(PREFIX).unwrap_or_default().to_owned();
    answer(state, head, &path, &payload).send(connection, false).await.unwrap_or(Sent::Last)
}

/// Serves the control API of several vendors on one port of 127.0.0.1, each under its own name:
/// `/marketo/log`.
pub async fn serve_all(listener: TcpListener, vendors: &[(String, Handle)]) -> io::Result<()> {
    let states: Vec<(String, Arc<State>)> =
        vendors.iter().map(|(name, handle)| (name.clone(), Arc::clone(handle.state()))).collect();
    loop {
        let (stream, _) = listener.accept().await?;
        let states = states.clone();
        tokio::spawn(async move {
            let mut connection = Connection::new(stream);
            while let Ok(Some(head)) = connection.head().await {
                let Ok(payload) = connection.payload(&head).await else { return };
                let (name, path) = head.path().trim_start_matches('/').split_once('/').unwrap_or_default();
                let answer = match states.iter().find(|(known, _)| known == name) {
                    Some((_, state)) => answer(state, &head, path, &payload),
                    None => {
                        Answer::json(404, &json!({"error": "write /VENDOR/log, with the name of a running vendor"}))
                    }
                };
                if answer.send(&mut connection, false).await.is_err() || head.last() {
                    return;
                }
            }
        });
    }
}

/// Answers `METHOD path`; the path has no prefix.
pub(crate) fn answer(state: &State, head: &Head, path: &str, payload: &Payload) -> Answer {
    match (head.method.as_str(), path) {
        ("GET", "log") => {
            let inner = state.lock();
            let calls = inner.journal.after(head.number("after").unwrap_or(0));
            let calls = Calls(calls.0.into_iter().take(10_000).collect());
            Answer::json(
                200,
                &json!({"now_us": state.clock.now_us(), "forgotten": inner.journal.forgotten(), "calls": calls.0}),
            )
        }
        ("GET", "summary") => summary(state),
        ("GET", "spec") => spec(&state.lock().spec),
        ("PUT", "spec") => put_spec(state, payload),
        ("POST", "reset") => {
            state.reset();
            Answer::empty(204)
        }
        _ => Answer::json(
            404,
            &json!({"error": "the control API has GET log?after=N, GET summary, GET spec, PUT spec, POST reset"}),
        ),
    }
}

fn spec(spec: &Spec) -> Answer {
    let mut shown = serde_json::to_value(spec).unwrap_or_default();
    if let Some(credential) = shown.get_mut("credential").filter(|c| !c.is_null()) {
        *credential = json!("***");
    }
    Answer::json(200, &shown)
}

/// Changes the current spec. Fields that are sent replace the current ones; the others stay.
fn put_spec(state: &State, payload: &Payload) -> Answer {
    let bad = |detail: String| Answer::json(400, &json!({"error": detail}));
    let Some(Value::Object(sent)) = payload.json() else { return bad("the body is no JSON object".to_owned()) };
    let Ok(Value::Object(mut fields)) = serde_json::to_value(&state.lock().spec) else {
        return bad("the spec in force cannot be written".to_owned());
    };
    fields.extend(sent);
    let merged = match serde_json::from_value::<Spec>(Value::Object(fields)) {
        Ok(merged) => merged,
        Err(fault) => return bad(fault.to_string()),
    };
    match state.set_spec(merged) {
        Ok(()) => spec(&state.lock().spec),
        Err(fault) => bad(fault.to_string()),
    }
}

fn summary(state: &State) -> Answer {
    let inner = state.lock();
    let calls = inner.journal.after(0);
    Answer::json(
        200,
        &json!({
            "calls": calls.0.len(), "forgotten": inner.journal.forgotten(), "passed": calls.passed(), "refused": calls.refused(),
            "in_service": inner.gate.in_service(), "most_at_once": calls.most_at_once(), "by_app": calls.by_app(),
        }),
    )
}
