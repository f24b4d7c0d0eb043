//! Some refusals concern one route alone. An edge in front of a vendor may refuse an address or a
//! body each time it comes, with the answer that it gives for too many calls (Mailchimp's: 403
//! without a JSON body). Such a refusal tells nothing of the rate, which other calls keep to.
//!
//! A refusal is the route's own if it has come back: the call was sent after the route had been
//! refused before, with no good answer between, and calls of other routes that were sent meanwhile
//! were answered well. The first refusal cannot be told from any other, so it cuts the rate; the
//! second undoes that. A burst is refused on calls that were sent before the first refusal came.

use std::collections::BTreeMap;

/// The most routes that are remembered.
const MOST_ROUTES: usize = 64;

/// What is known of the routes of a connection. Times are Unix milliseconds.
#[derive(Default)]
pub(super) struct Blocked {
    routes: BTreeMap<String, Row>,
    /// When the last two calls that were answered well were sent, the earlier first.
    passed: (i64, i64),
    /// The route whose refusal cut the rate last, and the rate factor before that, in parts per
    /// million.
    cut: Option<(String, u32)>,
}

struct Row {
    /// When the first refusal came since the last good answer.
    since: Option<i64>,
    /// When the last answer came.
    last: i64,
}

/// A call that was answered.
pub(super) struct Sent<'a> {
    /// The method that the call was sent with.
    pub method: &'a str,
    /// The call's path, with ids folded as statistics fold them.
    pub path: &'a str,
    /// When the call was sent, in Unix milliseconds.
    pub at: i64,
}

impl Blocked {
    /// Whether a refusal of this call is its route's own.
    pub(super) fn is_own(&self, sent: &Sent<'_>) -> bool {
        let since = self.routes.get(&route(sent)).and_then(|row| row.since);
        since.is_some_and(|since| sent.at >= since && self.passed.0 > 0 && self.passed.0 >= since)
    }

    /// Notes a refusal that is the route's own. Gives the rate factor that the route's first
    /// refusal has cut.
    pub(super) fn refused_again(&mut self, sent: &Sent<'_>, now: i64) -> Option<u32> {
        let route = route(sent);
        self.note(&route, now, |_| {});
        self.cut.take_if(|(cut, _)| *cut == route).map(|(_, before)| before)
    }

    /// Notes any other refusal, with the rate factor before and after it.
    pub(super) fn refused(&mut self, sent: &Sent<'_>, now: i64, (before, after): (u32, u32)) {
        let route = route(sent);
        self.note(&route, now, |row| row.since = row.since.or(Some(now)));
        if after < before {
            // Of several cuts by one route the first has the factor to go back to.
            let first = self.cut.take().filter(|(cut, _)| *cut == route).map_or(before, |(_, first)| first.max(before));
            self.cut = Some((route, first));
        }
    }

    /// Notes a good answer.
    pub(super) fn passed(&mut self, sent: &Sent<'_>, now: i64) {
        let (earlier, later) = self.passed;
        self.passed = if sent.at >= later { (later, sent.at) } else { (earlier.max(sent.at), later) };
        if let Some(row) = self.routes.get_mut(&route(sent)) {
            (row.since, row.last) = (None, now);
        }
    }

    /// Changes a route's entry. Where there are many, the route that was answered longest ago makes
    /// room.
    fn note(&mut self, route: &str, now: i64, change: impl FnOnce(&mut Row)) {
        if !self.routes.contains_key(route) {
            if self.routes.len() >= MOST_ROUTES {
                let oldest = self.routes.iter().min_by_key(|(_, row)| row.last).map(|(route, _)| route.clone());
                oldest.and_then(|oldest| self.routes.remove(&oldest));
            }
            self.routes.insert(route.to_owned(), Row { since: None, last: now });
        }
        if let Some(row) = self.routes.get_mut(route) {
            row.last = now;
            change(row);
        }
    }
}

