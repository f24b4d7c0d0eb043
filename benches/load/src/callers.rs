//! Callers of one subject: in a closed loop, where each makes one call at a time, or at a steady
//! rate that does not depend on the answers.

use crate::figures::Figures;
use crate::wire::{Connection, request};
use serde::Deserialize;
use serde_json::Value;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Describes what the callers call, and how.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Host and port.
    to: String,
    /// Path and query, in which `{n}` stands for the call's number, from 1.
    target: String,
    /// The headers of every request.
    #[serde(default)]
    headers: Vec<(String, String)>,
    /// The keys, of which the calls send one after the other in `Sluice-Key`.
    #[serde(default)]
    keys: Vec<String>,
    /// The number of connections; each has one call at a time.
    callers: usize,
    /// For how long calls are begun, seconds.
    #[serde(default = "forever")]
    seconds: f64,
    /// The most calls that are made.
    #[serde(default = "endless")]
    calls: u64,
    /// Calls that end before this time do not count, seconds.
    #[serde(default)]
    warm_seconds: f64,
    /// The rate in calls a second, at even distances. Without it each caller makes its next call as
    /// soon as it has an answer.
    #[serde(default)]
    rate: Option<f64>,
    /// The time between the first calls of two callers, so that they come in order, milliseconds.
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

/// Makes the calls, and returns their figures as JSON.
pub async fn call(order: Order) -> io::Result<Value> {
    let callers = order.callers.max(1);
    let mut connections = Vec::new();
    for _ in 0..callers {
        connections.push(Connection::connect(&order.to).await?);
    }
    let warm = Duration::from_secs_f64(order.warm_seconds);
    let run = Rc::new(Run { order, began: Instant::now(), figures: RefCell::default(), next: RefCell::new(0) });
    let mut tasks = JoinSet::new();
    for (index, connection) in connections.into_iter().enumerate() {
        let run = Rc::clone(&run);
        tasks.spawn_local(async move {
            sleep_until(run.began + Duration::from_secs_f64(run.order.apart_ms * index as f64 / 1_000.0)).await;
            run.caller(connection).await;
        });
    }
    while tasks.join_next().await.is_some() {}
    // Calls that were begun in time and ended later count, and so does the time that they took.
    let over = run.began.elapsed().saturating_sub(warm);
    let figures = run.figures.take();
    Ok(figures.into_json(over))
}

impl Run {
    async fn caller(&self, mut connection: Connection) {
        while let Some(number) = self.next_number() {
            let due = self.due(number);
            if let Some(due) = due {
                sleep_until(due).await;
            }
            // At a steady rate the time of a call begins when it was due, not when a connection was
            // free.
            let at = due.unwrap_or_else(Instant::now);
            match self.call(&mut connection, number).await {
                Ok(status) if self.began.elapsed().as_secs_f64() >= self.order.warm_seconds => {
                    self.figures.borrow_mut().add(status, at.elapsed());
                }
                Ok(_) => {}
                Err(_) => {
                    self.figures.borrow_mut().add_broken();
                    match Connection::connect(&self.order.to).await {
                        Ok(another) => connection = another,
                        Err(_) => return,
                    }
                }
            }
        }
    }

    /// Returns the number of the next call, if there is one.
    fn next_number(&self) -> Option<u64> {
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

    /// Returns when a call is due, if there is a rate.
    fn due(&self, number: u64) -> Option<Instant> {
        let rate = self.order.rate?;
        Some(self.began + Duration::from_secs_f64((number - 1) as f64 / rate))
    }

    /// Makes a call, and returns its status.
    async fn call(&self, connection: &mut Connection, number: u64) -> io::Result<u16> {
        connection.send(&self.request(number)).await?;
        let answer = connection.message(|_| ()).await?;
        answer.map(|(head, ())| head.status).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn request(&self, number: u64) -> Vec<u8> {
        let Order { to, target, headers, keys, .. } = &self.order;
        let key = (number as usize - 1).checked_rem(keys.len()).and_then(|turn| keys.get(turn));
        let key = key.map(|key| ("Sluice-Key".to_owned(), key.clone()));
        request(to, target, headers.iter().chain(&key), number)
    }
}
