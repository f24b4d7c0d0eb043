use super::*;

fn counters(numbers: &[u32]) -> Vec<CounterId> {
    numbers.iter().copied().map(CounterId).collect()
}

#[test]
fn a_lane_that_takes_anothers_place_goes_on_from_its_numbers() {
    let mut lanes = Lanes::default();
    let class = lanes.add_class(1, counters(&[0]));
    let one = lanes.add(AppId(0), 1, class, counters(&[1, 0]), counters(&[1])).unwrap();
    let lane = lanes.get_mut(one).unwrap();
    (lane.seq, lane.reserved) = (7, 3);
    lanes.drop_idle(0);
    assert_eq!(lanes.find(AppId(0), 1), None);
    let other = lanes.add(AppId(5), 1, class, counters(&[2, 0]), counters(&[2])).unwrap();
    assert_eq!((other, lanes.get(other).unwrap().seq), (one, 10));
}

#[test]
fn lanes_in_use_keep_their_places() {
    let mut lanes = Lanes::default();
    let class = lanes.add_class(1, counters(&[0]));
    for app in 0..u32::try_from(MOST_LANES).unwrap() {
        let lane = lanes.add(AppId(app), 1, class, vec![], vec![]).unwrap();
        lanes.get_mut(lane).unwrap().leases = 1;
    }
    assert!(!lanes.make_room(0));
    lanes.get_mut(LaneId(17)).unwrap().leases = 0;
    assert!(lanes.make_room(0));
    assert_eq!(lanes.add(AppId(9_000), 1, class, vec![], vec![]), Some(LaneId(17)));
}

#[test]
fn a_lane_is_dropped_once_nothing_was_granted_on_it_for_ten_minutes_and_it_has_nothing_in_flight_nor_waiting() {
    let mut lanes = Lanes::default();
    let class = lanes.add_class(1, counters(&[0]));
    let [busy, waits, late, old, unused] =
        [0, 1, 2, 3, 4].map(|app| lanes.add(AppId(app), 1, class, vec![], vec![]).unwrap());
    lanes.pin(busy);
    lanes.pin(busy);
    lanes.get_mut(waits).unwrap().waiting = 1;
    (lanes.get_mut(late).unwrap().last_grant, lanes.get_mut(old).unwrap().last_grant) = (1, 0);
    // One that was never granted anything is idle at any time.
    assert!(lanes.get(unused).unwrap().last_grant < -1_000_000_000_000);
    lanes.drop_old(IDLE_MS);
    assert_eq!([0, 1, 2, 3, 4].map(|app| lanes.find(AppId(app), 1)), [Some(busy), Some(waits), Some(late), None, None]);
    assert_eq!(lanes.iter().map(|(at, lane)| (at.0, lane.app.0)).collect::<Vec<_>>(), [(0, 0), (1, 1), (2, 2)]);
    lanes.unpin(busy);
    lanes.drop_old(IDLE_MS + 1);
    assert_eq!([0, 1, 2].map(|app| lanes.find(AppId(app), 1)), [Some(busy), Some(waits), None]);
    lanes.unpin(busy);
    lanes.drop_old(IDLE_MS + 1);
    assert_eq!(lanes.iter_mut().count(), 1);
    assert_eq!((lanes.find(AppId(1), 3), lanes.find_class(1), lanes.find_class(3)), (None, Some(class), None));
}

#[test]
fn of_two_lanes_that_become_one_the_later_is_found_and_one_that_belongs_nowhere_gives_its_place_up() {
    let mut lanes = Lanes::default();
    let class = lanes.add_class(1, counters(&[0]));
    let [one, other, gone] = [0, 1, 2].map(|app| lanes.add(AppId(app), 1, class, vec![], vec![]).unwrap());
    lanes.rearrange([Class::new(2, counters(&[5])), Class::new(6, counters(&[5, 7]))].into_iter().collect(), |at| {
        (at != gone).then(|| Moved {
            app: AppId(9),
            mask: 6,
            class: ClassId(1),
            counters: counters(&[5, 7]),
            own: counters(&[7]),
        })
    });
    assert_eq!((lanes.find(AppId(9), 6), lanes.find(AppId(0), 1), lanes.find(AppId(2), 1)), (Some(other), None, None));
    assert_eq!(
        (lanes.get(one).unwrap().counters.clone(), lanes.get(one).unwrap().class),
        (counters(&[5, 7]), ClassId(1))
    );
    assert_eq!(
        (lanes.find_class(6), lanes.find_class(2), lanes.find_class(1)),
        (Some(ClassId(1)), Some(ClassId(0)), None)
    );
    // The first ends with its leases, and takes nothing of the other's with it.
    lanes.get_mut(other).unwrap().leases = 1;
    lanes.drop_idle(0);
    assert_eq!((lanes.find(AppId(9), 6), lanes.iter().count()), (Some(other), 1));
    assert_eq!(lanes.add(AppId(4), 2, ClassId(0), vec![], vec![]), Some(one));
    assert_eq!(lanes.add(AppId(5), 2, ClassId(0), vec![], vec![]), Some(gone));
}
