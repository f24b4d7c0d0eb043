//! Calls that need not be waited for.

mod bytes;
mod record;

pub use bytes::Bytes;
pub use record::{Answer, Request};
