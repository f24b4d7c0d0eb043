//! Bytes that cross the wire and go to storage as one piece, not one by one.

use crate::wire::{Reader, Wire, read_bytes, write_bytes};

/// A body. Its `Debug` shows its length alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bytes({})", self.0.len())
    }
}

impl Wire for Bytes {
    fn write(&self, to: &mut Vec<u8>) {
        write_bytes(&self.0, to);
    }

    fn read(from: &mut Reader<'_>) -> Self {
        Self(read_bytes(from))
    }
}
