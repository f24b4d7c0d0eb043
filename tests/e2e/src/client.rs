//! A caller that writes HTTP/1.1 by hand, so that a test controls every byte on the wire and sees
//! every byte that comes back.

use crate::answer::Answer;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// A call that takes longer than this hangs.
const HANGS_AFTER: Duration = Duration::from_secs(150);

/// A request to be sent.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The method.
    pub method: String,
    /// The target, sent as it is.
    pub target: String,
    /// The headers in order. `Host`, `Connection` and the body's framing are added unless they are
    /// here.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<Vec<u8>>,
    /// Whether the body is sent in chunks, without `Content-Length`.
    pub chunked: bool,
}

impl Ask {
    /// Makes a request without a body.
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: None, chunked: false }
    }

    /// Makes a `GET`.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// Makes the opening request of the live status' WebSocket.
    pub fn live_status(key: &str) -> Self {
        Self::get("/status/live")
            .with("Connection", "Upgrade")
            .with("Upgrade", "websocket")
            .with("Sec-WebSocket-Version", "13")
            .with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .with("Sec-WebSocket-Protocol", &format!("sluice.v1, {key}"))
    }

    /// Makes a `POST` with a body.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target).body(body)
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds the key, in `Sluice-Key`.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.with("Sluice-Key", key)
    }

    /// Adds `Prefer: wait=N`.
    #[must_use]
    pub fn wait(self, seconds: u64) -> Self {
        self.with("Prefer", &format!("wait={seconds}"))
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets a body that is sent in chunks.
    #[must_use]
    pub fn chunked(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.chunked = true;
        self.body(body)
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
    }

    /// Returns the head as it goes on the wire.
    pub fn head(&self, to: SocketAddr) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.has("host") {
            head.push_str(&format!("Host: {to}\r\n"));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.has("connection") {
            head.push_str("Connection: close\r\n");
        }
        match &self.body {
            Some(_) if self.chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            Some(body) if !self.has("content-length") => head.push_str(&format!("Content-Length: {}\r\n", body.len())),
            _ => {}
        }
        head + "\r\n"
    }

    fn wire(&self, to: SocketAddr) -> Vec<u8> {
        let mut wire = self.head(to).into_bytes();
        match &self.body {
            Some(body) if self.chunked => {
                for chunk in body.chunks(32 << 10) {
                    wire.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                    wire.extend(chunk);
                    wire.extend(b"\r\n");
                }
                wire.extend(b"0\r\n\r\n");
            }
            Some(body) => wire.extend(body),
            None => {}
        }
        wire
    }

    /// Sends the request on a new connection, and waits for the whole answer.
    pub async fn try_send(&self, to: SocketAddr) -> io::Result<Answer> {
        self.open(to).await?.rest().await
    }

    /// Sends the request as [`Self::try_send`] does; the test fails if there is no answer.
    pub async fn send(&self, to: SocketAddr) -> Answer {
        self.try_send(to).await.unwrap_or_else(|fault| panic!("{} {}: {fault}", self.method, self.target))
    }

    /// Sends the request, and waits for the answer's head.
    pub async fn open(&self, to: SocketAddr) -> io::Result<Open> {
        let mut open = Open::connect(to).await?;
        open.start(self).await?;
        open.head().await?;
        Ok(open)
    }
}

/// A connection with one request on it.
#[derive(Debug)]
pub struct Open {
    stream: TcpStream,
    to: SocketAddr,
    began: Instant,
    ahead: Vec<u8>,
    left: Left,
    answer: Answer,
}

/// How much of the body is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Bytes(u64),
    Chunks,
    ToClose,
}

impl Open {
    /// Connects, and sends nothing yet.
    pub async fn connect(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let answer = Answer {
            status: 0,
            reason: String::new(),
            headers: Vec::new(),
            body: Vec::new(),
            whole: false,
            head_after: Duration::ZERO,
            took: Duration::ZERO,
        };
        Ok(Self { stream, to, began: Instant::now(), ahead: Vec::new(), left: Left::Bytes(0), answer })
    }

    /// Sends a request.
    pub async fn start(&mut self, ask: &Ask) -> io::Result<()> {
        self.began = Instant::now();
        if ask.method == "HEAD" {
            self.answer.whole = true;
        }
        self.write(&ask.wire(self.to)).await
    }

