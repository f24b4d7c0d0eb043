//! The vendor: when calls reached it, how long it worked on them, and what it executed.

use std::collections::BTreeMap;

/// How many calls a connection with a window may make in two seconds.
const WINDOW: usize = 6;
const WINDOW_MS: i64 = 2_000;
/// How many calls a connection with slots may make at once.
const SLOTS: usize = 2;

#[derive(Default)]
pub struct Vendor {
    /// By connection: when each call came, and when the vendor was done with it.
    calls: BTreeMap<&'static str, Vec<(i64, i64)>>,
    /// The mark below which access tokens are refused.
    pub token_from: u64,
}

impl Vendor {
    /// Adds a call; returns its number.
    pub fn comes(&mut self, connection: &'static str, at: i64, until: i64) -> usize {
        let calls = self.calls.entry(connection).or_default();
        calls.push((at, until));
        calls.len() - 1
    }

    /// Sets when the vendor is done with a call.
    pub fn is_done(&mut self, connection: &'static str, call: usize, at: i64) {
        self.calls.get_mut(connection).unwrap()[call].1 = at;
    }

    /// Checks that no limit was exceeded.
    pub fn check(&self) {
        for connection in ["window", "token"] {
            let mut came: Vec<i64> = self.calls.get(connection).into_iter().flatten().map(|(at, _)| *at).collect();
            came.sort_unstable();
            for calls in came.windows(WINDOW + 1) {
                let within = calls[WINDOW] - calls[0];
                assert!(within >= WINDOW_MS, "{} calls within {within} ms on {connection}: {calls:?}", WINDOW + 1);
            }
        }
        let at_work = self.calls.get("slots").map(Vec::as_slice).unwrap_or_default();
        for (at, _) in at_work {
            let n = at_work.iter().filter(|(from, until)| from <= at && at < until).count();
            assert!(n <= SLOTS, "{n} calls at once at {at}");
        }
    }
}
