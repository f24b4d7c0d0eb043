//! What a tenant may do: the policy as written becomes, once, the policy as used.

#![allow(dead_code)]

mod address;
mod credential;
mod limits;
mod node;
mod read;
mod routes;

pub use address::{Address, MAX_ADDRESS_BYTES, check as check_address, check_host, check_with_query};
pub use credential::{Credential, MASK};
pub use limits::{LimitRule, MAX_BYTES, MAX_CALLS, MAX_LIMITS, MAX_WINDOW_MS};
pub use read::{Fault, MAX_FAULTS};
pub use routes::{MAX_ROUTE_BYTES, MAX_ROUTES, Routes};
