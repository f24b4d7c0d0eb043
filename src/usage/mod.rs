//! Who called how often, with what end.

mod fold;

pub use fold::fold;
