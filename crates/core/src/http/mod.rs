//! Parses requests and builds answers: targets, headers, preferences, and the header fields of
//! Sluice itself. The Worker reads a request once and passes plain strings on; nothing here knows
//! JavaScript, a clock or a vendor.

mod answer;
mod cookies;
mod cors;
mod dot_segments;
pub mod form;
mod header_diff;
mod headers;
mod mask;
mod names;
mod plain;
mod prefer;
mod priority;
mod problem;
mod ratelimit;
mod redirect;
mod retry_after;
mod route;

pub use answer::{Answer, Headers, accepts_problem, value};
pub use cors::{allow, guard, is_navigation, is_order, is_preflight, preflight};
pub use header_diff::changes;
pub use headers::{Placed, Returning, Sending, outgoing, outgoing_query, returned};
pub use mask::Mask;
pub use plain::{PlainHead, STRICT_TRANSPORT, in_clear};
pub use prefer::Prefer;
pub use priority::urgency;
pub use problem::{problem, problem_with_errors};
pub use ratelimit::{PolicyItem, RemainingItem, policy_field, prefixed, remaining_field};
pub use redirect::{rewritten as rewritten_location, rewritten_links};
pub use retry_after::{LONGEST_RETRY_AFTER_MS, retry_after_ms, wait_in_body_ms};
pub use route::{Address, AdminAddress, Target, VendorTarget, encoded, parse_target};
