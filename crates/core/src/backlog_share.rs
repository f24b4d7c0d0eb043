//! Room that apps take for long: places and bytes of jobs, places of callbacks. No app may take it all: one may hold half of what is
//! free of the others'. One alone so comes to a half, a second to a quarter, and some is always left for one that comes later.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "each is taken away once where it was added, and twice the bytes of one job are far below 64 bits"
)]

use std::collections::BTreeMap;

/// An app's name as a number, 0 for no app: 64-bit FNV-1a. Two apps that fell together would share their part, and nothing else.
pub fn app_number(name: &str) -> u64 {
    if name.is_empty() {
        return 0;
    }
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// How much of a room somebody holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Places.
    pub places: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Room, and what apps hold of it. An app that holds nothing takes no memory.
#[derive(Debug)]
pub struct Room {
    size: Held,
    held: Held,
    apps: BTreeMap<u64, Held>,
}

impl Room {
    /// Room of that size, all free.
    pub const fn new(size: Held) -> Self {
        Self { size, held: Held { places: 0, bytes: 0 }, apps: BTreeMap::new() }
    }

    /// There are so many places from now on.
    pub const fn resize(&mut self, places: u64) {
        self.size.places = places;
    }

    /// What all apps hold.
    pub const fn held(&self) -> Held {
        self.held
    }

    /// What an app holds.
    pub fn of(&self, app: u64) -> Held {
        self.apps.get(&app).copied().unwrap_or_default()
    }

    /// The app that holds the most places.
    pub fn most(&self) -> Option<u64> {
        self.apps.iter().max_by_key(|(_, held)| held.places).map(|(app, _)| *app)
    }

    /// Whether an app may take one more place, and so many bytes: it holds less than half of the places that the others leave, and
    /// will hold at most half of the bytes that they leave.
    pub fn has_room(&self, app: u64, bytes: u64) -> bool {
        let own = self.of(app);
        let free = |size: u64, held: u64| size.saturating_sub(held);
        // What it holds is less than half of that and of what is free if it is less than what is free.
        own.places < free(self.size.places, self.held.places) && self.has_bytes(app, bytes)
    }

    /// Whether an app may take so many bytes more: it will hold at most half of those that the others leave.
    pub fn has_bytes(&self, app: u64, bytes: u64) -> bool {
        self.of(app).bytes + 2 * bytes <= self.size.bytes.saturating_sub(self.held.bytes)
    }

    /// An app takes places and bytes, whether or not they are free.
    pub fn take(&mut self, app: u64, more: Held) {
        let own = self.of(app);
        self.apps.insert(app, Held { places: own.places + more.places, bytes: own.bytes + more.bytes });
        self.held.places += more.places;
        self.held.bytes += more.bytes;
    }

    /// An app gives places and bytes back.
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

/// Whether one more may watch, where so many may at once. `watching`: of each who does, and `who`: of the one who comes, the app's number;
/// none of a person, whose key is no app's. Apps part the places as they part a room; people take any that is free.
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

    /// How many places an app comes to that takes one after another.
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
