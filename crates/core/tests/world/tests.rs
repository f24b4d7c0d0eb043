//! Runs the simulation over many seeds.

use super::generate;
use super::journal::Counts;
use super::scenario::{LEAVE_OUT, Scenario};
use super::shrink::{faults, shrunk, story};
use std::collections::BTreeMap;

/// How many calls at the vendor the ordinary run has.
const CALLS: usize = 200_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Returns the scenario of a seed, without the faults that are left out.
fn scenario(seed: u64) -> Scenario {
    let mut scenario = generate::scenario(seed);
    let without = std::env::var("SLUICE_WORLD_WITHOUT").unwrap_or_default();
    for (name, leave_out) in LEAVE_OUT {
        if without.split(',').any(|left_out| left_out == *name) {
            leave_out(&mut scenario.faults);
        }
        if without.split(',').any(|left_out| left_out == "edits") {
            scenario.tenants.iter_mut().for_each(|tenant| tenant.edits.clear());
        }
    }
    scenario
}

/// The kinds of faults: in how many seeds each was seen, the first of them, and what was seen
/// there.
type Kinds = BTreeMap<&'static str, (u32, u64, String)>;

#[test]
fn the_limiter_keeps_its_word() {
    let one = number("SLUICE_WORLD_SEED");
    let calls = number("SLUICE_WORLD_CALLS").map_or(CALLS, |calls| usize::try_from(calls).unwrap());
    let first = one.or_else(|| number("SLUICE_WORLD_FROM")).unwrap_or(0);
    let (mut seed, mut sent, mut counts, mut kinds) = (first, 0, Counts::default(), Kinds::new());
    while sent < calls && (one.is_none() || seed == first) {
        let (found, summary) = faults(&scenario(seed));
        if one.is_some() {
            println!("seed {seed}: {} calls, digest {:016x}", summary.sent, summary.digest);
        }
        sent += summary.sent;
        counts.add(&summary.counts);
        for fault in found {
            kinds.entry(fault.kind).or_insert((0, seed, fault.text)).0 += 1;
        }
        seed += 1;
    }
    println!("seeds {first}..{seed}: {sent} calls at the vendor; {counts:?}");
    for (kind, (n, seed, text)) in &kinds {
        println!("{kind}: {n} seeds, the first {seed}: {text}");
    }
    tell(&kinds);
}

/// Fails with the shortest story of a fault, if there is one.
fn tell(kinds: &Kinds) {
    let wanted = std::env::var("SLUICE_WORLD_KIND").ok();
    let Some(kind) = wanted.as_deref().or_else(|| kinds.keys().next().copied()) else { return };
    let Some((_, seed, _)) = kinds.get(kind) else {
        panic!("there are faults: {:?}; none of the kind {kind}", kinds.keys());
    };
    let scenario = scenario(*seed);
    let fault = faults(&scenario).0.into_iter().find(|fault| fault.kind == kind).unwrap();
    let (small, fault) = shrunk(&scenario, &fault);
    panic!("{}", story(&small, &fault));
}

/// Runs scenarios of earlier bugs: jobs that came back unsent without end, and apps that kept to no
/// weights after a third was granted calls that no limit counts.
#[test]
fn what_went_wrong_once_goes_wrong_no_more() {
    for seed in [1_760, 4_340] {
        let found = faults(&generate::scenario(seed)).0;
        assert!(found.is_empty(), "seed {seed}: {found:?}");
    }
}

#[test]
fn a_seed_is_the_same_to_the_byte() {
    for seed in [3, 5, 8] {
        let digest = || faults(&scenario(seed)).1.digest;
        assert_eq!(digest(), digest(), "seed {seed}");
    }
}
