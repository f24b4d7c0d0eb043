//! Routes: lists that say which calls a limit or a permission applies to.
//!
//! A path is compared in every way in which the vendor may read it. Segments are percent-decoded
//! once. Where vendors differ, every reading is tried: `%2F` as part of a segment or as its end,
//! empty segments kept or dropped, `;…` kept or cut off. A call is allowed only if every reading
//! is, and counts on a limit if any reading does, so that no spelling gets a call past either. The
//! stricter side also ignores the case of ASCII letters.

use super::document::Node;
use super::reading::Reading;
use sha2::{Digest, Sha256};

/// The most routes in one list.
pub const MAX_ROUTES: usize = 100;

/// The longest route, bytes.
pub const MAX_ROUTE_BYTES: usize = 1_024;

/// A list of routes: `METHOD /path` or `/path`; a leading `!` makes an exception. In a path `*` is
/// any one segment, and `**` at its end is any rest, including none. The empty list matches every
/// call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    pub(super) only: Vec<Route>,
    pub(super) except: Vec<Route>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) method: Option<String>,
    pub(super) path: String,
}

impl Routes {
    /// Whether the list matches every call.
    pub const fn is_all(&self) -> bool {
        self.only.is_empty() && self.except.is_empty()
    }

    /// Whether a limit with these routes counts a call: if any reading of its path matches. The
    /// method is in upper case, the path as sent and without the query.
    pub fn matches(&self, method: &str, path: &str) -> bool {
        self.is_all()
            || Reading::all(path).any(|reading| {
                let is = |route: &Route, fold| route.matches(method, path, reading, fold);
                (self.only.is_empty() || self.only.iter().any(|route| is(route, true)))
                    && !self.except.iter().any(|route| is(route, false))
            })
    }

    /// Whether an app with these routes may make a call: only if every reading of its path is
    /// allowed.
    pub fn allow(&self, method: &str, path: &str) -> bool {
        self.is_all()
            || Reading::all(path).all(|reading| {
                let is = |route: &Route, fold| route.matches(method, path, reading, fold);
                (self.only.is_empty() || self.only.iter().any(|route| is(route, false)))
                    && !self.except.iter().any(|route| is(route, true))
            })
    }

    /// Returns the routes of a profile, which were checked when it was read. One that does not
    /// parse is ignored.
    pub fn of(written: &[String]) -> Self {
        let mut routes = Self::default();
        for text in written {
            let _ = routes.add(text);
        }
        routes
    }

    /// Returns the routes as they are written, with the exceptions last.
    pub fn written(&self) -> Vec<String> {
        let text = |mark: &str, route: &Route| match &route.method {
            Some(method) => format!("{mark}{method} {}", route.path),
            None => format!("{mark}{}", route.path),
        };
        let only = self.only.iter().map(|route| text("", route));
        only.chain(self.except.iter().map(|route| text("!", route))).collect()
    }

    /// Returns a number that distinguishes lists: 0 for the one that matches every call, else a
    /// digest of the routes that depends neither on their order nor on the release.
    pub fn fingerprint(&self) -> u64 {
        if self.is_all() {
            return 0;
        }
        let mut texts = self.written();
        texts.sort_unstable();
        texts.dedup();
        let mut digest = Sha256::new();
        for text in texts {
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        }
        digest.finalize().first_chunk().map_or(1, |bytes| u64::from_be_bytes(*bytes)).max(1)
    }

    pub(super) fn read(at: &Node<'_>) -> Option<Self> {
        let items = at.list(MAX_ROUTES)?;
        if items.is_empty() {
            return at.fault("must name at least one route; leave the field out for all calls");
        }
        let mut routes = Self::default();
        for item in items {
            let Some(text) = item.text(MAX_ROUTE_BYTES) else { continue };
            if let Err(detail) = routes.add(text) {
                item.fault::<()>(detail);
            }
        }
        Some(routes)
    }

    fn add(&mut self, text: &str) -> Result<(), &'static str> {
        let (list, text) = match text.strip_prefix('!') {
            Some(rest) => (&mut self.except, rest),
            None => (&mut self.only, text),
        };
        list.push(Route::parse(text)?);
        Ok(())
    }
}

impl Route {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (method, path) = match text.split_once(' ') {
            Some((method, path)) => (Some(method), path),
            None => (None, text),
        };
        let is_method =
            |method: &str| (1..=32).contains(&method.len()) && method.bytes().all(|b| b.is_ascii_uppercase());
        if !method.is_none_or(is_method) || !path.starts_with('/') {
            return Err(
                "a route is METHOD /path or /path, with a leading ! for an exception; the method is in upper case",
            );
        }
        if path.contains(['?', '#', '\\', ' ']) {
            return Err(
                "a route's path has no query, fragment, backslash or space; percent-encode what is part of a name",
            );
        }
        let segments: Vec<_> = path.split('/').skip(1).collect();
        let inner = segments.split_last().map_or(&[][..], |(_, inner)| inner);
        if segments.iter().any(|segment| segment.contains('*') && !matches!(*segment, "*" | "**")) {
            return Err(
                "in a route * stands for one whole segment and ** for the rest; it cannot be part of a segment",
            );
        }
        if inner.contains(&"**") {
            return Err("in a route ** can only be the last segment");
        }
        if segments.iter().any(|segment| matches!(*segment, "." | "..")) {
            return Err("a route's path has no dot segments: no call with one is let through");
        }
        Ok(Self { method: method.map(str::to_owned), path: path.to_owned() })
    }

    fn matches(&self, method: &str, path: &str, reading: Reading, fold: bool) -> bool {
        if self.method.as_deref().is_some_and(|own| own != method) {
            return false;
        }
        let mut ours = reading.segments(&self.path);
        let mut theirs = reading.segments(path);
        loop {
            match (ours.next(), theirs.next()) {
                (Some("**"), _) | (None, None) => return true,
                (Some("*"), Some(segment)) if !segment.is_empty() => {}
                (Some(own), Some(segment)) if same(own, segment, reading, fold) => {}
                _ => return false,
            }
        }
    }
}

fn same(own: &str, segment: &str, reading: Reading, fold: bool) -> bool {
    let (own, segment) = (reading.bytes(own), reading.bytes(segment));
    if fold {
        own.map(|byte| byte.to_ascii_lowercase()).eq(segment.map(|byte| byte.to_ascii_lowercase()))
    } else {
        own.eq(segment)
    }
}
