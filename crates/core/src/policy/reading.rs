//! The ways in which a vendor may read a path. Vendors differ in this, so every reading of a path
//! is checked.

#![expect(clippy::arithmetic_side_effects, reason = "positions in a path")]

use crate::percent;

/// One way to read a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// Whether `%2F` ends a segment.
    encoded_slash: bool,
    /// Whether empty segments are dropped.
    drop_empty: bool,
    /// Whether a segment ends at `;`.
    cut_parameters: bool,
}

impl Reading {
    /// The number of readings.
    pub(super) const COUNT: usize = 8;

    /// Yields every reading, in the order of their numbers.
    pub(super) fn every() -> impl Iterator<Item = Self> {
        (0..8_u8).map(|bits| Self {
            encoded_slash: bits & 1 != 0,
            drop_empty: bits & 2 != 0,
            cut_parameters: bits & 4 != 0,
        })
    }

    /// Yields every reading in which this path may differ from the plain one. For almost any path
    /// that is only the plain one.
    pub(super) fn all(path: &str) -> impl Iterator<Item = Self> {
        let marks = Marks::of(path);
        Self::every().filter(move |reading| *reading == reading.among(&marks))
    }

    /// Returns the equivalent reading of paths that have only these marks, without the flags that
    /// then have no effect.
    pub(super) const fn among(self, marks: &Marks) -> Self {
        Self {
            encoded_slash: self.encoded_slash && marks.slash,
            drop_empty: self.drop_empty && (marks.empty || marks.slash || marks.parameters),
            cut_parameters: self.cut_parameters && marks.parameters,
        }
    }

    /// Returns the reading's position in [`Reading::every`].
    pub(super) fn number(self) -> usize {
        usize::from(self.encoded_slash) + 2 * usize::from(self.drop_empty) + 4 * usize::from(self.cut_parameters)
    }

    /// Yields the segments after the path's first `/`.
    pub(super) fn segments(self, path: &str) -> Segments<'_> {
        Segments { reading: self, path, rest: path.strip_prefix('/') }
    }

    fn split(self, text: &str) -> (&str, Option<&str>) {
        let (whole, after) = text.split_once('/').map_or((text, None), |(whole, after)| (whole, Some(after)));
        let encoded = if self.encoded_slash { place_of(whole, b'/') } else { None };
        match encoded.and_then(|at| Some((text.get(..at)?, text.get(at + 3..)?))) {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (whole, after),
        }
    }

    /// Yields a segment's bytes, percent-decoded once. A `%` that encodes nothing stands for
    /// itself.
    pub(super) fn bytes(self, segment: &str) -> impl Iterator<Item = u8> {
        percent::bytes(segment.as_bytes()).take_while(move |byte| !self.cut_parameters || *byte != b';')
    }
}

/// The segments of a path.
pub(super) struct Segments<'a> {
    reading: Reading,
    path: &'a str,
    rest: Option<&'a str>,
}

impl Segments<'_> {
    /// Returns where the last yielded segment ended, in bytes from the path's beginning.
    pub(super) fn read(&self) -> usize {
        let Some(rest) = self.rest else { return self.path.len() };
        let before = self.path.len() - rest.len();
        before - usize::from(self.path.as_bytes().get(..before).is_some_and(|before| before.ends_with(b"/")))
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            let (segment, after) = self.reading.split(self.rest?);
            self.rest = after;
            if !self.reading.drop_empty || self.reading.bytes(segment).next().is_some() {
                return Some(segment);
            }
        }
    }
}

/// The parts of a path that vendors read in different ways.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marks {
    /// Whether it has a `%2F`.
    slash: bool,
    /// Whether it has a `;`, encoded or not.
    parameters: bool,
    /// Whether it has an empty segment beside others.
    empty: bool,
}

impl Marks {
    fn of(path: &str) -> Self {
        Self {
            slash: place_of(path, b'/').is_some(),
            parameters: path.contains(';') || place_of(path, b';').is_some(),
            empty: path.contains("//") || path.len() > 1 && path.ends_with('/'),
        }
    }

    /// Returns the marks of any of these routes or beginnings of paths. A `/` that is only the
    /// beginning of a path has an empty segment beside others.
    pub(super) fn of_parts<'a>(paths: impl Iterator<Item = &'a str>) -> Self {
        paths.fold(Self::default(), |marks, path| {
            let own = Self::of(path);
            Self {
                slash: marks.slash || own.slash,
                parameters: marks.parameters || own.parameters,
                empty: marks.empty || own.empty || path == "/",
            }
        })
    }
}

/// Returns where a text first contains that byte percent-encoded.
fn place_of(text: &str, byte: u8) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find('%')?;
        if percent::first(text.as_bytes().get(at..)?) == Some(byte) {
            return Some(at);
        }
        from = at + 1;
    }
}
