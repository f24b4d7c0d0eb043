//! Joins items for the same receiver into one message: the first call waits a moment for others and
//! then sends for all of them.
//!
//! A batch is plain data. The call that waits may have been dropped before it sends; the next one
//! that comes then waits in its place.

/// How long the first call of a batch waits for others, milliseconds. Asking an object takes about
/// as long.
pub const GATHER_MS: i64 = 10;

/// The waiting call is taken to be gone when it is this late, milliseconds.
const LATE_MS: i64 = 100;

/// A batch of this many items is sent without waiting for more.
const MOST: usize = 256;

/// The names of a tenant and of one of its connections.
pub type ConnectionName = (String, String);

/// The batches that wait to be sent. There are few at any moment.
#[derive(Debug)]
pub struct Batcher<T>(Vec<Batch<T>>);

#[derive(Debug)]
struct Batch<T> {
    connection: ConnectionName,
    items: Vec<T>,
    /// When the waiting call sends the batch, Unix ms.
    at: i64,
}

/// What a call that has something to send must do.
#[derive(Debug, PartialEq, Eq)]
pub enum BatchAction<T> {
    /// It does nothing: another call sends the items.
    Rest,
    /// It waits for [`GATHER_MS`] and then sends what [`Batcher::take`] returns.
    Wait,
    /// It sends these items now.
    Tell(Vec<T>),
}

impl<T> Batcher<T> {
    /// Makes a batcher in which nothing waits.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds items to the batch of a connection. If they are `hurried` or the batch is full, the
    /// whole batch is returned to be sent now. `now`: Unix ms.
    pub fn join(&mut self, connection: &ConnectionName, mut items: Vec<T>, hurried: bool, now: i64) -> BatchAction<T> {
        let mut awaited = None;
        if let Some(mut batch) = self.remove(connection) {
            batch.items.append(&mut items);
            items = batch.items;
            awaited = Some(batch.at).filter(|at| now <= at.saturating_add(LATE_MS));
        }
        if hurried || items.len() >= MOST {
            return BatchAction::Tell(items);
        }
        let at = awaited.unwrap_or_else(|| now.saturating_add(GATHER_MS));
        self.0.push(Batch { connection: connection.clone(), items, at });
        if awaited.is_some() { BatchAction::Rest } else { BatchAction::Wait }
    }

    /// Takes the batch of a connection. It is empty if another call has sent it.
    pub fn take(&mut self, connection: &ConnectionName) -> Vec<T> {
        self.remove(connection).map(|batch| batch.items).unwrap_or_default()
    }

    fn remove(&mut self, connection: &ConnectionName) -> Option<Batch<T>> {
        let at = self.0.iter().position(|batch| batch.connection == *connection)?;
        Some(self.0.swap_remove(at))
    }
}

impl<T> Default for Batcher<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn crm() -> ConnectionName {
        ("acme".to_owned(), "crm".to_owned())
    }

    #[test]
    fn the_first_waits_and_tells_for_all_that_came_meanwhile() {
        let mut waiting = Batcher::new();
        assert_eq!(waiting.join(&crm(), vec![1], false, 1_000), BatchAction::Wait);
        assert_eq!(waiting.join(&crm(), vec![2, 3], false, 1_004), BatchAction::Rest);
        assert_eq!(waiting.take(&crm()), [1, 2, 3]);
        assert_eq!(waiting.join(&crm(), vec![4], false, 1_011), BatchAction::Wait, "what comes later is sent later");
    }

    #[test]
    fn one_that_is_hurried_takes_those_along_that_wait() {
        let mut waiting = Batcher::new();
        assert_eq!(waiting.join(&crm(), vec![1], true, 1_000), BatchAction::Tell(vec![1]));
        assert_eq!(waiting.join(&crm(), vec![2], false, 1_000), BatchAction::Wait);
        assert_eq!(waiting.join(&crm(), vec![3], true, 1_001), BatchAction::Tell(vec![2, 3]));
        assert!(waiting.take(&crm()).is_empty(), "who waited has nothing left to tell");
    }

    #[test]
    fn each_connection_gathers_for_itself() {
        let mut waiting = Batcher::new();
        let mail = ("acme".to_owned(), "mail".to_owned());
        assert_eq!(waiting.join(&crm(), vec![1], false, 1_000), BatchAction::Wait);
        assert_eq!(waiting.join(&mail, vec![2], false, 1_000), BatchAction::Wait);
        assert_eq!(waiting.take(&mail), [2]);
        assert_eq!(waiting.take(&crm()), [1]);
    }

    #[test]
    fn when_the_one_that_waits_is_gone_the_next_waits_in_its_place() {
        let mut waiting = Batcher::new();
        assert_eq!(waiting.join(&crm(), vec![1], false, 1_000), BatchAction::Wait);
        let late = 1_000 + GATHER_MS + LATE_MS;
        assert_eq!(waiting.join(&crm(), vec![2], false, late), BatchAction::Rest, "it may only be late");
        assert_eq!(waiting.join(&crm(), vec![3], false, late + 1), BatchAction::Wait);
        assert_eq!(waiting.take(&crm()), [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn everything_is_told_once_as_long_as_somebody_comes(
            steps in prop::collection::vec((0_i64..400, 1_usize..40, any::<bool>(), any::<bool>()), 1..200),
        ) {
            let (mut waiting, mut now, mut next, mut sent) = (Batcher::new(), 0, 0, Vec::new());
            // By this time the waiting call sends, unless it is gone.
            let mut waits: Vec<i64> = Vec::new();
            for (pause, n, hurried, dies) in steps {
                now += pause;
                waits.retain(|at| {
                    if *at <= now {
                        sent.extend(waiting.take(&crm()));
                    }
                    *at > now
                });
                let items: Vec<usize> = (next..next + n).collect();
                next += n;
                match waiting.join(&crm(), items, hurried, now) {
                    BatchAction::Rest => {}
                    BatchAction::Wait if dies => {}
                    BatchAction::Wait => waits.push(now + GATHER_MS),
                    BatchAction::Tell(all) => {
                        prop_assert!(all.len() < MOST + 40, "{} at once", all.len());
                        sent.extend(all);
                    }
                }
            }
            if let BatchAction::Tell(all) = waiting.join(&crm(), vec![next], true, now) {
                sent.extend(all);
            }
            sent.sort_unstable();
            prop_assert_eq!(sent, (0..=next).collect::<Vec<_>>());
        }
    }
}
