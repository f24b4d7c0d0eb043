use super::index::{Entry, MOST_DONE, MOST_UNDONE, Stage};
use super::*;

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
    Entry { id, stage, at, run: 0, lane, urgency: 5, key: 0, bytes: 10 }
}

#[test]
fn jobs_of_a_lane_go_by_their_time_and_a_level_is_worth_a_minute() {
    let mut index = Index::default();
    let lane = index.lane("c", "a", 0);
    index.insert(entry(1, lane, Stage::Ready, 0));
    index.insert(Entry { urgency: 4, ..entry(2, lane, Stage::Ready, 59_999) });
    index.insert(Entry { urgency: 4, ..entry(3, lane, Stage::Ready, 60_001) });
    let mut order = Vec::new();
    while let Some(first) = index.first(0) {
        index.set(first.id, Stage::Granted, first.at);
        order.push(first.id);
    }
    assert_eq!(order, [2, 1, 3]);
}

#[test]
fn waiting_brings_a_job_to_where_ordinary_calls_are_and_no_further() {
    let mut index = Index::default();
    let lane = index.lane("c", "a", 0);
    index.insert(entry(1, lane, Stage::Ready, 0));
    let levels = [0, 59_999, 60_000, 120_000, 3_600_000].map(|now| index.wants(0, now).1);
    assert_eq!(levels, [5, 5, 4, 3, 3]);
    index.insert(Entry { urgency: 1, ..entry(2, lane, Stage::Ready, 0) });
    assert_eq!(index.wants(0, 3_600_000), (2, 1));
}

#[test]
fn what_is_due_comes_once_and_in_order() {
    let mut index = Index::default();
    let lane = index.lane("c", "a", 0);
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
fn counts_follow_what_happens_to_jobs() {
    let mut index = Index::default();
    let (lane, other) = (index.lane("c", "a", 0), index.lane("d", "a", 0));
    for id in 1..=4 {
        index.insert(entry(id, lane, Stage::Ready, 0));
    }
    index.insert(entry(5, other, Stage::Dead, 9));
    index.set(1, Stage::Granted, 0);
    index.set(2, Stage::Running, 9);
    index.set(3, Stage::Done, 9);
    let counts = index.counts("c");
    assert_eq!((counts.queued, counts.running, counts.dead), (2, 1, 0));
    assert_eq!(index.counts("d").dead, 1);
    assert_eq!(index.live(), 3);
    index.remove(4);
    index.compact();
    assert_eq!((index.counts("c").queued, index.iter().count()), (1, 4));
}

#[test]
fn a_job_that_was_removed_is_gone_and_its_id_may_be_used_again() {
    let mut index = Index::default();
    let lane = index.lane("c", "a", 0);
    for id in 1..=100 {
        index.insert(entry(id, lane, Stage::Ready, 0));
    }
    index.remove(50);
    index.compact();
    index.set(50, Stage::Done, 9);
    index.set_run(50, 3);
    assert!(index.get(50).is_none());
    assert_eq!((index.iter().count(), index.before(Some(51)).count(), index.counts("c").queued), (99, 49, 99));
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
    let lane = index.lane("c", "a", 0);
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
    let lane = index.lane("c", "a", 0);
    for id in 0..MOST_UNDONE as u128 {
        assert!(index.has_room(1));
        index.insert(entry(id, lane, Stage::Dead, i64::MAX));
    }
    assert!(!index.has_room(1));
    for id in 0..MOST_DONE as u128 {
        index.set(id, Stage::Done, i64::MAX);
    }
    assert!(index.has_room(1) && index.too_many_done().is_empty());
    index.insert(entry(1 << 100, lane, Stage::Done, i64::MAX));
    let old = index.too_many_done();
    assert_eq!((old.first(), old.len()), (Some(&0), MOST_DONE / 100 + 1));
}
