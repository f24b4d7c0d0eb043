//! When the live status of a tenant is pushed to its sockets: whenever it has changed, at most twice a second.

/// The least time between two documents on one socket, milliseconds: twice a second.
const APART_MS: i64 = 500;

/// How often the document is looked at without a call, milliseconds: windows empty and pauses end by themselves.
const LOOK_MS: i64 = 1_000;

/// How long without a change until nobody looks any more and the object may sleep, milliseconds: longer than a minute's window.
const LOOK_FOR_MS: i64 = 120_000;

/// The pushes to the sockets of one object. Moments are Unix ms. A method that returns one has the timer set to it.
#[derive(Debug)]
pub struct LiveFeed {
    /// There may be sockets.
    open: bool,
    /// When the last document was pushed.
    pushed_at: i64,
    /// When the document last changed, or a socket came.
    changed_at: i64,
    /// A push is under way: asking for the status is an event too, and must not ask for the next push.
    pushing: bool,
    /// What the timer is set to.
    look_at: i64,
    /// The last document, without the time it was written at.
    last: String,
}

/// What is done when it is time to push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushStep {
    /// Nothing: there is nobody to push to, or it is too soon and the timer rings by itself.
    Nothing,
    /// The timer is set to this moment: it is too soon.
    Later(i64),
    /// The document is asked for, and pushed if [`LiveFeed::is_news`] says so; then the push is [ended](LiveFeed::end_push).
    Push,
}

impl LiveFeed {
    /// A feed for the sockets that an object still has when it wakes. `open`: it has some.
    pub const fn new(open: bool) -> Self {
        Self { open, pushed_at: 0, changed_at: 0, pushing: false, look_at: i64::MAX, last: String::new() }
    }

    /// Notes that the document may have changed.
    pub fn changed(&mut self) -> Option<i64> {
        if self.open && !self.pushing { self.look_by(self.may_push_at()) } else { None }
    }

    /// Whether a socket that comes gets its first document at once, which then counts as a push, so that none follows too soon.
    /// If not, it comes with the push that is due.
    pub fn is_first_sent_at_once(&mut self, now: i64) -> bool {
        let at_once = now >= self.may_push_at();
        if at_once {
            self.pushed_at = now;
        } else {
            self.last.clear();
        }
        at_once
    }

    /// Notes that a socket was taken in, which got its first document at once or did not.
    pub fn took_in(&mut self, at_once: bool, now: i64) -> Option<i64> {
        self.open = true;
        self.changed_at = now;
        self.look_by(if at_once { now.saturating_add(LOOK_MS) } else { self.may_push_at() })
    }

    /// The timer has rung. `has_sockets`: there are some.
    pub fn begin_push(&mut self, has_sockets: bool, now: i64) -> PushStep {
        self.look_at = i64::MAX;
        self.open = has_sockets;
        if !has_sockets {
            return PushStep::Nothing;
        }
        // The push was asked for before a socket came that has just had its first document.
        if now < self.may_push_at() {
            return self.look_by(self.may_push_at()).map_or(PushStep::Nothing, PushStep::Later);
        }
        self.pushing = true;
        PushStep::Push
    }

    /// Whether a document is news, but for the time it was written at. It is then the last one. `now`: when the push began.
    pub fn is_news(&mut self, document: &str, now: i64) -> bool {
        let document = without_time(document);
        if self.last == document {
            return false;
        }
        self.last = document;
        self.changed_at = now;
        true
    }

    /// Notes when a document has gone out to all sockets.
    pub fn pushed(&mut self, at: i64) {
        self.pushed_at = at;
    }

    /// Notes that the push which began at this moment is over.
    pub fn end_push(&mut self, now: i64) -> Option<i64> {
        self.pushing = false;
        let looks = now.saturating_sub(self.changed_at) < LOOK_FOR_MS;
        if looks { self.look_by(now.saturating_add(LOOK_MS)) } else { None }
    }

    /// From when on there may be a push.
    fn may_push_at(&self) -> i64 {
        self.pushed_at.saturating_add(APART_MS)
    }

    /// Sees to it that a push is tried by then.
    fn look_by(&mut self, at: i64) -> Option<i64> {
        if at >= self.look_at {
            return None;
        }
        self.look_at = at;
        Some(at)
    }
}

