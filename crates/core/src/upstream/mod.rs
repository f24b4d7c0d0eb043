//! Vendors: profiles as data, what an answer means, how a refusal is said, where a credential goes.

pub mod batch;
pub mod body;
pub mod credential;
pub mod dialect;
pub mod grant;
pub mod methods;
pub mod outcome;
mod pem;
pub mod places;
pub mod posted;
pub mod profile;
pub mod token;

pub use profile::{Dialect, Profile};