    /// Sends bytes. A peer that has answered and closed is no fault, since its answer may still be
    /// read.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.stream.write_all(bytes).await {
            Err(fault) if matches!(fault.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => Ok(()),
            sent => sent,
        }
    }

    /// Reads the head of the answer and skips interim answers.
    pub async fn head(&mut self) -> io::Result<&Answer> {
        let head_only = self.answer.whole;
        loop {
            let end = self.until(b"\r\n\r\n").await?;
            let head: String = self.ahead.drain(..end).map(char::from).collect();
            let mut lines = head.trim_end().split("\r\n");
            let mut words = lines.next().unwrap_or_default().splitn(3, ' ').skip(1);
            self.answer.status = words.next().and_then(|w| w.parse().ok()).unwrap_or(0);
            self.answer.reason = words.next().unwrap_or_default().to_owned();
            let split = |line: &str| line.split_once(':').map(|(n, v)| (n.to_owned(), v.trim().to_owned()));
            self.answer.headers = lines.filter_map(split).collect();
            if !(100..200).contains(&self.answer.status) || self.answer.status == 101 {
                break;
            }
        }
        self.answer.head_after = self.began.elapsed();
        let answer = &self.answer;
        self.left = if head_only || matches!(answer.status, 101 | 204 | 304) {
            Left::Bytes(0)
        } else if answer.header("transfer-encoding").is_some_and(|v| v.contains("chunked")) {
            Left::Chunks
        } else {
            match answer.header("content-length").and_then(|v| v.parse().ok()) {
                Some(bytes) => Left::Bytes(bytes),
                None => Left::ToClose,
            }
        };
        self.answer.whole = false;
        Ok(&self.answer)
    }

    /// Reads the next piece of the body; `None` at its end. A body that breaks off is an error.
    pub async fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.left {
            Left::Bytes(0) => Ok(None),
            Left::Bytes(left) => {
                if self.ahead.is_empty() && self.more().await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let here = self.ahead.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                self.left = Left::Bytes(left - here as u64);
                Ok(Some(self.ahead.drain(..here).collect()))
            }
            Left::Chunks => {
                let end = self.until(b"\r\n").await?;
                let line: String = self.ahead.drain(..end).map(char::from).collect();
                let size = usize::from_str_radix(line.trim().split(';').next().unwrap_or_default(), 16)
                    .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a chunk's size is not hexadecimal"))?;
                while self.ahead.len() < size + 2 {
                    if self.more().await? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                let piece: Vec<u8> = self.ahead.drain(..size).collect();
                self.ahead.drain(..2);
                Ok((size > 0).then_some(piece))
            }
            Left::ToClose => {
                if self.ahead.is_empty() && self.more().await? == 0 {
                    return Ok(None);
                }
                Ok(Some(std::mem::take(&mut self.ahead)))
            }
        }
    }

    /// Reads the body as far as it comes; `whole` says whether it came to the end.
    pub async fn rest(mut self) -> io::Result<Answer> {
        loop {
            match self.piece().await {
                Ok(Some(piece)) => self.answer.body.extend(piece),
                Ok(None) => {
                    self.answer.whole = true;
                    break;
                }
                Err(_) => break,
            }
        }
        self.answer.took = self.began.elapsed();
        Ok(self.answer)
    }

    /// Reads the next text message of a WebSocket and skips control frames.
    pub async fn message(&mut self) -> io::Result<String> {
        loop {
            let head = self.exactly(2).await?;
            let length = match head[1] & 0x7f {
                126 => self.exactly(2).await?.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)),
                127 => self.exactly(8).await?.iter().fold(0, |n, byte| n << 8 | usize::from(*byte)),
                length => usize::from(length),
            };
            let payload = self.exactly(length).await?;
            match head[0] & 0x0f {
                0x1 => return Ok(String::from_utf8_lossy(&payload).into_owned()),
                0x8 => return Err(io::ErrorKind::ConnectionAborted.into()),
                _ => {}
            }
        }
    }

    async fn exactly(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < bytes {
            if self.more().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.ahead.drain(..bytes).collect())
    }

    /// Closes with a reset. workerd takes a plain close for a caller that has only finished
    /// sending, as HTTP allows, and does not see it gone before it writes to it.
    pub fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }

    /// Returns the answer's head.
    pub const fn answer(&self) -> &Answer {
        &self.answer
    }

    /// Returns the time since the request was sent.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    async fn until(&mut self, mark: &[u8]) -> io::Result<usize> {
        let mut from = 0;
        loop {
            let found = self.ahead[from..].windows(mark.len()).position(|window| window == mark);
            if let Some(at) = found {
                return Ok(from + at + mark.len());
            }
            from = self.ahead.len().saturating_sub(mark.len());
            if self.more().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn more(&mut self) -> io::Result<usize> {
        self.ahead.reserve(64 << 10);
        let hangs = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer within 150 s: the call hangs");
        timeout(HANGS_AFTER, self.stream.read_buf(&mut self.ahead)).await.map_err(hangs)?
    }
}
