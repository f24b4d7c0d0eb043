//! What Sluice knows of vendors: their profiles as data, the meaning of their answers, the wording
//! of refusals, and the places of credentials.

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
