//! As much of HTTP/1.1 as a benchmark needs: it writes requests, and finds where a message ends.

use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that stays open.
pub struct Connection {
    stream: TcpStream,
    ahead: Vec<u8>,
}

/// The head of a message, and how its body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The bytes of the head.
    pub bytes: usize,
    /// The status, which is 0 for a request.
    pub status: u16,
    /// The body's length; `None` if the body is chunked.
    pub length: Option<usize>,
}

impl Connection {
    /// Connects to a host and port.
    pub async fn connect(to: &str) -> io::Result<Self> {
        Self::of(TcpStream::connect(to).await?)
    }

    /// Wraps a connection that is already open.
    pub fn of(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, ahead: Vec::with_capacity(4_096) })
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads the next message, and returns its head and what `look` makes of the head's bytes. The
    /// body is dropped. It is `None` if the other side has closed the connection.
    pub async fn message<T>(&mut self, look: impl Fn(&[u8]) -> T) -> io::Result<Option<(Head, T)>> {
        let head = loop {
            if let Some(end) = find(&self.ahead, b"\r\n\r\n") {
                break read_head(&self.ahead[..end + 4]);
            }
            if !self.more().await? {
                return if self.ahead.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        };
        let seen = look(&self.ahead[..head.bytes]);
        let mut end = head.bytes;
        match head.length {
            Some(length) => end += length,
            None => loop {
                // A chunk is a line with its size, its bytes, and the end of a line.
                let line = loop {
                    if let Some(line) = find(&self.ahead[end..], b"\r\n") {
                        break line;
                    }
                    self.need_more().await?;
                };
                let size = std::str::from_utf8(&self.ahead[end..end + line]).unwrap_or_default();
                let size = usize::from_str_radix(size.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
                end += line + 2 + size + 2;
                while self.ahead.len() < end {
                    self.need_more().await?;
                }
                if size == 0 {
                    break;
                }
            },
        }
        while self.ahead.len() < end {
            self.need_more().await?;
        }
        self.ahead.drain(..end);
        Ok(Some((head, seen)))
    }

    async fn need_more(&mut self) -> io::Result<()> {
        if self.more().await? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    async fn more(&mut self) -> io::Result<bool> {
        Ok(self.stream.read_buf(&mut self.ahead).await? > 0)
    }
}

/// Returns the bytes of a request. `{n}` in the target stands for the number.
pub fn request<'a>(
    to: &str,
    target: &str,
    headers: impl IntoIterator<Item = &'a (String, String)>,
    number: u64,
) -> Vec<u8> {
    let target = target.replace("{n}", &number.to_string());
    let mut request = format!("GET {target} HTTP/1.1\r\nHost: {to}\r\n");
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.push_str("\r\n");
    request.into_bytes()
}

/// Returns where `piece` begins in `bytes`.
pub fn find(bytes: &[u8], piece: &[u8]) -> Option<usize> {
    bytes.windows(piece.len()).position(|window| window == piece)
}

fn read_head(head: &[u8]) -> Head {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0);
    let mut length = Some(0);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok();
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            length = None;
        }
    }
    Head { bytes: head.len(), status, length }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_how_its_body_ends() {
        let read = |head: &str| read_head(head.as_bytes());
        let whole = read("HTTP/1.1 207 So\r\nContent-Length: 12\r\n\r\n");
        assert_eq!((whole.status, whole.length), (207, Some(12)));
        assert_eq!(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").length, None);
        assert_eq!(read("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Head { bytes: 27, status: 0, length: Some(0) });
    }
}
