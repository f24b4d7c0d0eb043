//! Callers: in a closed loop, each one call at a time; or at a steady rate, whatever becomes of the calls.

use crate::figures::Figures;
use crate::wire::{Line, request};
use serde::Deserialize;
use serde_json::Value;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// What to call, and how.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Host and port.
    to: String,
    /// Path and query. `{n}` stands for the call's number, from 1.
    target: String,
    /// On every request.
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// Sent in `Sluice-Key`, one after another in turn.
    #[serde(default)]
    keys: Vec<String>,
    /// Connections, with one call at a time on each.
    callers: usize,
    /// For how long calls are begun.
    #[serde(default = "forever")]
    seconds: f64,
    /// How many calls are made at most.
    #[serde(default = "endless")]
    calls: u64,
    /// Calls that end sooner than this do not count.
    #[serde(default)]
    warm_seconds: f64,
    /// Calls a second, at even distances; without, each caller goes on as soon as it has its answer.
    #[serde(default)]
    rate: Option<f64>,
    /// Callers begin at this distance, so that they come in their order; milliseconds.
    #[serde(default)]
    apart_ms: f64,
}

const fn forever() -> f64 {
    3_600.0
}

const fn endless() -> u64 {
    u64::MAX
}

struct Run {
    order: Order,
    began: Instant,
    figures: RefCell<Figures>,
    next: RefCell<u64>,
}

/// Makes the calls, and tells what came of them.
pub async fn call(order: Order) -> io::Result<Value> {
    let callers = order.callers.max(1);
    let mut lines = Vec::new();
    for _ in 0..callers {
        lines.push(Line::connect(&order.to).await?);
    }
    let warm = Duration::from_secs_f64(order.warm_seconds);
    let run = Rc::new(Run { order, began: Instant::now(), figures: RefCell::default(), next: RefCell::new(0) });
    let mut tasks = JoinSet::new();
    for (index, line) in lines.into_iter().enumerate() {
        let run = Rc::clone(&run);
        tasks.spawn_local(async move {
            sleep_until(run.began + Duration::from_secs_f64(run.order.apart_ms * index as f64 / 1_000.0)).await;
            run.caller(line).await;
        });
    }
    while tasks.join_next().await.is_some() {}
    // What was begun in time and ended later counts, and so does the time it took.
    let over = run.began.elapsed().saturating_sub(warm);
    let figures = run.figures.take();
    Ok(figures.told(over))
}

impl Run {
    async fn caller(&self, mut line: Line) {
        while let Some(number) = self.turn() {
            let due = self.due(number);
            if let Some(due) = due {
                sleep_until(due).await;
            }
            // A call at a steady rate is late from when it was due, not from when a connection was free for it.
            let at = due.unwrap_or_else(Instant::now);
            match self.once(&mut line, number).await {
                Ok(status) if self.began.elapsed().as_secs_f64() >= self.order.warm_seconds => {
                    self.figures.borrow_mut().took(status, at.elapsed());
                }
                Ok(_) => {}
                Err(_) => {
                    self.figures.borrow_mut().broke();
                    match Line::connect(&self.order.to).await {
                        Ok(another) => line = another,
                        Err(_) => return,
                    }
                }
            }
        }
    }

    /// The next call's number, if there is to be another.
    fn turn(&self) -> Option<u64> {
        let mut next = self.next.borrow_mut();
        let over = match self.order.rate {
            Some(rate) => *next as f64 / rate >= self.order.seconds,
            None => self.began.elapsed().as_secs_f64() >= self.order.seconds,
        };
        if over || *next >= self.order.calls {
            return None;
        }
        *next += 1;
        Some(*next)
    }

    fn due(&self, number: u64) -> Option<Instant> {
        let rate = self.order.rate?;
        Some(self.began + Duration::from_secs_f64((number - 1) as f64 / rate))
    }

    async fn once(&self, line: &mut Line, number: u64) -> io::Result<u16> {
        line.send(&self.request(number)).await?;
        let answer = line.message(|_| ()).await?;
        answer.map(|(head, ())| head.status).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn request(&self, number: u64) -> Vec<u8> {
        let Order { to, target, headers, keys, .. } = &self.order;
        let key = (number as usize - 1).checked_rem(keys.len()).and_then(|turn| keys.get(turn));
        let key = key.map(|key| ("Sluice-Key".to_owned(), key.clone()));
        request(to, target, headers.iter().chain(&key), number)
    }
}
