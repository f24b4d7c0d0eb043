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
    /// Starts one; `says` makes each answer, after which the connection is closed.
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
    let mut read = Vec::new();
    let end = loop {
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
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
    let answer = says(&seen);
    to.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    stream.write_all(&answer).await.ok()?;
    stream.shutdown().await.ok()
}
