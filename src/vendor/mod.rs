//! Vendors: profiles as data, what an answer means, how a refusal is said.

pub mod profile;

pub use profile::{Dialect, Profile};
