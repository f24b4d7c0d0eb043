//! The stored form of the counts: postcard's, by derive, after a version byte. It is written with
//! the limiter's snapshot, so that counting needs no write of its own.

use super::{Flight, Open, Usage};
use crate::codec;
use serde::{Deserialize, Serialize};
use sluice_limiter::PermitId;

/// The current version. Version 1 had no single permits.
const VERSION: u8 = 2;

/// The parts of a permit that matter beyond the epoch which granted it: epoch, lane and number.
type Permit = (u32, u32, u64);

/// The permits in flight as they are stored.
#[derive(Serialize)]
struct Flights<'a> {
    open: Vec<&'a Open>,
    unsent: Vec<Permit>,
    counted: Vec<Permit>,
}

impl Usage {
    /// Writes everything that is stored, with what is in flight now.
    pub fn pack(&mut self, flight: &Flight) -> Vec<u8> {
        self.unsaved = None;
        let permits = |one: &[PermitId], other: &[PermitId]| {
            one.iter().chain(other).map(|permit| (permit.epoch, permit.lane, permit.seq)).collect()
        };
        let flights = Flights {
            open: self.inherited.open.iter().chain(&flight.open).collect(),
            unsent: permits(&self.inherited.unsent, &flight.unsent),
            counted: permits(&self.inherited.counted, &flight.counted),
        };
        codec::write(vec![VERSION], &(&*self, flights))
    }

    /// Reads what was stored, or returns `None` if it is of another release. The counts then begin
    /// again, since they are no reason to refuse calls.
    pub fn unpack(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let ((mut usage, open), rest) = postcard::take_from_bytes::<(Self, Vec<Open>)>(rest).ok()?;
        let ([unsent, counted], rest) = match *version {
            1 => ([Vec::new(), Vec::new()], rest),
            VERSION => postcard::take_from_bytes::<[Vec<Permit>; 2]>(rest).ok()?,
            _ => return None,
        };
        let permits = |list: Vec<Permit>| {
            list.into_iter().map(|(epoch, lane, seq)| PermitId { epoch, lane, seq, slot: 0 }).collect()
        };
        usage.inherited = Flight { open, unsent: permits(unsent), counted: permits(counted) };
        rest.is_empty().then_some(usage)
    }
}

/// Stores a time or a day as a number that is not negative. It would be only with a wrong clock.
pub(super) mod unsigned {
    use super::{Deserialize, Serialize};
    use serde::de::Error;
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        u64::try_from(*number).unwrap_or(0).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        i64::try_from(u64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
