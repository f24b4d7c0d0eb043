//! Callers, isolates, the network, a tenant's object and a vendor, on one clock and from printed
//! seeds. The object is the real state of a tenant, and each call is the real machine; only the
//! faults between them are simulated.
//!
//! ```text
//! cargo test -p sluice-core --test call world                        60 seeds
//! SLUICE_CALL_SEEDS=5000 cargo test -p sluice-core --test call world
//! SLUICE_CALL_SEED=17 cargo test -p sluice-core --test call world    one seed
//! ```
//!
//! | the world has | how often |
//! |---|---|
//! | messages to the object and replies that are lost, late, or come twice | a few in a hundred; in some seeds three of four |
//! | callers that go, at any step | one in eight |
//! | isolates that die, objects that lose their memory | now and then |
//! | vendors that throttle, fail, take too long, break off, refuse a token | one in three |
//!
//! Besides what `witness` checks for each call: no window and no slot of the vendor's is ever
//! exceeded, no POST is executed twice, every permit is used within its slack of the moment when
//! the object granted it, and at the end the object has nothing in flight and no call waiting.

mod network;
mod object;
mod vendor;

use network::World;

const SEEDS: u64 = 60;

#[test]
fn callers_isolates_object_and_vendor_keep_their_promises_over_a_network_that_does_not() {
    let set = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match set("SLUICE_CALL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..set("SLUICE_CALL_SEEDS").unwrap_or(SEEDS),
    };
    let mut sums = network::Sums::default();
    for seed in seeds {
        println!("seed {seed}");
        sums += World::play(seed);
    }
    println!("{sums:?}");
    if sums.seeds >= SEEDS {
        // A simulation in which little happens would prove little.
        assert!(sums.sent > sums.calls / 4 && sums.again > 20 && sums.stale > 20 && sums.lost > 200, "{sums:?}");
        assert!(sums.left > 20 && sums.fetched > 20 && sums.unavailable > 5 && sums.late > 20, "{sums:?}");
    }
}
