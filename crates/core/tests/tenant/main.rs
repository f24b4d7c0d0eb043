//! The tenant state: what a tenant's object decides, with storage in memory and time as an
//! argument.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod alerts;
mod calls;
mod cut_short;
mod figures;
mod harness;
mod hooks;
mod job_steps;
mod jobs;
mod jobs_attack;
mod jobs_failed;
mod jobs_kept;
mod jobs_load;
mod jobs_many;
mod jobs_seen;
mod masters;
mod pauses;
mod pools;
mod tenure;
mod tokens;
mod usage_reconciliation;
