//! Callers that keep calling.

use crate::answer::Answer;
use crate::client::Ask;
use crate::tenant::Tenant;
use sluice_mock_upstreams::{Handle, Latency};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

/// A call of a load, timed from its first byte sent.
#[derive(Debug)]
pub struct Done {
    /// When it was sent, measured from the load's start.
    pub at: Duration,
    /// When it ended, measured from the load's start.
    pub ended: Duration,
    /// Its answer, or why there was none.
    pub answer: Result<Answer, String>,
}

impl Done {
    /// Whether the vendor answered it with 200.
    pub fn good(&self) -> bool {
        self.answer.as_ref().is_ok_and(|answer| answer.status == 200 && answer.sluice_reason().is_none())
    }
}

/// Lets this many callers repeat a request for a time, each one call at a time. The last calls may
/// end later.
pub async fn saturate(to: SocketAddr, ask: &Ask, callers: usize, length: Duration) -> Vec<Done> {
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let mut ask = ask.clone();
        ask.target = ask.target.replace("{caller}", &caller.to_string());
        tasks.spawn(async move {
            let mut done = Vec::new();
            while began.elapsed() < length {
                let at = began.elapsed();
                let answer = ask.try_send(to).await.map_err(|fault| fault.to_string());
                if answer.is_err() {
                    // The instance is down: do not spin.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                done.push(Done { at, ended: began.elapsed(), answer });
            }
            done
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

/// Sends all requests at once, on connections made before, and waits for all answers.
pub async fn at_once(to: SocketAddr, asks: Vec<Ask>) -> Vec<Answer> {
    let mut opens = Vec::new();
    for _ in &asks {
        opens.push(crate::client::Open::connect(to).await.expect("a connection"));
    }
    let mut tasks = JoinSet::new();
    for (index, (mut open, ask)) in opens.into_iter().zip(asks).enumerate() {
        tasks.spawn(async move {
            open.start(&ask).await.expect("sent");
            open.head().await.expect("an answer");
            (index, open.rest().await.expect("an answer"))
        });
    }
    let mut answers = tasks.join_all().await;
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// Makes a call that stays at the vendor for a time, and waits until it is there. Where a
/// connection has one slot, later calls wait until it ends, and then go without delay.
pub async fn hold(tenant: &Tenant, vendor: &Handle, ask: &Ask, length: Duration) -> JoinHandle<Answer> {
    let ms = u64::try_from(length.as_millis()).expect("some seconds");
    vendor.change(|spec| spec.latency = Latency::Fixed { ms }).expect("a vendor that runs");
    let holding = tokio::spawn({
        let (to, ask) = (tenant.to(), ask.clone());
        async move { ask.send(to).await }
    });
    while vendor.in_service() == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    vendor.change(|spec| spec.latency = Latency::None).expect("a vendor that runs");
    holding
}

/// Callers that may wait: each sends its request once, and its answer is kept.
#[derive(Debug, Default)]
pub struct Patient {
    tasks: JoinSet<Answer>,
    ended: Vec<Answer>,
}

impl Patient {
    /// Adds a caller.
    pub fn send(&mut self, tenant: &Tenant, ask: Ask) {
        let to = tenant.to();
        self.tasks.spawn(async move { ask.send(to).await });
    }

    /// Waits until this many have an answer; returns the answers in the order in which they came.
    pub async fn until(&mut self, answers: usize) -> &[Answer] {
        while self.ended.len() < answers {
            let next = self.tasks.join_next().await.expect("a caller that still waits");
            self.ended.push(next.expect("a caller that does not panic"));
        }
        &self.ended
    }

    /// Waits for all answers; returns them in the order in which they came.
    pub async fn all(mut self) -> Vec<Answer> {
        self.until(self.ended.len() + self.tasks.len()).await;
        self.ended
    }
}
