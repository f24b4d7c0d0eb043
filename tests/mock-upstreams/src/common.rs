//! What every vendor answers besides its own paths: an echo, bodies of any size and coding,
//! redirects, and odd answers.

use crate::pattern;
use crate::upstreams::Request;
use crate::wire::{Answer, Body, Cut, Framing, Stream, hex, latin1};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::time::Duration;

/// The most bytes that `/bytes` compresses, since it does so in memory.
const MOST_COMPRESSED: u64 = 16 << 20;

/// Answers any path. It is an echo unless the path has a special answer.
pub fn answer(request: &Request) -> Answer {
    let head = request.head;
    let path = head.path();
    let word = |prefix: &str| path.strip_prefix(prefix).map(str::to_owned);
    if let Some(bytes) = word("/bytes/").and_then(|n| n.parse().ok()) {
        return body_of(request, bytes);
    }
    if let Some(status) = word("/status/").and_then(|n| n.parse().ok()) {
        return status_of(request, status);
    }
    if let Some(status) = word("/interim/").and_then(|n| n.parse::<u16>().ok()) {
        return Answer {
            interim: format!("HTTP/1.1 {status} Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"),
            ..echo(request)
        };
    }
    match path {
        "/redirect" => {
            let status = head.number("status").and_then(|n| u16::try_from(n).ok()).unwrap_or(302);
            Answer::empty(status).with("Location", &head.query("to").unwrap_or_else(|| "/echo".to_owned()))
        }
        "/cookies" => echo(request)
            .with("Set-Cookie", "first=1; Path=/; HttpOnly")
            .with("Set-Cookie", "second=2; Expires=Wed, 21 Oct 2037 07:28:00 GMT; Path=/"),
        "/hang" => Answer { cut: Some(Cut::Hang), ..Answer::empty(200) },
        "/websocket" => Answer::json(426, &json!({"error": "no WebSocket here"})).with("Upgrade", "websocket"),
        "/headers" => (0..head.number("n").unwrap_or(50))
            .fold(Answer::empty(200), |answer, n| answer.with(&format!("X-Header-{n}"), &"v".repeat(100))),
        _ => echo(request),
    }
}

/// Returns the request as JSON: all that a test needs to see that nothing was changed on the way.
pub fn echo(request: &Request) -> Answer {
    let body = &request.payload.kept;
    let text = if body.len() <= 4096 { Some(latin1(body)) } else { None };
    let headers: Vec<[&str; 2]> = request.head.headers.iter().map(|(n, v)| [n.as_str(), v.as_str()]).collect();
    Answer::json(
        200,
        &json!({
            "method": request.head.method, "target": request.head.target, "version": request.head.version, "headers": headers,
            "call": request.number, "body_bytes": request.payload.bytes, "body_sha256": request.payload.sha256, "body": text,
        }),
    )
}

/// Serves `/bytes/N?piece=65536&pause_ms=0&framing=length|chunked|close&encoding=gzip|br`: N bytes
/// of [`pattern`].
fn body_of(request: &Request, bytes: u64) -> Answer {
    let head = request.head;
    let encoding = head.query("encoding");
    let octets = "application/octet-stream";
    if let Some(encoding) = encoding {
        let whole = pattern::whole(bytes.min(MOST_COMPRESSED));
        let packed = if encoding == "br" { brotli(&whole) } else { gzip(&whole) };
        let sha256 = hex(&Sha256::digest(&packed));
        return Answer::bytes(200, octets, packed).with("Content-Encoding", &encoding).with("X-Body-Sha256", &sha256);
    }
    let framing = match head.query("framing").as_deref() {
        Some("chunked") => Framing::Chunked,
        Some("close") => Framing::Close,
        _ => Framing::Length,
    };
    let piece = head.number("piece").unwrap_or(64 << 10);
    let pause = Duration::from_millis(head.number("pause_ms").unwrap_or(0));
    let stream = Stream { bytes, piece: usize::try_from(piece).unwrap_or(64 << 10), pause, framing };
    Answer { body: Body::Stream(stream), ..Answer::empty(200) }.with("Content-Type", octets)
}

/// Serves `/status/N?reason=Text&retry_after=30`: any status, also one that HTTP does not have.
fn status_of(request: &Request, status: u16) -> Answer {
    let mut answer = match status {
        100..=199 | 204 | 304 => Answer::empty(status),
        _ => Answer { status, ..echo(request) },
    };
    answer.reason = request.head.query("reason");
    if let Some(after) = request.head.query("retry_after") {
        answer = answer.with("Retry-After", &after);
    }
    if status == 304 { answer.with("ETag", "\"mock\"") } else { answer }
}

/// Compresses bytes with gzip.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// Compresses bytes with Brotli.
pub fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    {
        let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, 4, 20);
        let _ = encoder.write_all(bytes);
        let _ = encoder.flush();
    }
    out
}
