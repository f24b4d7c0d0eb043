//! Mock vendors.
