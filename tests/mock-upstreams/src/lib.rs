//! Mock vendors: small HTTP servers that enforce a vendor's limits strictly, by arrival, on their
//! own monotonic clock, and answer as the vendor does. The tests measure Sluice with them, the demo
//! uses them, and users can test with them.
//!
//! HTTP is implemented in [`wire`], not by a server library: the request target and the header
//! names must be seen as they came over the network, and faults (resets, truncated bodies, statuses
//! that no library would send) must be possible.
//!
//! A call meets the modules in this order: [`server`] accepts the connection, [`wire`] reads the
//! request, [`call`] leads it through [`gate`] (the limits), [`chance`] (latency) and [`fault`],
//! [`upstreams`] and [`common`] answer, and [`journal`] records it.

mod call;
pub mod chance;
mod clock;
pub mod common;
pub mod control;
pub mod fault;
pub mod gate;
pub mod journal;
pub mod limit;
pub mod pattern;
pub mod server;
pub mod spec;
pub mod upstreams;
pub mod wire;

pub use fault::{Fault, FaultRule};
pub use journal::{Call, Calls, Verdict};
pub use limit::{Kind, Limit};
pub use server::{Handle, Vendor};
pub use spec::{CountAt, Latency, Spec};
