use super::index::{Entry, MOST_BYTES, MOST_DONE, MOST_UNDONE, Stage};
use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn ids_are_in_the_order_of_their_making_and_read_back() {
    let (one, other) = (job_id(1_781_524_800_000, u128::MAX), job_id(1_781_524_800_001, 0));
    assert!(one < other);
    assert_eq!(parse_id(&id_text(one)), Some(one));
    assert_eq!(id_text(one).len(), 32);
    for text in ["", "x", &id_text(one)[1..], &id_text(one).to_uppercase(), &format!("{}0", id_text(one))] {
        assert_eq!(parse_id(text), None, "{text}");
    }
}

fn entry(id: u128, lane: u32, stage: Stage, at: i64) -> Entry {
    Entry { id, stage, at, run: 0, lane, urgency: 5, key: 0, bytes: 10, since: at, begun: false }
}

#[test]
fn jobs_of_a_lane_go_by_their_time_and_a_level_is_worth_a_minute() {
    let mut index = Index::default();
    let lane = index.lanes.lane("c", "a", 0);
    index.insert(entry(1, lane, Stage::Ready, 0));
    index.insert(Entry { urgency: 4, ..entry(2, lane, Stage::Ready, 59_999) });
    index.insert(Entry { urgency: 4, ..entry(3, lane, Stage::Ready, 60_001) });
    let mut order = Vec::new();
    while let Some(first) = index.first(lane) {
        index.set(first.id, Stage::Granted, first.at);
        order.push(first.id);
    }
    assert_eq!(order, [2, 1, 3]);
}

#[test]
fn waiting_brings_a_job_to_where_ordinary_calls_are_and_no_further() {
    let mut index = Index::default();
    let lane = index.lanes.lane("c", "a", 0);
    index.insert(entry(1, lane, Stage::Ready, 0));
    let levels = [0, 59_999, 60_000, 120_000, 3_600_000].map(|now| index.wants(lane, now).1);
    assert_eq!(levels, [5, 5, 4, 3, 3]);
    index.insert(Entry { urgency: 1, ..entry(2, lane, Stage::Ready, 0) });
    assert_eq!(index.wants(lane, 3_600_000), (2, 1, None));
}

#[test]
fn what_is_due_comes_once_and_in_order() {
    let mut index = Index::default();
    let lane = index.lanes.lane("c", "a", 0);
    index.insert(entry(1, lane, Stage::Later, 30));
    index.insert(entry(2, lane, Stage::Running, 20));
    index.insert(entry(3, lane, Stage::Done, 10));
    index.set(3, Stage::Done, 40);
    assert_eq!(index.due(15).map(|entry| entry.id), None);
    assert_eq!(index.due(30).map(|entry| entry.id), Some(2));
    assert_eq!(index.due(30).map(|entry| entry.id), Some(1));
    assert_eq!(index.due(30).map(|entry| entry.id), None);
    assert_eq!(index.next_due(), Some(40));
}

#[test]
fn the_job_that_has_waited_longest_for_its_first_attempt_is_known() {
    let mut index = Index::default();
    let lane = index.lanes.lane("c", "a", 0);
    for (id, since) in [(1, 30), (2, 10), (3, 20)] {
        index.insert(Entry { since, ..entry(id, lane, Stage::Ready, 0) });
    }
    index.insert(Entry { begun: true, since: 0, ..entry(4, lane, Stage::Later, 99) });
    index.insert(Entry { since: 0, ..entry(5, lane, Stage::Dead, 99) });
    assert_eq!(index.first_fresh(), Some((10, 2)));
    // The job runs, and comes back unsent.
    index.set_begun(2, true);
    index.set(2, Stage::Running, 50);
    assert_eq!(index.first_fresh(), Some((20, 3)));
    index.set(2, Stage::Later, 60);
    index.set_begun(2, false);
    assert_eq!(index.first_fresh(), Some((10, 2)));
    index.set_back(5);
    assert_eq!(index.first_fresh(), Some((5, 2)));
    [2, 3, 1].into_iter().for_each(|id| index.set(id, Stage::Done, 99));
    assert_eq!(index.first_fresh(), None);
    for _ in 0..1_000 {
        index.set_begun(4, false);
        index.set_begun(4, true);
    }
    assert!(index.fresh.len() <= 2 * 5 + 66);
}