/// The document without the value of its first `at`.
fn without_time(document: &str) -> String {
    let Some((before, after)) = document.split_once("\"at\":\"") else { return document.to_owned() };
    let (_, after) = after.split_once('"').unwrap_or(("", after));
    format!("{before}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_781_524_800_000;

    /// A feed whose only socket has had its first document at [`NOW`].
    fn watched() -> LiveFeed {
        let mut feed = LiveFeed::new(false);
        assert!(feed.is_first_sent_at_once(NOW));
        assert_eq!(feed.took_in(true, NOW), Some(NOW + 1_000));
        feed
    }

    /// Pushes a document; whether it went out.
    fn push(feed: &mut LiveFeed, document: &str, now: i64) -> bool {
        assert_eq!(feed.begin_push(true, now), PushStep::Push);
        assert_eq!(feed.changed(), None, "asking for the status asks for no push");
        let is_news = feed.is_news(document, now);
        if is_news {
            feed.pushed(now);
        }
        is_news
    }

    #[test]
    fn without_sockets_nothing_is_pushed() {
        let mut feed = LiveFeed::new(false);
        assert_eq!(feed.changed(), None);
        let mut feed = watched();
        assert_eq!(feed.begin_push(false, NOW + 1_000), PushStep::Nothing);
        assert_eq!(feed.changed(), None, "the last socket has gone");
        assert_eq!(LiveFeed::new(true).changed(), Some(500), "sockets outlive the object's memory");
    }

    #[test]
    fn a_change_is_pushed_half_a_second_after_the_last_document_and_one_push_is_due_at_a_time() {
        let mut feed = watched();
        assert_eq!(feed.changed(), Some(NOW + 500));
        assert_eq!(feed.changed(), None);
        assert!(push(&mut feed, r#"{"at":"1","calls":1}"#, NOW + 500));
        assert_eq!(feed.end_push(NOW + 500), Some(NOW + 1_500));
        assert_eq!(feed.changed(), Some(NOW + 1_000));
    }

    #[test]
    fn a_document_that_differs_in_its_time_alone_is_no_news() {
        let mut feed = watched();
        assert!(push(&mut feed, r#"{"at":"1","calls":1}"#, NOW + 1_000));
        feed.end_push(NOW + 1_000);
        assert!(!push(&mut feed, r#"{"at":"2","calls":1}"#, NOW + 2_000));
        feed.end_push(NOW + 2_000);
        assert!(push(&mut feed, r#"{"at":"3","calls":2}"#, NOW + 3_000));
    }

    #[test]
    fn a_socket_that_comes_right_after_a_push_gets_the_document_with_the_next_one() {
        let mut feed = watched();
        assert!(push(&mut feed, r#"{"at":"1"}"#, NOW + 1_000));
        feed.end_push(NOW + 1_000);
        assert!(!feed.is_first_sent_at_once(NOW + 1_499));
        assert_eq!(feed.took_in(false, NOW + 1_499), Some(NOW + 1_500));
        assert!(push(&mut feed, r#"{"at":"2"}"#, NOW + 1_500), "it is news to the one that came");
    }

    #[test]
    fn a_push_that_is_due_before_a_socket_has_had_its_first_document_for_half_a_second_is_put_off() {
        let mut feed = watched();
        feed.changed();
        assert!(feed.is_first_sent_at_once(NOW + 500));
        feed.took_in(true, NOW + 500);
        assert_eq!(feed.begin_push(true, NOW + 510), PushStep::Later(NOW + 1_000));
        assert_eq!(feed.begin_push(true, NOW + 1_000), PushStep::Push);
    }

    #[test]
    fn two_minutes_without_a_change_end_the_looking() {
        let mut feed = watched();
        assert!(push(&mut feed, "{}", NOW + 1_000));
        assert_eq!(feed.end_push(NOW + 1_000), Some(NOW + 2_000));
        assert!(!push(&mut feed, "{}", NOW + 120_999));
        assert_eq!(feed.end_push(NOW + 120_999), Some(NOW + 121_999));
        assert!(!push(&mut feed, "{}", NOW + 121_999));
        assert_eq!(feed.end_push(NOW + 121_999), None);
        assert_eq!(feed.changed(), Some(NOW + 1_500), "a call has it looked at again");
    }
}
