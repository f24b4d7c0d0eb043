//! A vendor without limits, which answers at once with a few bytes of JSON, or not until it is told to.

use crate::wire::Line;
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::Instant;

/// What it says to everything.
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"status\":\"ok\"}";

/// The vendor. It listens for as long as the program runs.
pub struct Vendor {
    url: String,
    state: Rc<State>,
}

struct State {
    held: watch::Sender<bool>,
    /// Since it was held: the number that a path ends with, 0 where that is none, and when it came, µs.
    came: watch::Sender<Vec<(u64, u64)>>,
    began: Instant,
    noting: Cell<bool>,
}

impl Vendor {
    /// Begins to listen on a free port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = Rc::new(State {
            began: Instant::now(),
            held: watch::Sender::new(false),
            came: watch::Sender::default(),
            noting: Cell::new(false),
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

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers nobody from now on, and notes who comes.
    pub fn hold(&self) {
        self.state.came.send_replace(Vec::new());
        self.state.noting.set(true);
        self.state.held.send_replace(true);
    }

    /// Answers again.
    pub fn release(&self) {
        self.state.held.send_replace(false);
    }

    /// Who has come since it was held, once so many have.
    pub async fn came(&self, least: usize) -> Vec<(u64, u64)> {
        let mut watched = self.state.came.subscribe();
        // The sender lives as long as the program.
        watched.wait_for(|came| came.len() >= least).await.map(|came| came.clone()).unwrap_or_default()
    }
}

impl State {
    async fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut line = Line::of(stream)?;
        let mut held = self.held.subscribe();
        while let Some((_, number)) = line.message(last_number).await? {
            if self.noting.get() {
                let at = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.came.send_modify(|came| came.push((number, at)));
            }
            // The sender lives as long as the program.
            let _ = held.wait_for(|held| !held).await;
            line.send(ANSWER).await?;
        }
        Ok(())
    }
}

/// The number that a request's path ends with.
fn last_number(head: &[u8]) -> u64 {
    let target = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let last = target.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    std::str::from_utf8(last).ok().and_then(|last| last.parse().ok()).unwrap_or(0)
}
