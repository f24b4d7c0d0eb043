//! Counts wrong administrator tokens by the address that they come from, and ignores an address for
//! a while when it guesses.
//!
//! Its reach is limited: it lives in the memory of one isolate, and an installation runs in many,
//! so the bound holds for each of them, and for each address that a guesser has. What makes
//! guessing hopeless is the length of a secret; this only keeps a guesser from costing much. Nobody
//! can lock an administrator out from elsewhere: only the own address counts, no timer runs, and a
//! minute after the first wrong token everything is forgotten. Where the platform names no address
//! (a local run), nothing is slowed down.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// After this many wrong tokens from one address within [`WINDOW_MS`], its tokens are not checked
/// until that is over.
const MOST_WRONG: u32 = 10;

/// How long wrong tokens are remembered, counted from the first, milliseconds.
const WINDOW_MS: i64 = 60_000;

/// How many addresses are remembered, at some 50 bytes each. A further one replaces the one that
/// would be forgotten first.
const MOST_ADDRESSES: usize = 1_024;

/// The recent wrong tokens of each address.
#[derive(Debug, Default)]
pub struct Guesses {
    addresses: BTreeMap<Source, Wrong>,
}

#[derive(Debug)]
struct Wrong {
    count: u32,
    /// When the count is forgotten, Unix ms.
    until: i64,
}

/// Where a call comes from: an IPv4 address, or the 64 bits of an IPv6 address that belong to one
/// subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// An IPv4 address.
    V4([u8; 4]),
    /// The first half of an IPv6 address.
    V6([u8; 8]),
}

impl Source {
    /// Reads an address; `None` if the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.trim().parse().ok()? {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(mapped) => Self::V4(mapped.octets()),
                None => Self::V6(*address.octets().first_chunk()?),
            },
        })
    }
}

impl Guesses {
    /// Returns the whole seconds until a token from that source is checked again, or `None` if it
    /// is checked now. `now`: Unix ms.
    pub fn rests(&self, source: Source, now: i64) -> Option<u64> {
        let wrong = self.addresses.get(&source).filter(|wrong| wrong.count >= MOST_WRONG && now < wrong.until)?;
        Some(u64::try_from(wrong.until.saturating_sub(now)).unwrap_or(0).div_ceil(1_000))
    }

    /// Counts a wrong token from that source. `now`: Unix ms.
    pub fn wrong(&mut self, source: Source, now: i64) {
        // A clock that was set back must not keep anybody out for longer.
        let stands = |wrong: &Wrong| now < wrong.until && wrong.until <= now.saturating_add(WINDOW_MS);
        if let Some(wrong) = self.addresses.get_mut(&source)
            && stands(wrong)
        {
            wrong.count = wrong.count.saturating_add(1);
            return;
        }
        if self.addresses.len() >= MOST_ADDRESSES {
            let soonest = self.addresses.iter().min_by_key(|(_, wrong)| wrong.until).map(|(source, _)| *source);
            soonest.map(|source| self.addresses.remove(&source));
        }
        self.addresses.insert(source, Wrong { count: 1, until: now.saturating_add(WINDOW_MS) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_781_524_800_000;

    fn source(text: &str) -> Source {
        Source::parse(text).expect("an address")
    }

    #[test]
    fn after_ten_wrong_tokens_an_address_is_not_heard_until_a_minute_after_the_first() {
        let (mut guesses, guesser) = (Guesses::default(), source("203.0.113.7"));
        for nth in 0..10 {
            assert_eq!(guesses.rests(guesser, NOW + nth), None, "after {nth}");
            guesses.wrong(guesser, NOW + nth);
        }
        assert_eq!(guesses.rests(guesser, NOW + 10), Some(60));
        assert_eq!(guesses.rests(guesser, NOW + 59_500), Some(1));
        assert_eq!(guesses.rests(guesser, NOW + 60_000), None);
        // The count begins again at one.
        guesses.wrong(guesser, NOW + 60_000);
        assert_eq!(guesses.rests(guesser, NOW + 60_001), None);
    }

    #[test]
    fn an_administrator_at_another_address_is_heard_whoever_guesses() {
        let mut guesses = Guesses::default();
        (0..1_000).for_each(|nth| guesses.wrong(source("203.0.113.7"), NOW + nth));
        assert_eq!(guesses.rests(source("203.0.113.8"), NOW + 1_000), None);
        assert!(guesses.rests(source("203.0.113.7"), NOW + 1_000).is_some());
    }

    #[test]
    fn addresses_of_one_ipv6_subscriber_are_one_and_mapped_ones_are_ipv4() {
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("::ffff:203.0.113.7"), source(" 203.0.113.7"));
        assert_eq!(Source::parse("").or(Source::parse("example.com")), None);
    }

    #[test]
    fn a_million_addresses_take_the_room_of_a_thousand() {
        let mut guesses = Guesses::default();
        for nth in 0..3_000_u32 {
            guesses.wrong(Source::V4(nth.to_be_bytes()), NOW + i64::from(nth));
            assert!(guesses.addresses.len() <= MOST_ADDRESSES);
        }
        // The latest addresses are the ones that are remembered.
        assert!(guesses.addresses.contains_key(&Source::V4(2_999_u32.to_be_bytes())));
        assert!(!guesses.addresses.contains_key(&Source::V4(0_u32.to_be_bytes())));
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_nobody_out_for_longer_than_a_minute() {
        let (mut guesses, guesser) = (Guesses::default(), source("203.0.113.7"));
        (0..10).for_each(|_| guesses.wrong(guesser, NOW));
        guesses.wrong(guesser, NOW - 3_600_000);
        assert_eq!(guesses.rests(guesser, NOW - 3_600_000), None);
    }
}
