//! Callers that keep calling.

use crate::answer::Answer;
use crate::client::Ask;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// One call of a load, from its first byte sent.
#[derive(Debug)]
pub struct Done {
    /// When it was sent, after the load's start.
    pub at: Duration,
    /// When it ended, after the load's start.
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

/// So many callers repeat a request, each one call at a time, for so long; the last ones end after.
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
