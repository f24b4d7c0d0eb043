//! Who called how often, with what end.
