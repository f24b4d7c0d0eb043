//! The limiter's world: a simulation of all that a policy can say and all that platform, vendors
//! and callers do, on a virtual clock, from printed seeds, with an oracle that shares no code with
//! the limiter.
//!
//! The code under test is that of production: a `TenantState` for each tenant, and one for a pool,
//! over storage with output gates.
//!
//! ```text
//! cargo test -p sluice-core --test world                                200,000 calls at the vendor
//! SLUICE_WORLD_CALLS=10000000 cargo test -p sluice-core --test world    the long form
//! SLUICE_WORLD_FROM=8000 ...                                            seeds from there on
//! SLUICE_WORLD_SEED=7 cargo test -p sluice-core --test world keeps      one seed, to the same byte; its digest is printed
//! SLUICE_WORLD_KIND="bucket" ...                                        which kind of fault is shrunk and shown
//! SLUICE_WORLD_WITHOUT=edits,throttles ...                              what is left out, by the names in `scenario`
//! ```
//!
//! | the world has | in |
//! |---|---|
//! | policies of every kind of limit, with `per`, `routes`, `share`, `pool`, guards, zones, bytes; budgets, weights, apps' routes; queues; observe | `spec`, `generate` |
//! | edits of all of these, connections and apps that leave and return, removal and making anew | `edit`, `wrong` |
//! | days near their resets, and near changes of daylight saving | `generate`, `days` |
//! | a vendor that counts at any instant, streams, is slow, works on past the time-out, throttles, tells its own counts, sends bytes | `vendor` |
//! | Workers: words and replies lost, asked again, late, repeated; permits held up; reports gathered; isolates that die | `work`, `tell` |
//! | callers who say how long they wait, how urgent they are, and who leave; jobs, as tasks and their reports | `work`, `jobs` |
//! | storage that commits late and in order, is torn at a crash, refuses; objects reset, superseded, asleep; everything killed | `storage`, `place`, `wrong` |
//! | clocks of hosts that differ by up to a second and are set back, now and then by a quarter of an hour | `place`, `wrong` |
//! | words between tenants and a pool, lost | `pools` |
//!
//! | the oracle sees | in |
//! |---|---|
//! | a limit, a day, a budget or a pool overrun, before and after edits | `check`, `spans`, `shared` |
//! | calls held in observe mode, or that may not wait; waits past a deadline; queues over their size; objects that wake for nothing | `live`, `world` |
//! | grants that do not keep to the weights | `fair` |
//! | jobs run twice or lost; counts shown too small; a wrong Retry-After; a connection that is stuck | `jobs`, `quiet` |
//!
//! `lies` makes each limit wider behind the oracle's back, and checks that the oracle notices.
//!
//! It lacks: access tokens and calls that wait for them; callers who wait for a job's end, jobs
//! that are deleted or replayed; alerts and callbacks; two pools, and pools whose members name
//! different resets; clocks that are set forward or run fast; a platform that repeats a request by
//! itself; contradictory reports of one call; how much of a limit is used; whether a Retry-After is
//! too late.
//!
//! It assumes that a vendor's clock is within half a second of true time, and a host's too, and
//! that a vendor is done with a call within the profile's ceiling after its sending.
#![allow(
    clippy::float_arithmetic,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking, and the world outside the limiter is not in integers"
)]

mod check;
mod days;
mod dice;
mod edit;
mod fair;
mod generate;
mod jobs;
mod journal;
mod lies;
mod live;
mod moments;
mod place;
mod pools;
mod quiet;
mod scenario;
mod shared;
mod shrink;
mod spans;
mod spec;
mod storage;
mod tell;
mod tests;
mod vendor;
mod wake;
mod work;
mod world;
mod wrong;
