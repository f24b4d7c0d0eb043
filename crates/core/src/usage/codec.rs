//! The stored form: numbers as in LEB128 (seven bits a byte, low ones first), texts after their length.

#![expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]

use super::counter_table::{Names, Tally};

/// Writes.
#[derive(Default)]
pub struct Pack(pub Vec<u8>);

impl Pack {
    pub fn num(&mut self, mut n: u64) {
        while n > 127 {
            self.0.push((n & 127) as u8 | 128);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    /// A number that is 0 or more but for clocks that went wrong.
    pub fn int(&mut self, n: i64) {
        self.num(u64::try_from(n).unwrap_or(0));
    }

    pub fn text(&mut self, text: &str) {
        self.num(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub fn names(&mut self, names: &Names) {
        self.num(names.0.len() as u64);
        names.0.iter().for_each(|name| self.text(name));
    }

    pub fn tally(&mut self, tally: &Tally) {
        self.num(tally.0.len() as u64);
        for (place, n) in &tally.0 {
            self.num(u64::from(*place));
            self.num(*n);
        }
    }
}

/// Reads. None where the bytes end too soon, or are not what was written.
pub struct Unpack<'a>(pub &'a [u8]);

impl Unpack<'_> {
    pub fn num(&mut self) -> Option<u64> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            n |= u64::from(byte & 127) << shift;
            if *byte < 128 {
                return Some(n);
            }
        }
        None
    }

    pub fn int(&mut self) -> Option<i64> {
        i64::try_from(self.num()?).ok()
    }

    pub fn place(&mut self) -> Option<u16> {
        u16::try_from(self.num()?).ok()
    }

    pub fn small(&mut self) -> Option<u32> {
        u32::try_from(self.num()?).ok()
    }

    pub fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.num()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    pub fn names(&mut self) -> Option<Names> {
        let mut names = Names::default();
        for _ in 0..self.num()? {
            names.0.push(self.text()?);
        }
        Some(names)
    }

    pub fn tally(&mut self) -> Option<Tally> {
        let mut tally = Tally::default();
        for _ in 0..self.num()? {
            let (place, n) = (self.place()?, self.num()?);
            tally.add(place, n);
        }
        Some(tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        let mut pack = Pack::default();
        numbers.iter().for_each(|n| pack.num(*n));
        pack.text("é");
        let mut unpack = Unpack(&pack.0);
        assert_eq!(numbers.map(|_| unpack.num().unwrap()), numbers);
        assert_eq!(unpack.text().as_deref(), Some("é"));
        assert_eq!((unpack.num(), unpack.0.len()), (None, 0));
    }
}
