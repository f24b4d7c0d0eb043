//! The table of calls, their checks, and the order within an app, against lists that keep the same plainly.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    /// Of that line; arrived so long before the latest; whether it is a place of jobs.
    Come(u8, i64, bool),
    Leave(usize),
    /// A ticket that has been given back already is tried again.
    LeaveAgain(usize),
    /// Everybody stands in lines anew, those of one line elsewhere.
    Rearrange(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u8..3, 0_i64..3, any::<bool>()).prop_map(|(line, late, jobs)| Step::Come(line, late * 40, jobs)),
        4 => any::<usize>().prop_map(Step::Leave),
        1 => any::<usize>().prop_map(Step::LeaveAgain),
        1 => (0_u8..3).prop_map(Step::Rearrange),
    ]
}

/// One who waits: the ticket, the call, and its line.
type Held = (Ticket, Waiting, u8);

fn last_of(held: &[Held], line: u8) -> SlotId {
    held.iter().rev().find(|(.., of)| *of == line).map_or(SlotId::NONE, |(ticket, ..)| ticket.slot)
}

proptest! {
    #[test]
    fn the_table_knows_who_waits_since_when_and_behind_whom(steps in prop::collection::vec(step(), 1..120)) {
        let (mut table, mut held, mut gone) = (CallTable::default(), Vec::<Held>::new(), Vec::new());
        let (mut time, mut next) = (1_000, 0_u128);
        for step in steps {
            time += 10;
            match step {
                Step::Come(line, late, jobs) => {
                    next += 1;
                    let arrived = time - late;
                    let jobs = NonZeroU32::new(u32::from(jobs) * 3);
                    let call = Waiting {
                        app: AppId(0), lane: LaneId(u32::from(line)), urgency: 3, arrived, asked: arrived, deadline: 0, call: next, jobs,
                    };
                    let ticket = table.insert(call, last_of(&held, line)).unwrap();
                    held.push((ticket, call, line));
                }
                Step::Leave(which) if !held.is_empty() => {
                    let at = which % held.len();
                    let (ticket, call, line) = held.remove(at);
                    let before = last_of(&held[..at], line);
                    let behind = held[at..].iter().find(|(.., of)| *of == line).map_or(SlotId::NONE, |(ticket, ..)| ticket.slot);
                    prop_assert_eq!(table.remove(ticket), Some((call, before, behind)));
                    gone.push((ticket, call));
                }
                Step::LeaveAgain(which) if !gone.is_empty() => {
                    let (ticket, _) = gone[which % gone.len()];
                    prop_assert_eq!(table.remove(ticket), None);
                    prop_assert_eq!(table.get(ticket), None);
                    prop_assert_eq!(table.get_mut(ticket), None);
                }
                Step::Rearrange(line) => {
                    let all = table.detach();
                    prop_assert_eq!(&all, &held.iter().map(|(ticket, ..)| *ticket).collect::<Vec<_>>());
                    for at in 0..held.len() {
                        held[at].2 = if held[at].2 == line { (line + 1) % 3 } else { held[at].2 };
                        let last = last_of(&held[..at], held[at].2);
                        held[at].1.lane = LaneId(u32::from(held[at].2));
                        table.move_to(held[at].0, held[at].1, last);
                    }
                }
                _ => {}
            }
            for (ticket, call, _) in &held {
                prop_assert_eq!(table.get(*ticket), Some(call));
                prop_assert_eq!(table.get_mut(*ticket).copied(), Some(*call));
                prop_assert_eq!(table.ticket(ticket.slot), Some(*ticket));
                prop_assert_eq!(table.find(call.call), (call.jobs.is_none()).then_some(*ticket));
            }
            for (_, call) in &gone {
                prop_assert_eq!(table.find(call.call), None);
            }
            prop_assert_eq!(table.all(), held.iter().map(|(ticket, call, _)| (*ticket, *call)).collect::<Vec<_>>());
            let mut callers: Vec<Held> = held.iter().filter(|(_, call, _)| call.jobs.is_none()).copied().collect();
            callers.sort_by_key(|(_, call, _)| call.arrived);
            prop_assert_eq!(table.callers().collect::<Vec<_>>(), callers.iter().map(|(ticket, ..)| *ticket).collect::<Vec<_>>());
            prop_assert_eq!(table.oldest(), callers.first().map(|(_, call, _)| call.arrived));
        }
    }

    #[test]
    fn each_check_comes_once_at_its_time_and_those_of_calls_that_left_do_not(
        steps in prop::collection::vec((0_i64..300, any::<bool>(), 0_i64..40), 1..300),
    ) {
        let (mut checks, mut model) = (Rechecks::default(), Vec::<(i64, Ticket)>::new());
        let (mut waiting, mut time, mut serial) = (Vec::<Ticket>::new(), 0, 0);
        for (ahead, leaves, pass) in steps {
            serial += 1;
            let ticket = Ticket { slot: SlotId(0), serial };
            waiting.push(ticket);
            checks.add(ticket, time + ahead, waiting.len(), |ticket| waiting.contains(&ticket));
            model.push((time + ahead, ticket));
            if leaves {
                let left = waiting.remove(waiting.len() / 2);
                model.retain(|(_, ticket)| *ticket != left);
            }
            prop_assert!(checks.len() <= 2 * (waiting.len() + 1) + 65, "{} for {}", checks.len(), waiting.len());
            time += pass;
            model.sort_unstable();
            prop_assert_eq!(checks.next(|ticket| waiting.contains(&ticket)), model.first().map(|(at, _)| *at));
            while let Some(ticket) = checks.due(time, |ticket| waiting.contains(&ticket)) {
                let (at, expected) = model.remove(0);
                prop_assert_eq!((expected, at <= time), (ticket, true));
            }
            prop_assert!(model.first().is_none_or(|(at, _)| *at > time));
        }
    }

    #[test]
    fn within_an_app_the_most_urgent_goes_first_and_of_these_who_came_first(
        steps in prop::collection::vec((0_u8..10, 0_u8..4), 1..100),
    ) {
        let mut queue = Queue::new(1_000, [1].into_iter());
        // By urgency and number; what stands behind a number came later.
        let mut model: Vec<(u8, u128)> = Vec::new();
        for (id, (urgency, what)) in (1_u128..).zip(steps) {
            let call = Waiting { app: AppId(0), lane: LaneId(4), urgency, arrived: 0, asked: 0, deadline: 9, call: id, jobs: None };
            queue.push(call, ClassId(0), 5).unwrap();
            model.push((urgency.min(7), id));
            model.sort_unstable();
            if what == 0 {
                let (_, gone) = model.remove(model.len() / 2);
                let ticket = queue.find(gone).unwrap();
                prop_assert_eq!(queue.remove(ticket).unwrap().call, gone);
            }
            if what == 1 {
                let ticket = queue.next(&mut Open).unwrap();
                prop_assert_eq!(queue.serve(ticket).unwrap().call, model.remove(0).1);
            }
            prop_assert_eq!((queue.callers(), queue.is_empty()), (model.len(), model.is_empty()));
            let last = queue.last_of(AppId(0)).and_then(|ticket| queue.get(ticket)).map(|call| call.call);
            prop_assert_eq!(last, model.last().map(|(_, id)| *id));
            for urgency in 0..10 {
                let ahead = model.iter().filter(|(level, _)| *level <= urgency).count() as u64;
                prop_assert_eq!(queue.ahead(AppId(0), urgency, |lane| lane == LaneId(4)), ahead);
                prop_assert_eq!(queue.ahead(AppId(0), urgency, |_| false), 0);
            }
            let all = model.len() as u64;
            prop_assert_eq!((queue.waiting_in(ClassId(0)), queue.waiting_in(ClassId(1)), queue.waiting_of(AppId(0), |_| true)), (all, 0, all));
            prop_assert_eq!((queue.ready_in(ClassId(0), &mut Open), queue.ready_classes().count()), (all, usize::from(all > 0)));
            prop_assert_eq!((queue.is_all(AppId(0), LaneId(4)), queue.is_all(AppId(0), LaneId(5))), (true, all == 0));
        }
    }
}