#[test]
fn counts_follow_what_happens_to_jobs() {
    let mut index = Index::default();
    let (lane, other) = (index.lanes.lane("c", "a", 0), index.lanes.lane("d", "a", 0));
    for id in 1..=4 {
        index.insert(entry(id, lane, Stage::Ready, 0));
    }
    index.insert(entry(5, other, Stage::Dead, 9));
    index.set(1, Stage::Granted, 0);
    index.set(2, Stage::Running, 9);
    index.set(3, Stage::Done, 9);
    let counts = index.lanes.counts("c");
    assert_eq!((counts.queued, counts.running, counts.dead), (2, 1, 0));
    assert_eq!(index.lanes.counts("d").dead, 1);
    assert_eq!(index.live(), 3);
    index.remove(4);
    index.compact();
    assert_eq!((index.lanes.counts("c").queued, index.iter().count()), (1, 4));
}

#[test]
fn a_job_that_was_removed_is_gone_and_its_id_may_be_used_again() {
    let mut index = Index::default();
    let lane = index.lanes.lane("c", "a", 0);
    for id in 1..=100 {
        index.insert(entry(id, lane, Stage::Ready, 0));
    }
    index.remove(50);
    index.compact();
    index.set(50, Stage::Done, 9);
    index.set_run(50, 3);
    assert!(index.get(50).is_none());
    assert_eq!((index.iter().count(), index.before(Some(51)).count(), index.lanes.counts("c").queued), (99, 49, 99));
    index.insert(entry(50, lane, Stage::Ready, 0));
    index.compact();
    assert_eq!((index.get(50).map(|entry| entry.run), index.iter().count(), index.live()), (Some(0), 100, 100));
    (1..=100).for_each(|id| index.remove(id));
    index.compact();
    assert!(index.is_empty() && index.iter().next().is_none());
}

#[test]
fn a_key_stands_for_its_job_until_that_is_forgotten() {
    let mut index = Index::default();
    let lane = index.lanes.lane("c", "a", 0);
    index.insert(Entry { key: 7, ..entry(1, lane, Stage::Done, 0) });
    index.insert(Entry { key: 7, ..entry(2, lane, Stage::Ready, 0) });
    assert_eq!((index.of_key(7), index.of_key(8)), (Some(2), None));
    index.remove(1);
    assert_eq!(index.of_key(7), Some(2));
    index.remove(2);
    assert_eq!(index.of_key(7), None);
}

#[test]
fn there_is_room_up_to_the_bounds_and_the_oldest_done_jobs_make_way() {
    let mut index = Index::default();
    let lane = index.lanes.lane("c", "a", 0);
    for id in 0..MOST_UNDONE as u128 / 2 {
        assert!(index.has_room("a", 1));
        index.insert(entry(id, lane, Stage::Dead, i64::MAX));
    }
    assert!(!index.has_room("a", 1) && index.has_room("b", 1), "half of the places");
    for id in 0..MOST_UNDONE as u128 / 2 {
        index.set(id, Stage::Done, i64::MAX);
    }
    assert!(index.has_room("a", 1));
    for id in MOST_UNDONE as u128 / 2..MOST_DONE as u128 {
        index.insert(entry(id, lane, Stage::Done, i64::MAX));
    }
    assert!(index.too_many_done().is_empty());
    index.insert(entry(1 << 100, lane, Stage::Done, i64::MAX));
    let old = index.too_many_done();
    assert_eq!((old.first(), old.len()), (Some(&0), MOST_DONE / 100 + 1));
}

#[test]
fn an_app_takes_half_of_the_bytes_that_others_leave_and_gives_them_back() {
    let mut index = Index::default();
    let half = MOST_BYTES / 2;
    assert!(index.has_room("a", half) && !index.has_room("a", half + 1));
    let (lane, other) = (index.lanes.lane("c", "a", 0), index.lanes.lane("c", "b", 0));
    index.insert(Entry { bytes: u32::try_from(half).unwrap(), ..entry(1, lane, Stage::Ready, 0) });
    index.insert(Entry { bytes: 1, ..entry(2, other, Stage::Ready, 0) });
    assert!(!index.has_room("a", 1) && index.has_room("b", half / 2 - 1) && !index.has_room("b", half / 2));
    index.set_bytes(1, 7);
    assert!(index.has_room("a", half - 10) && !index.has_room("a", half));
    index.remove(1);
    index.remove(2);
    assert!(index.has_room("a", half) && index.has_room("b", half));
}

/// What the limiter knows: the jobs and the urgency of each lane.
type Told = BTreeMap<(String, String), (u32, u8)>;

/// Reports all changed lanes to a limiter, as the tenant state does. Returns how many there were.
fn tell(index: &mut Index, connection: &str, told: &mut Told, now: i64) -> usize {
    let mut said = 0;
    while let Some((at, held_back)) = index.lanes.next_changed(connection) {
        let (wanted, urgency, rises) = if held_back { (0, 0, None) } else { index.wants(at, now) };
        let lane = index.lanes.get(at).unwrap();
        let place = (lane.connection.clone(), lane.app.clone());
        let number = (wanted > 0).then(|| lane.app.bytes().map(u32::from).sum());
        match wanted {
            0 => drop(told.remove(&place)),
            _ => drop(told.insert(place, (wanted, urgency))),
        }
        index.lanes.said(at, number, rises);
        said += 1;
    }
    said
}

