//! Calls to several in turn, one at a time, at a steady rate: what slows the machine for a while slows all of them alike, so that their
//! times can be compared to a few hundredths of a millisecond.
//! Each round has an order of its own, at random, so that none comes always after the same other.

use crate::wire::{Line, request};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Whom to call, and how often.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    subjects: Vec<Subject>,
    /// In each, every subject is called once, in an order at random.
    rounds: usize,
    /// Calls a second, to all of them together.
    rate: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    /// Host and port.
    to: String,
    /// Path and query. `{n}` stands for the call's number, from 1.
    target: String,
    /// On every request.
    headers: Vec<(String, String)>,
}

/// Makes the calls, and tells how long those to each subject took, microseconds, in their order. All must be answered with 200.
///
/// A call's time begins when it goes out, and not when it was due: the timer here is late by up to a millisecond, as much as a call takes.
pub async fn call(order: Order) -> io::Result<Value> {
    let mut lines = Vec::new();
    for subject in &order.subjects {
        lines.push((subject, Line::connect(&subject.to).await?, Vec::new()));
    }
    let apart = Duration::from_secs_f64(order.rate.recip());
    let mut due = Instant::now();
    // The same orders in each run.
    let mut random = fastrand::Rng::with_seed(1);
    let mut turns: Vec<usize> = (0..lines.len()).collect();
    for _ in 0..order.rounds {
        random.shuffle(&mut turns);
        for turn in &turns {
            let Some((subject, line, took)) = lines.get_mut(*turn) else { continue };
            due += apart;
            sleep_until(due).await;
            let request = request(&subject.to, &subject.target, &subject.headers, took.len() as u64 + 1);
            let began = Instant::now();
            line.send(&request).await?;
            let answer = line.message(|_| ()).await?;
            took.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
            let status = answer.map_or(0, |(head, ())| head.status);
            if status != 200 {
                return Err(io::Error::other(format!("{} answered {status}", subject.to)));
            }
        }
    }
    Ok(json!(lines.into_iter().map(|(_, _, took)| took).collect::<Vec<_>>()))
}
