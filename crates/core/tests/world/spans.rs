//! Counts over spans of time: instants in windows, the level of a bucket, concurrent calls.

/// Instants in order.
#[derive(Default)]
pub struct Instants(Vec<i64>);

impl Instants {
    pub fn insert(&mut self, at: i64) {
        let place = self.0.partition_point(|other| *other <= at);
        self.0.insert(place, at);
    }

    /// Returns the most that are in one span of that length which contains `at`. It is exact where
    /// it is over `enough`. A span's end is not part of it.
    pub fn most_around(&self, at: i64, span: i64, enough: u64) -> u64 {
        let from = self.0.partition_point(|other| *other <= at - span);
        let to = self.0.partition_point(|other| *other < at + span);
        if (to - from) as u64 <= enough {
            return (to - from) as u64;
        }
        let (mut first, mut most) = (from, 0);
        for last in from..to {
            while self.0[last] - self.0[first] >= span {
                first += 1;
            }
            if self.0[first] <= at && self.0[last] >= at {
                most = most.max(last - first + 1);
            }
        }
        // In a span that ends before the last instant, the instants at its beginning may be earlier
        // than `at` alone.
        most as u64
    }
}

/// A bucket that a call fills at its arrival. A call that finds it full is turned away, and fills
/// nothing.
pub struct Bucket {
    rate_micro: i128,
    most: i128,
    /// The level in millionths of a call, and when it was measured.
    level: i128,
    at: i64,
    /// Arrivals before which later grants may still arrive.
    ahead: Vec<i64>,
}

impl Bucket {
    pub fn new(rate_micro: u64, burst: u64) -> Self {
        // This much is lost by truncating to whole millionths, twice.
        let most = i128::from(burst) * 1_000_000 + 2;
        Self { rate_micro: i128::from(rate_micro), most, level: 0, at: i64::MIN / 4, ahead: Vec::new() }
    }

    /// Adds a call that was granted and arrived at these times; grants come in order. Returns
    /// whether it, or a call that was granted before it and arrives later, finds the bucket full
    /// because of it.
    pub fn add(&mut self, granted: i64, arrived: i64) -> bool {
        self.ahead.sort_unstable();
        let settled = self.ahead.partition_point(|at| *at < granted);
        for at in self.ahead.drain(..settled).collect::<Vec<_>>() {
            (self.level, self.at, _) = self.step(self.level, self.at, at);
        }
        let before = self.turned_away(None);
        let with = self.turned_away(Some(arrived));
        self.ahead.push(arrived);
        with > before
    }

    fn step(&self, level: i128, since: i64, at: i64) -> (i128, i64, bool) {
        let level = (level - i128::from(at - since) * self.rate_micro / 1_000_000).max(0);
        if level + 1_000_000 > self.most { (level, at, true) } else { (level + 1_000_000, at, false) }
    }

    fn turned_away(&self, more: Option<i64>) -> usize {
        let mut ahead = self.ahead.clone();
        ahead.extend(more);
        ahead.sort_unstable();
        let (mut level, mut since, mut n) = (self.level, self.at, 0);
        for at in ahead {
            let away;
            (level, since, away) = self.step(level, since, at);
            n += usize::from(away);
        }
        n
    }
}

/// Calls by the time in which they run.
#[derive(Default)]
pub struct Running(Vec<(i64, i64)>);

impl Running {
    /// Adds a call. Grants come in order, and a call that has ended by a grant is not asked for
    /// again.
    pub fn add(&mut self, granted: i64, from: i64, to: i64) {
        self.0.retain(|(_, ended)| *ended > granted);
        self.0.push((from, to));
    }

    /// Returns the most calls that run at once at some instant of that span.
    pub fn most_during(&self, from: i64, to: i64) -> u64 {
        let mut edges: Vec<(i64, i32)> = Vec::new();
        for (begins, ends) in self.0.iter().filter(|(begins, ends)| *begins < to && *ends > from) {
            edges.push(((*begins).max(from), 1));
            edges.push((*ends, -1));
        }
        edges.sort_unstable();
        let (mut n, mut most) = (0_i64, 0);
        for (_, step) in edges {
            n += i64::from(step);
            most = most.max(n);
        }
        most as u64
    }

    /// Returns how many calls began before an instant and run at another.
    pub fn older(&self, began: i64, runs_at: i64) -> u64 {
        self.0.iter().filter(|(from, to)| *from < began && *to > runs_at).count() as u64
    }
}

#[test]
fn instants_are_counted_in_the_fullest_span() {
    let mut instants = Instants::default();
    [0, 10, 20, 30, 40].into_iter().for_each(|at| instants.insert(at));
    assert_eq!(instants.most_around(20, 20, 1), 2);
    assert_eq!(instants.most_around(20, 21, 1), 3);
    assert_eq!(instants.most_around(0, 21, 1), 3);
    assert_eq!(instants.most_around(40, 1, 0), 1);
}

#[test]
fn a_bucket_overflows_by_the_call_that_is_too_many() {
    let mut bucket = Bucket::new(1_000_000, 2);
    assert!(!bucket.add(0, 5) && !bucket.add(0, 4));
    assert!(bucket.add(1, 6));
    assert!(!bucket.add(2_000_000, 2_000_001));
    // It was granted later and arrives first, and fills the bucket for one that was granted before.
    let mut bucket = Bucket::new(1_000_000, 1);
    assert!(!bucket.add(0, 100) && bucket.add(1, 50));
}

#[test]
fn calls_run_at_once() {
    let mut running = Running::default();
    running.add(0, 0, 10);
    running.add(1, 5, 15);
    running.add(2, 10, 20);
    assert_eq!((running.most_during(0, 20), running.most_during(11, 12), running.older(6, 12)), (2, 2, 1));
}
