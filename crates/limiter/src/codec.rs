//! The binary form of the messages between Workers and objects and of most stored rows: postcard's, by derive.
//!
//! The order of a record's fields and of an enum's variants is the format, so what is stored keeps both. A changed form gets a version
//! byte of its own, which stands before it.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Returns the binary form of `value`, after `head`, which is mostly a version byte.
pub fn write(head: Vec<u8>, value: &impl Serialize) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "a vector takes any length, and derived types have no error of their own")]
    postcard::to_extend(value, head).expect("derived types can be written")
}

/// Returns the value that was written; none for bytes of another form. Bytes after it are ignored.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}
