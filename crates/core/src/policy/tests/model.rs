//! A slow model of routes, which compares each route with each reading of the path.

pub(super) struct Routes {
    only: Vec<Route>,
    except: Vec<Route>,
}

struct Route {
    method: Option<String>,
    path: String,
}

impl Routes {
    /// Makes a list from valid routes as they are written.
    pub(super) fn of(written: &[String]) -> Self {
        let mut routes = Self { only: Vec::new(), except: Vec::new() };
        for text in written {
            let (list, text) = match text.strip_prefix('!') {
                Some(rest) => (&mut routes.except, rest),
                None => (&mut routes.only, text.as_str()),
            };
            let (method, path) = match text.split_once(' ') {
                Some((method, path)) => (Some(method.to_owned()), path),
                None => (None, text),
            };
            list.push(Route { method, path: path.to_owned() });
        }
        routes
    }

    fn is_all(&self) -> bool {
        self.only.is_empty() && self.except.is_empty()
    }

    /// Whether a limit with these routes counts a call: if any reading of its path matches. The
    /// method is in upper case, the path as sent and without the query.
    pub(super) fn matches(&self, method: &str, path: &str) -> bool {
        self.is_all()
            || Reading::all(path).any(|reading| {
                let is = |route: &Route, fold| route.matches(method, path, reading, fold);
                (self.only.is_empty() || self.only.iter().any(|route| is(route, true)))
                    && !self.except.iter().any(|route| is(route, false))
            })
    }

    /// Whether an app with these routes may make a call: only if every reading of its path is
    /// allowed.
    pub(super) fn allow(&self, method: &str, path: &str) -> bool {
        self.is_all()
            || Reading::all(path).all(|reading| {
                let is = |route: &Route, fold| route.matches(method, path, reading, fold);
                (self.only.is_empty() || self.only.iter().any(|route| is(route, false)))
                    && !self.except.iter().any(|route| is(route, true))
            })
    }
}

impl Route {
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
                (Some(own), Some(segment)) if reading.same(own, segment, fold) => {}
                _ => return false,
            }
        }
    }
}

/// One way to read a path.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// Whether `%2F` ends a segment.
    encoded_slash: bool,
    /// Whether empty segments are dropped.
    drop_empty: bool,
    /// Whether a segment ends at `;`.
    cut_parameters: bool,
}

impl Reading {
    /// Yields every reading in which this path differs from the plain one. For almost any path that
    /// is only the plain one.
    fn all(path: &str) -> impl Iterator<Item = Self> {
        let has = |code: &str| path.as_bytes().windows(3).any(|bytes| bytes.eq_ignore_ascii_case(code.as_bytes()));
        let slash = has("%2f");
        let empty = slash || path.contains("//") || path.len() > 1 && path.ends_with('/');
        let parameters = path.contains(';') || has("%3b");
        (0..8_u8)
            .map(|bits| Self { encoded_slash: bits & 1 != 0, drop_empty: bits & 2 != 0, cut_parameters: bits & 4 != 0 })
            .filter(move |reading| {
                (slash || !reading.encoded_slash)
                    && (empty || parameters || !reading.drop_empty)
                    && (parameters || !reading.cut_parameters)
            })
    }

    /// Yields the segments after the path's first `/`.
    fn segments(self, path: &str) -> impl Iterator<Item = &str> {
        let mut rest = path.strip_prefix('/');
        let next = move || {
            let text = rest?;
            let (segment, after) = self.split(text);
            rest = after;
            Some(segment)
        };
        std::iter::from_fn(next)
            .filter(move |segment| !self.drop_empty || decoded(segment, self.cut_parameters).next().is_some())
    }

    fn split(self, text: &str) -> (&str, Option<&str>) {
        let plain = text.find('/').map(|at| (at, 1));
        let encoded = || {
            let at = text.as_bytes().windows(3).position(|bytes| bytes.eq_ignore_ascii_case(b"%2f"))?;
            Some((at, 3))
        };
        let encoded = if self.encoded_slash { encoded() } else { None };
        let first = match (plain, encoded) {
            (Some(plain), Some(encoded)) => Some(plain.min(encoded)),
            (plain, encoded) => plain.or(encoded),
        };
        let parts = first.and_then(|(at, width)| Some((text.get(..at)?, text.get(at + width..)?)));
        parts.map_or((text, None), |(segment, rest)| (segment, Some(rest)))
    }

    fn same(self, own: &str, segment: &str, fold: bool) -> bool {
        let (own, segment) = (decoded(own, self.cut_parameters), decoded(segment, self.cut_parameters));
        if fold {
            own.map(|byte| byte.to_ascii_lowercase()).eq(segment.map(|byte| byte.to_ascii_lowercase()))
        } else {
            own.eq(segment)
        }
    }
}

/// Yields a segment's bytes, percent-decoded once. A `%` that encodes nothing stands for itself.
fn decoded(segment: &str, cut: bool) -> impl Iterator<Item = u8> {
    let mut rest = segment.as_bytes();
    let next = move || {
        let (first, after) = rest.split_first()?;
        let code = match (first, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        rest = if code.is_some() { after.get(2..)? } else { after };
        Some(code.unwrap_or(*first))
    };
    std::iter::from_fn(next).take_while(move |byte| !cut || *byte != b';')
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
