//! A server that answers with exactly the bytes that a test gives, and keeps exactly the bytes that
//! it received.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The request line and the headers, without the empty line.
    pub head: Vec<u8>,
    /// The body, with its chunk framing where it came in chunks.
    pub body: Vec<u8>,
}

impl Seen {
    /// Returns the head as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.head).into_owned()
    }

    /// Returns the target of the request line.
    pub fn target(&self) -> String {
        self.text().split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// Returns the headers, in order.
    pub fn headers(&self) -> Vec<(String, String)> {
        let text = self.text();
        let lines = text.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
    }

    /// Returns the first header of that name.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers().into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

type Says = dyn Fn(&Seen) -> Vec<u8> + Send + Sync;

/// A running server. It ends with its runtime.
#[derive(Debug, Clone)]
pub struct Raw {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Raw {
    /// Starts one; `says` makes each answer. The connection is closed after one that is incomplete, or says that it will be.
    pub async fn start(says: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (says, to): (Arc<Says>, _) = (Arc::new(says), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&says), Arc::clone(&to)));
            }
        });
        Self { address, seen }
    }

    /// Returns `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the requests that have come so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(mut stream: TcpStream, says: Arc<Says>, to: Arc<Mutex<Vec<Seen>>>) -> Option<()> {
    loop {
        let seen = request(&mut stream).await?;
        let answer = says(&seen);
        to.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        stream.write_all(&answer).await.ok()?;
        if !may_be_followed(&answer) {
            return stream.shutdown().await.ok();
        }
    }
}

/// Reads a request, whole. `None` where the connection ends first.
async fn request(stream: &mut TcpStream) -> Option<Seen> {
    let mut read = Vec::new();
    let end = loop {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = head_end(&read) {
            break end;
        }
    };
    let mut seen = Seen { head: read[..end].to_vec(), body: read[end + 4..].to_vec() };
    let length: usize = seen.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let chunked = seen.header("transfer-encoding").is_some();
    while if chunked { !seen.body.ends_with(b"0\r\n\r\n") } else { seen.body.len() < length } {
        if stream.read_buf(&mut seen.body).await.ok()? == 0 {
            return None;
        }
    }
    Some(seen)
}

/// Whether the connection stays open after an answer: it has the length that it declares, and does not say `Connection: close`.
///
/// A server that closes a connection without having said so races with its client, which may send the next request into it
/// (RFC 9112, section 9.6). Until 2026-11 this one did, and a call failed once in some hundred runs.
fn may_be_followed(answer: &[u8]) -> bool {
    let Some(end) = head_end(answer) else { return false };
    let head = Seen { head: answer[..end].to_vec(), body: Vec::new() };
    let closes = head.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let length = head.header("content-length").and_then(|length| length.parse().ok());
    !closes && length == Some(answer.len() - end - 4)
}

/// Where a head ends, without its empty line.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n")
}
