//! An answer, and the ways in which it can fail on its way out.

use super::Connection;
use crate::pattern;
use std::fmt::Write;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// An answer to be sent.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status: any number. HTTP's own reason follows it where there is one.
    pub status: u16,
    /// The reason, where it is not HTTP's own.
    pub reason: Option<String>,
    /// The headers, in order. Those that frame the body are added.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
    /// Interim answers that are sent before, as they are on the wire.
    pub interim: String,
    /// Where the connection breaks, if it does.
    pub cut: Option<Cut>,
    /// Bytes that are sent in place of all of the above, before the connection closes.
    pub raw: Option<Vec<u8>>,
}

/// The body of an answer.
#[derive(Debug, Clone)]
pub enum Body {
    /// There is none, and no framing header.
    None,
    /// These bytes, with `Content-Length`.
    Bytes(Vec<u8>),
    /// Bytes of [`pattern`], made while they are sent.
    Stream(Stream),
}

/// A body that is made while it is sent.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Its length.
    pub bytes: u64,
    /// The size of a piece, bytes.
    pub piece: usize,
    /// The pause between two pieces.
    pub pause: Duration,
    /// How its end is marked.
    pub framing: Framing,
}

/// How the end of a body is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// By `Content-Length`.
    Length,
    /// By `Transfer-Encoding: chunked`.
    Chunked,
    /// By closing the connection.
    Close,
}

/// Where a connection breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// It is reset before the answer.
    Before,
    /// It is reset after the head.
    AfterHead,
    /// It is reset after this many bytes of the body.
    After(u64),
    /// Nothing is sent, and the connection stays open.
    Hang,
    /// The head is sent and nothing else, and the connection stays open.
    HangAfterHead,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It was sent whole; the connection can be used again.
    Whole,
    /// It was sent whole; the connection must be closed.
    Last,
    /// The connection must be reset.
    Reset,
}

impl Answer {
    /// Makes an answer without a body.
    pub const fn empty(status: u16) -> Self {
        Self {
            status,
            reason: None,
            headers: Vec::new(),
            body: Body::None,
            interim: String::new(),
            cut: None,
            raw: None,
        }
    }

    /// Makes an answer with a JSON body.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::bytes(status, "application/json", body.to_string().into_bytes())
    }

    /// Makes an answer with a body.
    pub fn bytes(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        Self { body: Body::Bytes(body), ..Self::empty(status) }.with("Content-Type", content_type)
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn head(&self) -> String {
        let mut head = self.interim.clone();
        let reason = self.reason.as_deref().unwrap_or_else(|| reason(self.status));
        let _ = write!(head, "HTTP/1.1 {} {reason}\r\n", self.status);
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let bodiless = matches!(self.status, 100..=199 | 204 | 304);
        match &self.body {
            Body::None if bodiless => {}
            Body::None => head.push_str("Content-Length: 0\r\n"),
            Body::Bytes(bytes) => drop(write!(head, "Content-Length: {}\r\n", bytes.len())),
            Body::Stream(stream) => match stream.framing {
                Framing::Length => drop(write!(head, "Content-Length: {}\r\n", stream.bytes)),
                Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
                Framing::Close => head.push_str("Connection: close\r\n"),
            },
        }
        head.push_str("\r\n");
        head
    }

    /// Sends the answer, without its body if the method was `HEAD`.
    pub async fn send<S>(&self, to: &mut Connection<S>, head_only: bool) -> io::Result<Sent>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if let Some(raw) = &self.raw {
            to.write(raw).await?;
            return Ok(Sent::Last);
        }
        match self.cut {
            Some(Cut::Before) => return Ok(Sent::Reset),
            Some(Cut::Hang) => {
                to.closed().await;
                return Ok(Sent::Last);
            }
            _ => {}
        }
        let mut head = self.head().into_bytes();
        let up_to = match self.cut {
            Some(Cut::After(bytes)) => bytes.min(self.length() / 2),
            Some(Cut::AfterHead | Cut::HangAfterHead) => 0,
            _ => u64::MAX,
        };
        match &self.body {
            Body::Bytes(bytes) if !head_only => {
                // Head and body are sent in one write, as most servers do.
                head.extend_from_slice(&bytes[..bytes.len().min(usize::try_from(up_to).unwrap_or(usize::MAX))]);
                to.write(&head).await?;
            }
            Body::Stream(stream) if !head_only => {
                to.write(&head).await?;
                stream.send(to, up_to).await?;
            }
            _ => to.write(&head).await?,
        }
        match (self.cut, &self.body) {
            (Some(Cut::HangAfterHead), _) => {
                to.closed().await;
                Ok(Sent::Last)
            }
            (Some(_), _) => Ok(Sent::Reset),
            (None, Body::Stream(Stream { framing: Framing::Close, .. })) => Ok(Sent::Last),
            _ => Ok(Sent::Whole),
        }
    }

    const fn length(&self) -> u64 {
        match &self.body {
            Body::None => 0,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Stream(stream) => stream.bytes,
        }
    }
}

impl Stream {
    async fn send<S>(&self, to: &mut Connection<S>, up_to: u64) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let end = self.bytes.min(up_to);
        let mut at = 0;
        while at < end {
            let piece = pattern::piece(at, (end - at).min(self.piece.max(1) as u64));
            if self.framing == Framing::Chunked {
                let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
                chunk.extend_from_slice(&piece);
                chunk.extend_from_slice(b"\r\n");
                to.write(&chunk).await?;
            } else {
                to.write(&piece).await?;
            }
            at += piece.len() as u64;
            if at < end && !self.pause.is_zero() {
                tokio::select! {
                    () = tokio::time::sleep(self.pause) => {}
                    () = to.closed() => return Err(io::ErrorKind::ConnectionReset.into()),
                }
            }
        }
        if self.framing == Framing::Chunked && end == self.bytes {
            to.write(b"0\r\n\r\n").await?;
        }
        Ok(())
    }
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        207 => "Multi-Status",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Unnamed",
    }
}
