//! Calls to several subjects in turn, one at a time, at a steady rate. What slows the machine for a
//! while slows all of them alike, so that their times can be compared to a few hundredths of a
//! millisecond. The order of each round is random, so that no subject always follows the same
//! other.

use crate::wire::{Connection, request};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Which subjects are called, and how often.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    subjects: Vec<Subject>,
    /// The number of rounds. In each, every subject is called once, in random order.
    rounds: usize,
    /// The rate in calls a second, of all subjects together.
    rate: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    /// Host and port.
    to: String,
    /// Path and query, in which `{n}` stands for the call's number, from 1.
    target: String,
    /// The headers of every request.
    headers: Vec<(String, String)>,
}

/// Makes the calls, and returns how long those to each subject took, microseconds, in order. It
/// fails if an answer is not 200.
///
/// A call's time begins when it is sent, and not when it was due: the timer is late by up to a
/// millisecond, as much as a call takes.
pub async fn call(order: Order) -> io::Result<Value> {
    let mut connections = Vec::new();
    for subject in &order.subjects {
        connections.push((subject, Connection::connect(&subject.to).await?, Vec::new()));
    }
    let apart = Duration::from_secs_f64(order.rate.recip());
    let mut due = Instant::now();
    // The orders are the same in each run.
    let mut random = fastrand::Rng::with_seed(1);
    let mut turns: Vec<usize> = (0..connections.len()).collect();
    for _ in 0..order.rounds {
        random.shuffle(&mut turns);
        for turn in &turns {
            let Some((subject, connection, took)) = connections.get_mut(*turn) else { continue };
            due += apart;
            sleep_until(due).await;
            let request = request(&subject.to, &subject.target, &subject.headers, took.len() as u64 + 1);
            let began = Instant::now();
            connection.send(&request).await?;
            let answer = connection.message(|_| ()).await?;
            took.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
            let status = answer.map_or(0, |(head, ())| head.status);
            if status != 200 {
                return Err(io::Error::other(format!("{} answered {status}", subject.to)));
            }
        }
    }
    Ok(json!(connections.into_iter().map(|(_, _, took)| took).collect::<Vec<_>>()))
}
