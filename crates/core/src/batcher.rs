//! Batch what is to be told to one and the same, so that it is told at once: whoever comes first waits for others for a moment,
//! and tells for all.
//!
//! What is gathered is plain data, and whoever waits may be gone before the moment has come; who comes next then waits in its place.

/// How long the first call of a batch waits for others, milliseconds: about what the platform takes to ask an object.
pub const GATHER_MS: i64 = 10;

/// So long after that, milliseconds, the call that waited is taken to be gone.
const LATE_MS: i64 = 100;

/// A batch of this size is sent without waiting for more.
const MOST: usize = 256;

/// The names of a tenant and of its connection.
pub type ConnectionName = (String, String);

/// The batches that wait to be sent: few at any moment.
#[derive(Debug)]
pub struct Batcher<T>(Vec<Batch<T>>);

#[derive(Debug)]
struct Batch<T> {
    whose: ConnectionName,
    items: Vec<T>,
    /// When it is sent, Unix ms.
    at: i64,
}

/// What a call is to do that has something to send.
#[derive(Debug, PartialEq, Eq)]
pub enum BatchAction<T> {
    /// Nothing: another call sends it.
    Rest,
    /// Wait for [`GATHER_MS`], and send what [`Batcher::take`] gives.
    Wait,
    /// Send this.
    Tell(Vec<T>),
}

impl<T> Batcher<T> {
    /// Nothing waits.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Puts something to what waits; told now, with all that waits, if it is `hurried`. `now`: Unix ms.
    pub fn join(&mut self, whose: &ConnectionName, mut items: Vec<T>, hurried: bool, now: i64) -> BatchAction<T> {
        let mut awaited = None;
        if let Some(mut gathering) = self.remove(whose) {
            gathering.items.append(&mut items);
            items = gathering.items;
            awaited = Some(gathering.at).filter(|at| now <= at.saturating_add(LATE_MS));
        }
        if hurried || items.len() >= MOST {
            return BatchAction::Tell(items);
        }
        let at = awaited.unwrap_or_else(|| now.saturating_add(GATHER_MS));
        self.0.push(Batch { whose: whose.clone(), items, at });
        if awaited.is_some() { BatchAction::Rest } else { BatchAction::Wait }
    }

    /// What has been gathered; nothing if another has told it.
    pub fn take(&mut self, whose: &ConnectionName) -> Vec<T> {
        self.remove(whose).map(|gathering| gathering.items).unwrap_or_default()
    }

    fn remove(&mut self, whose: &ConnectionName) -> Option<Batch<T>> {
        let at = self.0.iter().position(|gathering| gathering.whose == *whose)?;
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
        assert_eq!(waiting.join(&crm(), vec![4], false, 1_011), BatchAction::Wait, "what comes later is told later");
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
            let (mut waiting, mut now, mut next, mut told) = (Batcher::new(), 0, 0, Vec::new());
            // When those that wait will tell, if they are not gone.
            let mut waits: Vec<i64> = Vec::new();
            for (pause, n, hurried, dies) in steps {
                now += pause;
                waits.retain(|at| {
                    if *at <= now {
                        told.extend(waiting.take(&crm()));
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
                        told.extend(all);
                    }
                }
            }
            if let BatchAction::Tell(all) = waiting.join(&crm(), vec![next], true, now) {
                told.extend(all);
            }
            told.sort_unstable();
            prop_assert_eq!(told, (0..=next).collect::<Vec<_>>());
        }
    }
}
