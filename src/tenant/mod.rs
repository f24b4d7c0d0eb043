//! The tenant's object: it alone decides, and it alone stores.

pub mod protocol;
