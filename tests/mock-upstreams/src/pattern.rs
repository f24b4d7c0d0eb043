//! A body that both sides can compute: byte `i` is byte `i mod 65,521` of one fixed block of noise.
//! The block's length is prime, so that a piece shows which is lost, doubled or moved by any power
//! of two.

use crate::chance::Chance;
use std::sync::LazyLock;

const BLOCK: usize = 65_521;

static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut chance = Chance::new(0x5EED);
    (0..BLOCK).map(|_| chance.bits().to_le_bytes()[0]).collect()
});

/// Returns at most `bytes` bytes of the body from `at` on; at least one, if `bytes` is.
pub fn piece(at: u64, bytes: u64) -> Vec<u8> {
    let from = usize::try_from(at % BLOCK as u64).unwrap_or(0);
    let mut piece = Vec::new();
    let want = usize::try_from(bytes.min(1 << 20)).unwrap_or(1 << 20);
    while piece.len() < want {
        let start = (from + piece.len()) % BLOCK;
        let here = (BLOCK - start).min(want - piece.len());
        piece.extend_from_slice(&NOISE[start..start + here]);
    }
    piece
}

/// Returns the whole body of a length, for bodies that fit in memory.
pub fn whole(bytes: u64) -> Vec<u8> {
    let mut body = Vec::new();
    while (body.len() as u64) < bytes {
        body.extend(piece(body.len() as u64, bytes - body.len() as u64));
    }
    body
}

/// Checks a body piece by piece as it comes.
#[derive(Debug, Default)]
pub struct Check {
    at: u64,
    /// The first byte that differs.
    pub wrong_at: Option<u64>,
}

impl Check {
    /// Checks the next bytes.
    pub fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.wrong_at.is_none() {
            let expected = piece(self.at, bytes.len() as u64);
            let (here, rest) = bytes.split_at(expected.len());
            if let Some(off) = here.iter().zip(&expected).position(|(a, b)| a != b) {
                self.wrong_at = Some(self.at + off as u64);
            }
            self.at += expected.len() as u64;
            bytes = rest;
        }
    }

    /// Returns how many bytes have come.
    pub const fn bytes(&self) -> u64 {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_make_the_same_body() {
        let mut cut = Vec::new();
        while cut.len() < 200_000 {
            cut.extend(piece(cut.len() as u64, 7_777.min(200_000 - cut.len() as u64)));
        }
        assert_eq!(cut, whole(200_000));
    }

    #[test]
    fn a_lost_byte_is_found() {
        let mut body = whole(100_000);
        body.remove(70_000);
        let mut check = Check::default();
        check.add(&body);
        assert!((70_000..70_100).contains(&check.wrong_at.unwrap()));
    }
}
