//! The vendor's own total under a limit, where its answers tell it.

#![expect(clippy::arithmetic_side_effects, reason = "a product of 64 bits by 64 in 128")]

use crate::config::{Kind, Limit};

/// The vendor's own total, which holds where it is lower than the policy's figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VendorTotal {
    /// The total as the vendor's answers have it.
    pub total: u64,
    /// The limit's share of it, at least 1.
    most: u64,
}

impl VendorTotal {
    /// Returns that total under a limit, which has a share of what there is.
    pub fn of(total: u64, limit: &Limit) -> Self {
        let amount = match &limit.kind {
            Kind::Daily { amount, .. } => *amount,
            Kind::RollingDay { calls } => *calls,
            _ => limit.of,
        };
        let most = u128::from(total) * u128::from(amount) / u128::from(limit.of.max(amount).max(1));
        Self { total, most: u64::try_from(most).unwrap_or(u64::MAX).max(1) }
    }

    /// Returns a figure of the policy's, or the share of the vendor's total where that is lower.
    pub fn lower(total: Option<Self>, figure: u64) -> u64 {
        total.map_or(figure, |total| total.most.min(figure))
    }
}
