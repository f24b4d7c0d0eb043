//! The harness of the end-to-end tests: Sluice as `npm start` runs it, in workerd, called over real
//! HTTP by hand-written callers, with the mock vendors of `sluice-mock-upstreams`.
//!
//! Everything here panics with a sentence when it cannot go on, since it only runs in tests.

pub mod answer;
pub mod client;
pub mod clock;
pub mod instance;
pub mod load;
pub mod raw;
pub mod secrets;
pub mod tenant;
pub mod world;

pub use answer::Answer;
pub use client::{Ask, Open};
pub use clock::Clock;
pub use instance::Instance;
pub use raw::Raw;
pub use tenant::Tenant;
pub use world::World;
