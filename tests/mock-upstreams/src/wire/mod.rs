//! HTTP/1.1 as it is on the wire, over any byte stream.

mod answer;
mod request;

pub use answer::{Answer, Body, Cut, Framing, Sent, Stream};
pub use request::{Head, Payload, hex};

use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest head of a request, bytes.
const MAX_HEAD: usize = 256 << 10;

/// The most bytes that are read ahead while a call is at work: enough to see whether the peer has
/// gone.
const MAX_AHEAD: usize = 64 << 10;

/// A connection with a caller.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    /// Bytes that were read and not used yet.
    ahead: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Makes a connection on which nothing has been read.
    pub const fn new(stream: S) -> Self {
        Self { stream, ahead: Vec::new() }
    }

    /// Returns the stream, to close or reset it.
    pub fn into_stream(self) -> S {
        self.stream
    }

    /// Reads the head of the next request; `None` where the peer has closed.
    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n\r\n") {
                let head = Head::parse(&self.ahead[..end]);
                self.ahead.drain(..end + 4);
                return head.map(Some);
            }
            if self.ahead.len() > MAX_HEAD {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the request's head is too long"));
            }
            if self.more().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads the body of the request to its end.
    pub async fn payload(&mut self, head: &Head) -> io::Result<Payload> {
        let mut payload = Payload::new();
        if head.chunked() {
            loop {
                let line = self.line().await?;
                let digits = line.split(';').next().unwrap_or_default().trim();
                let size = u64::from_str_radix(digits, 16)
                    .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a chunk's size is not hexadecimal"))?;
                if size == 0 {
                    while !self.line().await?.is_empty() {}
                    break;
                }
                self.take(size, &mut payload).await?;
                self.line().await?;
            }
        } else {
            self.take(head.content_length(), &mut payload).await?;
        }
        payload.finish();
        Ok(payload)
    }

    async fn take(&mut self, mut bytes: u64, payload: &mut Payload) -> io::Result<()> {
        while bytes > 0 {
            if self.ahead.is_empty() && self.more().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let here = self.ahead.len().min(usize::try_from(bytes).unwrap_or(usize::MAX));
            payload.add(&self.ahead[..here]);
            self.ahead.drain(..here);
            bytes -= here as u64;
        }
        Ok(())
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n") {
                let line = latin1(&self.ahead[..end]);
                self.ahead.drain(..end + 2);
                return Ok(line);
            }
            if self.ahead.len() > MAX_HEAD || self.more().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn more(&mut self) -> io::Result<usize> {
        self.ahead.reserve(16 << 10);
        self.stream.read_buf(&mut self.ahead).await
    }

    /// Waits until the peer has closed the connection. Dropping the future loses nothing.
    pub async fn closed(&mut self) {
        while self.ahead.len() < MAX_AHEAD {
            match self.more().await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        std::future::pending().await
    }

    /// Writes bytes and flushes them.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Makes a text with one character for each byte, so that nothing is lost.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}
