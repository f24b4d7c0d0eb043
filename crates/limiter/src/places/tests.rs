use super::*;
use proptest::prelude::*;

/// Weights that divide 60, so that what an app holds for its weight is a whole number of sixtieths.
const WEIGHTS: [u32; 6] = [1, 2, 3, 4, 5, 60];

/// Decides as [`Places`] should, by going through all apps at every question.
#[derive(Default)]
struct Model {
    size: u32,
    held: [u32; 8],
    weight: [u32; 8],
    latest: [usize; 8],
}

impl Model {
    fn apps(&self) -> impl Iterator<Item = usize> {
        (0..8).filter(|app| self.held[*app] > 0)
    }

    fn for_its_weight(&self, app: usize) -> u32 {
        self.held[app] * 60 / self.weight[app]
    }

    fn admit(&self, app: usize, weight: u32) -> Admit<usize> {
        if self.held.iter().sum::<u32>() < self.size {
            return Admit::Free;
        }
        let weight = if self.held[app] > 0 { self.weight[app] } else { weight };
        let weights: u32 = self.apps().filter(|other| *other != app).map(|other| self.weight[other]).sum();
        // A whole number is below a part if it is below that rounded up.
        if self.held[app] >= (self.size * weight).div_ceil(weights + weight) {
            return Admit::Full;
        }
        Admit::Instead(self.apps().max_by_key(|app| (self.for_its_weight(*app), self.latest[*app])).unwrap())
    }
}

proptest! {
    #[test]
    fn it_decides_as_a_count_of_all_apps_does(
        size in 0_u32..40,
        steps in prop::collection::vec((0_u8..6, 0_usize..8, 0_usize..6), 0..300),
    ) {
        let (mut places, mut model) = (Places::new(size), Model { size, ..Model::default() });
        for (at, (step, app, weight)) in steps.into_iter().enumerate() {
            let weight = WEIGHTS[weight];
            match step {
                0 => {
                    places.leave(&app);
                    model.held[app] = model.held[app].saturating_sub(1);
                }
                1 if app == 0 => {
                    model.size = weight;
                    places.resize(weight);
                }
                1 => {
                    places.weigh(&app, weight);
                    model.weight[app] = weight;
                }
                _ => {
                    let admit = places.admit(&app, weight);
                    prop_assert_eq!(&admit, &model.admit(app, weight));
                    if let Admit::Instead(other) = &admit {
                        prop_assert_ne!(*other, app);
                        places.leave(other);
                        model.held[*other] -= 1;
                    }
                    if admit != Admit::Full {
                        places.take(app, weight);
                        model.held[app] += 1;
                        (model.weight[app], model.latest[app]) = (weight, at);
                    }
                }
            }
            prop_assert_eq!(places.held(&app), model.held[app]);
            prop_assert_eq!(places.len(), model.held.iter().sum::<u32>());
            prop_assert_eq!(places.apps.len(), model.apps().count());
            prop_assert_eq!(places.order.len(), places.apps.len());
        }
    }
}

/// Whether an app gets a place, with the other that gave way for it having left.
fn comes(places: &mut Places<&'static str>, app: &'static str, weight: u32) -> bool {
    let admit = places.admit(&app, weight);
    if let Admit::Instead(other) = &admit {
        places.leave(other);
    }
    if admit != Admit::Full {
        places.take(app, weight);
    }
    admit != Admit::Full
}

#[test]
fn a_quiet_app_gets_its_part_beside_a_noisy_one_and_no_more() {
    let mut places = Places::new(40);
    assert_eq!((0..150).filter(|_| comes(&mut places, "noisy", 1)).count(), 40);
    assert_eq!((0..50).filter(|_| comes(&mut places, "quiet", 10)).count(), 37, "40 of 44 places are 36.4");
    assert_eq!((places.held(&"noisy"), places.held(&"quiet"), places.len()), (3, 37, 40));
}

#[test]
fn of_apps_that_hold_equally_much_the_latest_gives_way() {
    let mut places = Places::new(3);
    for app in ["c", "a", "b"] {
        assert!(comes(&mut places, app, 1));
    }
    assert_eq!(places.admit(&"d", 1), Admit::Instead("b"));
}

#[test]
fn apps_that_come_and_go_take_no_memory() {
    let mut places = Places::new(10);
    for app in 0..10_000_u32 {
        places.take(app, 1);
        places.leave(&app);
    }
    assert!(places.is_empty() && places.apps.is_empty() && places.order.is_empty());
}
