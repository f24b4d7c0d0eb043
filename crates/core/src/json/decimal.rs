//! Decimals as whole numbers of their last place: no binary fraction has 0.1 in it.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "positions and lengths in a text, which is shorter than the address space"
)]

use super::Value;

/// An amount counted in units of 10^-`places`, from a number's text; none if it is negative, finer or too large.
pub fn scaled(text: &str, places: usize) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    let zeros = "0".repeat(places.checked_sub(fraction.len())?);
    [whole, fraction, &zeros].concat().parse().ok()
}

/// The inverse of [`scaled`], as JSON.
pub fn decimal(amount: u64, places: usize) -> Value {
    let digits = amount.to_string();
    let digits = ["0".repeat((places + 1).saturating_sub(digits.len())), digits].concat();
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(places));
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    Value::Number([whole, point, fraction].concat())
}
