//! The head of a request or an answer as JavaScript hands it over: its parts one a line, and then its headers, name and value by turns.
//! No part of it has a line's end in it, which is all there is to read and write: a call has two of these on its way.

use super::answer::Headers;
use std::str::{FromStr, Split};

/// The parts, one after another. None once they are at their end.
pub struct Lines<'a>(Split<'a, char>);

impl<'a> Lines<'a> {
    /// The parts of a text.
    pub fn of(text: &'a str) -> Self {
        Self(text.split('\n'))
    }

    /// The next.
    pub fn text(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    /// The next, a whole number.
    pub fn number<N: FromStr>(&mut self) -> Option<N> {
        self.0.next()?.parse().ok()
    }

    /// All that follow, which are headers. None if the last has no value.
    pub fn headers(mut self) -> Option<Headers> {
        let mut headers = Headers::new();
        while let Some(name) = self.text() {
            headers.push((name.to_owned(), self.text()?.to_owned()));
        }
        Some(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn parts_come_in_their_order_and_headers_to_the_end() {
        let mut lines = Lines::of("12\nGET\n\naccept\n*/*\nx-empty\n");
        assert_eq!((lines.number(), lines.text(), lines.text()), (Some(12), Some("GET"), Some("")));
        let headers = [("accept", "*/*"), ("x-empty", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(lines.headers().as_deref(), Some(headers.as_slice()));
    }

    #[test]
    fn what_is_cut_off_is_not_taken() {
        let mut lines = Lines::of("none");
        assert_eq!(lines.number::<i64>(), None);
        assert_eq!(lines.text(), None);
        assert_eq!(Lines::of("accept").headers(), None);
    }

    #[test]
    fn no_headers_are_none_at_all() {
        let mut lines = Lines::of("200");
        assert_eq!(lines.number::<u16>(), Some(200));
        assert_eq!(lines.headers(), Some(Vec::new()));
    }
}
