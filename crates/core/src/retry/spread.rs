//! Spreads retries over the range of their backoff.

#![expect(clippy::arithmetic_side_effects, reason = "a product of 64 bits by 65 in 128 is at most 2^128 - 2^64")]

use sluice_limiter::PermitId;

/// 2^64 divided by the golden ratio, made odd: each multiple of it falls into the widest gap that
/// earlier ones left.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Maps a permit to a place in a range, over all of `u64`. Calls that are throttled together hold
/// neighbouring permits, and neighbours are spread evenly, whichever Worker holds them. Independent
/// random numbers are worse: of 50 within a second, some 100 ms holds more than ten in four cases
/// out of ten. `whose` names the connection, so that connections differ.
pub fn place_of(permit: PermitId, whose: &str) -> u64 {
    // FNV-1a is enough: nobody gains by a collision here.
    let salt = whose
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let lane = (u64::from(permit.lane) ^ u64::from(permit.epoch) << 32).wrapping_mul(0xd1b5_4a32_d192_ed03);
    permit.seq.wrapping_mul(GOLDEN).wrapping_add(lane).wrapping_add(salt)
}

/// Scales `random` from all of `u64` to 0..=`most`.
pub fn spread(random: u64, most: u64) -> u64 {
    let place = u128::from(random) * (u128::from(most) + 1);
    // The upper half of a product with `random` < 2^64 is below `most` + 1.
    u64::try_from(place >> 64).unwrap_or(most)
}