/// All limits have room.
struct Open;

impl Room for Open {
    fn is_open(&mut self, _: ClassId) -> bool {
        true
    }

    fn blocked_until(&mut self, _: LaneId) -> Option<i64> {
        None
    }
}

#[test]
fn a_place_of_jobs_stands_for_as_many_as_were_said_last_and_a_callers_for_itself() {
    let mut queue = Queue::new(10, [1].into_iter());
    let call =
        Waiting { app: AppId(0), lane: LaneId(0), urgency: 3, arrived: 0, asked: 0, deadline: 9, call: 1, jobs: None };
    let caller = queue.push(call, ClassId(0), 0).unwrap();
    let jobs = queue.push(Waiting { jobs: NonZeroU32::new(5), ..call }, ClassId(0), 0).unwrap();
    for n in [1, 9, 0].into_iter().filter_map(NonZeroU32::new) {
        queue.stand_for(jobs, n);
        queue.stand_for(caller, n);
    }
    assert_eq!(
        (queue.get(jobs).unwrap().jobs, queue.get(caller).unwrap().jobs),
        (NonZeroU32::new(9), None),
        "none is no number of jobs"
    );
    assert_eq!((queue.callers(), queue.apps.get(AppId(0)).unwrap().waiting), (1, 10));
}

#[test]
fn the_latest_caller_of_a_line_is_found_past_places_of_jobs() {
    let mut table = CallTable::default();
    let call = |jobs| Waiting {
        app: AppId(0),
        lane: LaneId(0),
        urgency: 3,
        arrived: 0,
        asked: 0,
        deadline: 9,
        call: 1,
        jobs: NonZeroU32::new(jobs),
    };
    let first = table.insert(call(0), SlotId::NONE).unwrap();
    let jobs = table.insert(call(2), first.slot).unwrap();
    assert_eq!((table.last_caller(jobs.slot), table.last_caller(first.slot)), (Some(first), Some(first)));
    assert_eq!(table.last_caller(SlotId::NONE), None);
}