const STAGES: [Stage; 6] = [Stage::Later, Stage::Ready, Stage::Granted, Stage::Running, Stage::Done, Stage::Dead];

proptest! {
    #[test]
    fn a_throttle_told_of_the_lanes_that_changed_knows_what_all_lanes_want(
        steps in prop::collection::vec((0_u8..8, 0_u128..24, 0_usize..6, 0_i64..100_000), 1..200),
    ) {
        let (mut index, mut told, mut now) = (Index::default(), Told::new(), 0);
        let mut held_back = false;
        for (step, id, stage, ms) in steps {
            // A job stays in its lane, which its id determines.
            let (connection, app) = (["c", "d"][(id % 2) as usize], ["a", "b", "e"][(id % 3) as usize]);
            match step {
                0 => index.remove(id),
                1 => now += ms,
                2 => held_back = stage > 2,
                3 => index.lanes.repeat_one("c"),
                4 => {
                    let lane = index.lanes.lane(connection, app, 0);
                    index.insert(Entry { urgency: 3 + u8::try_from(stage).unwrap(), ..entry(id, lane, Stage::Ready, now) });
                }
                _ => index.set(id, STAGES[stage], now + ms),
            }
            index.compact();
            while index.lanes.risen(now).is_some() {}
            index.lanes.hold_back("c", held_back);
            for connection in ["c", "d"] {
                tell(&mut index, connection, &mut told, now);
            }
            let entries: Vec<Entry> = index.iter().copied().collect();
            let lanes: BTreeSet<u32> = entries.iter().map(|entry| entry.lane).collect();
            let mut model = Told::new();
            for lane in &lanes {
                let own = || entries.iter().filter(|entry| entry.lane == *lane);
                let (wanted, urgency, _) = index.wants(*lane, now);
                prop_assert_eq!(wanted as usize, own().filter(|entry| entry.stage == Stage::Ready).count());
                let kept = index.lanes.get(*lane).unwrap();
                if wanted > 0 && !(held_back && kept.connection == "c") {
                    model.insert((kept.connection.clone(), kept.app.clone()), (wanted, urgency));
                }
            }
            // The urgency may be a second late.
            for (place, (wanted, urgency)) in &model {
                let (known, said) = told.get(place).copied().unwrap_or_default();
                prop_assert_eq!(known, *wanted);
                prop_assert!(said == *urgency || index.lanes.next_rise().is_some_and(|at| at <= now + 1_000));
            }
            prop_assert_eq!(told.len(), model.len());
            prop_assert_eq!(index.lanes.len(), lanes.len(), "a lane without jobs is freed");
            for connection in ["c", "d"] {
                let of = |stages: &[Stage]| {
                    let own = |lane: u32| index.lanes.get(lane).unwrap().connection == connection;
                    entries.iter().filter(|entry| own(entry.lane) && stages.contains(&entry.stage)).count()
                };
                let counts = index.lanes.counts(connection);
                prop_assert_eq!(counts.queued as usize, of(&STAGES[..3]));
                prop_assert_eq!(counts.running as usize, of(&[Stage::Running]));
                prop_assert_eq!(counts.dead as usize, of(&[Stage::Dead]));
                prop_assert_eq!(index.lanes.has_waiting(connection), of(&[Stage::Ready]) > 0);
            }
        }
    }
}

#[test]
fn an_event_looks_at_the_lanes_it_has_changed_and_at_one_more() {
    let (mut index, mut told) = (Index::default(), Told::new());
    for id in 0..1_000 {
        let lane = index.lanes.lane("c", &format!("app-{id}"), 0);
        index.insert(entry(id, lane, Stage::Ready, 0));
    }
    assert_eq!(tell(&mut index, "c", &mut told, 0), 1_000);
    index.set(500, Stage::Granted, 0);
    index.lanes.repeat_one("c");
    assert_eq!(tell(&mut index, "c", &mut told, 0), 2);
}

#[test]
fn lanes_come_back_in_the_places_of_those_that_were_freed() {
    let mut index = Index::default();
    for id in 0..10_000 {
        let lane = index.lanes.lane("c", &format!("app-{id}"), 0);
        index.insert(entry(id, lane, Stage::Dead, 9));
        assert!(lane < 2);
        index.remove(id);
        index.compact();
    }
    assert!(index.lanes.is_empty());
}