/// The route of a call: its method and path, without what looks like an id. A segment does if it
/// has a digit and is no version, has an `@`, or is long.
fn route(sent: &Sent<'_>) -> String {
    let mut route = sent.method.to_owned();
    for segment in sent.path.split('/').skip(1) {
        let version = segment.strip_prefix('v').unwrap_or(segment);
        let is_version = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let is_id = segment.len() > 32 || segment.contains('@') || segment.bytes().any(|byte| byte.is_ascii_digit());
        route.push('/');
        route.push_str(if is_id && !is_version { "*" } else { segment });
    }
    route
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: u32 = 1_000_000;

    fn call(path: &str, at: i64) -> Sent<'_> {
        Sent { method: "PUT", path, at }
    }

    const CONTENT: &str = "/3.0/campaigns/42694e9e57/content";

    #[test]
    fn a_refusal_that_comes_back_while_others_pass_is_the_routes_and_undoes_its_cut() {
        let mut blocked = Blocked::default();
        blocked.passed(&call("/3.0/lists", 900), 950);
        let first = call(CONTENT, 1_000);
        assert!(!blocked.is_own(&first), "the first cannot be told from any other");
        blocked.refused(&first, 1_100, (FULL, FULL / 2));
        // Another campaign's, sent after, and one other call so far: too little.
        let second = call("/3.0/campaigns/99aa8e9e57/content", 1_200);
        blocked.passed(&call("/3.0/lists", 1_150), 1_250);
        assert!(!blocked.is_own(&second));
        blocked.passed(&call("/3.0/tags", 1_160), 1_260);
        assert!(blocked.is_own(&second));
        assert_eq!(blocked.refused_again(&second, 1_300), Some(FULL));
        assert_eq!(blocked.refused_again(&second, 1_400), None, "it is undone once");
        assert!(blocked.is_own(&call(CONTENT, 9_000)), "as long as no good answer comes of it");
        blocked.passed(&call(CONTENT, 9_100), 9_200);
        assert!(!blocked.is_own(&call(CONTENT, 9_300)));
    }

    #[test]
    fn a_burst_is_refused_on_calls_sent_before_and_stays_a_throttle() {
        let mut blocked = Blocked::default();
        blocked.refused(&call(CONTENT, 1_000), 1_100, (FULL, FULL / 2));
        for at in [1_110, 1_120, 1_130] {
            blocked.passed(&call("/3.0/lists", at), at + 50);
        }
        for at in [1_001, 1_050, 1_099] {
            assert!(!blocked.is_own(&call(CONTENT, at)));
        }
    }

    #[test]
    fn where_nothing_else_passes_a_refusal_is_a_throttle() {
        let mut blocked = Blocked::default();
        for at in [1_000, 2_000, 3_000] {
            let sent = call(CONTENT, at);
            assert!(!blocked.is_own(&sent));
            blocked.refused(&sent, at + 100, (FULL, FULL / 2));
        }
    }

    #[test]
    fn a_route_that_passes_at_times_is_throttled_as_any_is() {
        let mut blocked = Blocked::default();
        for at in (1_000..9_000).step_by(1_000) {
            let sent = call("/3.0/lists/1a/members/2b", at);
            assert!(!blocked.is_own(&sent));
            blocked.refused(&sent, at + 10, (FULL, FULL / 2));
            for later in [100, 200, 300] {
                blocked.passed(&call("/3.0/lists/1a/members/3c", at + later), at + later + 50);
            }
        }
    }

    #[test]
    fn a_cut_by_another_route_is_not_undone() {
        let mut blocked = Blocked::default();
        blocked.refused(&call(CONTENT, 1_000), 1_100, (FULL, FULL / 2));
        blocked.refused(&call("/3.0/lists", 1_150), 1_200, (FULL / 2, FULL / 4));
        for at in [1_300, 1_310] {
            blocked.passed(&call("/3.0/tags", at), at + 50);
        }
        let again = call(CONTENT, 1_400);
        assert!(blocked.is_own(&again));
        assert_eq!(blocked.refused_again(&again, 1_500), None);
    }

    #[test]
    fn no_more_routes_are_remembered_than_there_is_room_for() {
        let mut blocked = Blocked::default();
        for n in 0..1_000_i64 {
            let path = format!(
                "/{}",
                char::from(b'a' + u8::try_from(n % 26).unwrap())
                    .to_string()
                    .repeat(usize::try_from(n / 26).unwrap() % 32 + 1)
            );
            blocked.refused(&call(&path, n), n, (FULL, FULL));
        }
        assert!(blocked.routes.len() <= MOST_ROUTES);
    }

    #[test]
    fn ids_are_left_out_of_a_route_and_versions_are_not() {
        for (path, expected) in [
            (CONTENT, "PUT/3.0/campaigns/*/content"),
            ("/services/data/v59.0/sobjects/Account/001xx000003DGb1AAG", "PUT/services/data/v59.0/sobjects/Account/*"),
            ("/crm/v3/objects/contacts/{id}", "PUT/crm/v3/objects/contacts/{id}"),
            ("/x/ann@example.com", "PUT/x/*"),
            ("/", "PUT/"),
            ("", "PUT"),
        ] {
            assert_eq!(route(&call(path, 0)), expected);
        }
    }
}
