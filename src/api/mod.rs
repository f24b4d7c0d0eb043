//! Sluice's own addresses: each file answers one kind.

pub mod admin;
pub mod assets;
pub mod jobs;
pub mod operate;
pub mod status;
pub mod token;
