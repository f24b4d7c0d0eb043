//! A vendor without limits, which answers at once with a few bytes of JSON, or not until it is
//! released.

use crate::wire::Connection;
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::Instant;

/// The answer to every call.
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"status\":\"ok\"}";

/// The vendor, which listens for as long as the program runs.
pub struct Vendor {
    url: String,
    state: Rc<State>,
}

struct State {
    held: watch::Sender<bool>,
    /// The calls since `hold`: the number at the end of each path, 0 if there is none, and the time
    /// of arrival, microseconds.
    arrivals: watch::Sender<Vec<(u64, u64)>>,
    began: Instant,
    recording: Cell<bool>,
}

impl Vendor {
    /// Starts to listen on a free port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = Rc::new(State {
            began: Instant::now(),
            held: watch::Sender::new(false),
            arrivals: watch::Sender::default(),
            recording: Cell::new(false),
        });
        let shared = Rc::clone(&state);
        spawn_local(async move {
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    let state = Rc::clone(&shared);
                    spawn_local(async move { state.serve(stream).await });
                }
            }
        });
        Ok(Self { url, state })
    }

    /// Returns the URL at which it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers no call from now on, and records which calls come.
    pub fn hold(&self) {
        self.state.arrivals.send_replace(Vec::new());
        self.state.recording.set(true);
        self.state.held.send_replace(true);
    }

    /// Answers all calls again.
    pub fn release(&self) {
        self.state.held.send_replace(false);
    }

    /// Waits until `least` calls have come since `hold`, and returns them.
    pub async fn arrivals(&self, least: usize) -> Vec<(u64, u64)> {
        let mut arrivals = self.state.arrivals.subscribe();
        // The sender lives as long as the program.
        arrivals.wait_for(|calls| calls.len() >= least).await.map(|calls| calls.clone()).unwrap_or_default()
    }
}

impl State {
    async fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut connection = Connection::of(stream)?;
        let mut held = self.held.subscribe();
        while let Some((_, number)) = connection.message(last_number).await? {
            if self.recording.get() {
                let at = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.arrivals.send_modify(|calls| calls.push((number, at)));
            }
            // The sender lives as long as the program.
            let _ = held.wait_for(|held| !held).await;
            connection.send(ANSWER).await?;
        }
        Ok(())
    }
}

/// Returns the number at the end of a request's path, or 0.
fn last_number(head: &[u8]) -> u64 {
    let target = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let last = target.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    std::str::from_utf8(last).ok().and_then(|last| last.parse().ok()).unwrap_or(0)
}