#[test]
fn checks_that_calls_have_left_behind_are_at_most_twice_those_that_wait_and_a_few() {
    let mut checks = Rechecks::default();
    for serial in 0..3_000 {
        let ticket = |serial| Ticket { slot: SlotId(0), serial };
        let waits = |ticket: Ticket| ticket.serial + 30 > serial;
        checks.add(ticket(serial), 9, 30, waits);
        assert!(checks.len() <= 2 * 30 + 65, "{}", checks.len());
    }
    let mut due = Vec::new();
    while let Some(ticket) = checks.due(9, |ticket| ticket.serial > 2_969) {
        due.push(ticket.serial);
    }
    assert_eq!(due, (2_970..3_000).collect::<Vec<_>>(), "none of those that wait is forgotten");
}

#[test]
fn apps_in_different_classes_share_what_both_wait_for_and_of_those_that_overtake_the_most_urgent_goes() {
    let mut queue = Queue::new(1_000, [1; 4].into_iter());
    let call = |app, urgency| Waiting {
        app: AppId(app),
        lane: LaneId(app),
        urgency,
        arrived: 0,
        asked: 0,
        deadline: 9,
        call: 0,
        jobs: None,
    };
    for _ in 0..40 {
        queue.push(call(0, 5), ClassId(0), 0).unwrap();
        queue.push(call(1, 5), ClassId(1), 0).unwrap();
    }
    let go = |queue: &mut Queue| {
        let ticket = queue.next(&mut Open).unwrap();
        queue.serve(ticket).unwrap().app.0
    };
    let of_first = (0..40).filter(|_| go(&mut queue) == 0).count();
    assert!((19..=21).contains(&of_first), "{of_first} of 40");
    queue.push(call(2, 2), ClassId(0), 0).unwrap();
    queue.push(call(3, 1), ClassId(1), 0).unwrap();
    assert_eq!([go(&mut queue), go(&mut queue)], [3, 2]);
}
