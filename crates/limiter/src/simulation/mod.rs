//! The attack on the limiter: an event simulation on a virtual clock, from printed seeds.
//!
//! One tenant's object, its Workers, its storage and a strict vendor. What goes wrong: everything is killed; the object alone is
//! reset; an object is superseded and runs on from memory; writes are torn off at a crash; settlements are lost, or repeated after
//! their reply was lost; permits are held up on their way; callers give up; vendors are slow past the time-out; clocks differ and step
//! back; the object falls asleep. The vendor counts each call at a random instant between its arrival and its answer.
#![allow(
    clippy::float_arithmetic,
    clippy::arithmetic_side_effects,
    reason = "the world outside the limiter is not in integers"
)]

mod attack;
mod check;
mod goodput;
mod mutants;
mod setting;
mod world;
