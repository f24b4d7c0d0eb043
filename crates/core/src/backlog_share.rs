//! Shares out what apps hold for a long time: places and bytes of jobs, and places of webhook
//! messages. An app may hold half of what the other apps leave free. So a first app comes to a
//! half, a second to a quarter, and some is always left for a later one.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "each is taken away once where it was added, and twice the bytes of one job are far below 64 bits"
)]

use std::collections::BTreeMap;

/// Hashes an app's name to a number (64-bit FNV-1a); 0 stands for no app. Two apps whose numbers
/// collided would share their part, and nothing else.
pub fn app_number(name: &str) -> u64 {
    if name.is_empty() {
        return 0;
    }
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// An amount of places and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// How many places.
    pub places: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// A bounded store and what each app holds of it. An app that holds nothing takes no memory.
#[derive(Debug)]
pub struct Room {
    size: Held,
    held: Held,
    apps: BTreeMap<u64, Held>,
}

impl Room {
    /// Makes a room of this size that is all free.
    pub const fn new(size: Held) -> Self {
        Self { size, held: Held { places: 0, bytes: 0 }, apps: BTreeMap::new() }
    }

    /// Changes how many places there are.
    pub const fn resize(&mut self, places: u64) {
        self.size.places = places;
    }

    /// Returns what all apps hold together.
    pub const fn held(&self) -> Held {
        self.held
    }

    /// Returns what one app holds.
    pub fn of(&self, app: u64) -> Held {
        self.apps.get(&app).copied().unwrap_or_default()
    }

    /// Returns the app that holds the most places.
    pub fn most(&self) -> Option<u64> {
        self.apps.iter().max_by_key(|(_, held)| held.places).map(|(app, _)| *app)
    }

    /// Whether an app may take one more place and this many bytes: it holds less than half of the
    /// places that the others leave, and will hold at most half of the bytes that they leave.
    pub fn has_room(&self, app: u64, bytes: u64) -> bool {
        let own = self.of(app);
        let free = |size: u64, held: u64| size.saturating_sub(held);
        // `own < (own + free) / 2` is the same as `own < free`.
        own.places < free(self.size.places, self.held.places) && self.has_bytes(app, bytes)
    }

    /// Whether an app may take this many bytes more: it will hold at most half of those that the
    /// others leave.
    pub fn has_bytes(&self, app: u64, bytes: u64) -> bool {
        self.of(app).bytes + 2 * bytes <= self.size.bytes.saturating_sub(self.held.bytes)
    }

    /// Books places and bytes for an app, whether or not they are free.
    pub fn take(&mut self, app: u64, more: Held) {
        let own = self.of(app);
        self.apps.insert(app, Held { places: own.places + more.places, bytes: own.bytes + more.bytes });
        self.held.places += more.places;
        self.held.bytes += more.bytes;
    }

    /// Returns places and bytes of an app to the room.
    pub fn give_back(&mut self, app: u64, less: Held) {
        let own = self.of(app);
        let left = Held { places: own.places.saturating_sub(less.places), bytes: own.bytes.saturating_sub(less.bytes) };
        self.held.places -= own.places - left.places;
        self.held.bytes -= own.bytes - left.bytes;
        match left {
            Held { places: 0, bytes: 0 } => drop(self.apps.remove(&app)),
            left => drop(self.apps.insert(app, left)),
        }
    }
}

/// Whether one more client may watch the live status where `places` may at once. `watching` holds
/// the app number of each client that watches, and `who` is that of the new one; `None` stands for
/// a person, whose key is not an app's. Apps share the places as they share a room, and people take
/// any that is free.
pub fn may_watch(places: u64, watching: impl Iterator<Item = Option<u64>>, who: Option<u64>) -> bool {
    let mut apps = Room::new(Held { places, bytes: 0 });
    let mut all: u64 = 0;
    for app in watching {
        all += 1;
        if let Some(app) = app {
            apps.take(app, Held { places: 1, bytes: 0 });
        }
    }
    all < places && who.is_none_or(|app| apps.has_room(app, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_app_takes_all_places_of_those_who_watch_and_people_take_any_that_is_free() {
        let mut watching = Vec::new();
        let mut fill = |who: Option<u64>| {
            let before = watching.len();
            while may_watch(250, watching.iter().copied(), who) {
                watching.push(who);
            }
            watching.len() - before
        };
        assert_eq!([fill(Some(1)), fill(Some(2)), fill(None), fill(Some(3))], [125, 63, 62, 0]);
    }

    #[test]
    fn people_who_watch_take_nothing_of_what_an_app_may_have() {
        let people = std::iter::repeat_n(None, 200);
        let app = |n: usize| std::iter::repeat_n(Some(1), n);
        assert!(may_watch(250, people.clone().chain(app(49)), Some(1)));
        assert!(!may_watch(250, people.chain(app(50)), None), "all places are taken");
    }

    /// Counts the places that an app gets which takes one after another.
    fn fill(room: &mut Room, app: u64) -> u64 {
        while room.has_room(app, 0) {
            room.take(app, Held { places: 1, bytes: 0 });
        }
        room.of(app).places
    }

    #[test]
    fn one_comes_to_half_the_next_to_a_quarter_and_none_to_all() {
        let mut room = Room::new(Held { places: 1_000, bytes: 0 });
        assert_eq!([1, 2, 3, 1].map(|app| fill(&mut room, app)), [500, 250, 125, 500]);
        room.give_back(1, Held { places: 500, bytes: 0 });
        assert_eq!(fill(&mut room, 3), 375, "half of what the second leaves");
    }

    #[test]
    fn bytes_are_parted_as_places_are() {
        let mut room = Room::new(Held { places: 10, bytes: 100 });
        assert!(room.has_room(1, 50) && !room.has_room(1, 51));
        room.take(1, Held { places: 1, bytes: 50 });
        assert!(!room.has_room(1, 1) && room.has_room(1, 0));
        assert!(room.has_room(2, 25) && !room.has_room(2, 26));
    }

    proptest! {
        #[test]
        fn sums_are_those_of_all_apps_and_no_app_is_without_a_place(
            steps in prop::collection::vec((0_u64..5, any::<bool>(), 0_u64..4, 0_u64..40), 0..100),
        ) {
            let mut room = Room::new(Held { places: 64, bytes: 400 });
            let mut model = [Held::default(); 5];
            for (app, takes, places, bytes) in steps {
                let own = &mut model[app as usize];
                if !takes {
                    room.give_back(app, Held { places, bytes });
                    own.places = own.places.saturating_sub(places);
                    own.bytes = own.bytes.saturating_sub(bytes);
                } else if room.has_room(app, bytes) {
                    room.take(app, Held { places: 1, bytes });
                    own.places += 1;
                    own.bytes += bytes;
                }
                let sum = |of: fn(&Held) -> u64| model.iter().map(of).sum::<u64>();
                let all = Held { places: sum(|held| held.places), bytes: sum(|held| held.bytes) };
                prop_assert_eq!(room.held(), all);
                prop_assert!(all.places < 64);
                let holders = model.iter().filter(|held| **held != Held::default()).count();
                prop_assert_eq!(room.apps.len(), holders);
                for (app, held) in (0..).zip(&model) {
                    prop_assert_eq!(room.of(app), *held);
                    let half = |size: u64, all: u64, own: u64| (size - (all - own)) / 2;
                    let places = held.places * 2 < 64 - (all.places - held.places);
                    let left = held.bytes + bytes <= half(400, all.bytes, held.bytes);
                    prop_assert_eq!(room.has_room(app, bytes), places && left);
                }
            }
        }
    }
}
