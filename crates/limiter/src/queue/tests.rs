use super::*;
use crate::index::Index;

fn call(app: u32, urgency: u8) -> Waiting {
    Waiting { app: AppId(app), lane: LaneId(app), urgency, arrived: 0, asked: 0, deadline: 10_000, call: 0, jobs: None }
}

/// The shared limits have room; when each lane's own have.
struct Lanes<F: FnMut(LaneId) -> Option<i64>>(F);

impl<F: FnMut(LaneId) -> Option<i64>> Room for Lanes<F> {
    fn is_open(&mut self, _: ClassId) -> bool {
        true
    }

    fn blocked_until(&mut self, lane: LaneId) -> Option<i64> {
        (self.0)(lane)
    }
}

fn fill(queue: &mut Queue, calls: usize, app: u32, urgency: u8) {
    (0..calls).for_each(|_| assert!(queue.push(call(app, urgency), ClassId(0), 0).is_some()));
}

fn serve(queue: &mut Queue) -> Waiting {
    let ticket = queue.next(&mut Lanes(|_| None)).unwrap();
    queue.serve(ticket).unwrap()
}

#[test]
fn each_quiet_app_goes_before_the_noisy_one_whatever_urgency_it_claims() {
    for claimed in [0, 3] {
        let mut queue = Queue::new(1_000, [1; 8].into_iter());
        fill(&mut queue, 200, 0, claimed);
        (1..8).for_each(|app| fill(&mut queue, 1, app, 3));
        let mut served: Vec<_> = (0..8).map(|_| serve(&mut queue).app.0).collect();
        served.sort_unstable();
        assert_eq!(served, [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}

#[test]
fn weights_three_to_one_give_three_to_one() {
    let mut queue = Queue::new(1_000, [3, 1].into_iter());
    for _ in 0..400 {
        queue.push(call(0, 3), ClassId(0), 0).unwrap();
        queue.push(call(1, 3), ClassId(0), 0).unwrap();
    }
    let first = (0..400).filter(|_| serve(&mut queue).app == AppId(0)).count();
    assert!((285..=315).contains(&first), "{first} of 400");
}

#[test]
fn a_few_urgent_calls_overtake_and_are_charged_for() {
    let mut queue = Queue::new(1_000, [1, 1].into_iter());
    fill(&mut queue, 20, 0, 5);
    fill(&mut queue, 4, 1, 0);
    assert_eq!((0..4).map(|_| serve(&mut queue).app.0).collect::<Vec<_>>(), [1; 4]);
    queue.push(call(1, 5), ClassId(0), 0).unwrap();
    assert_eq!((0..3).map(|_| serve(&mut queue).app.0).collect::<Vec<_>>(), [0; 3]);
}

#[test]
fn within_an_app_the_urgent_go_first_then_first_come() {
    let mut queue = Queue::new(1_000, [1].into_iter());
    for (urgency, id) in [(3, 1), (0, 2), (7, 3), (0, 4)] {
        queue.push(Waiting { call: id, ..call(0, urgency) }, ClassId(0), 0).unwrap();
    }
    assert_eq!((0..4).map(|_| serve(&mut queue).call).collect::<Vec<_>>(), [2, 4, 1, 3]);
}

#[test]
fn a_call_that_is_blocked_is_passed_by_and_keeps_its_turn() {
    let mut queue = Queue::new(1_000, [1, 1].into_iter());
    queue.push(call(0, 3), ClassId(0), 0).unwrap();
    queue.push(call(1, 3), ClassId(0), 0).unwrap();
    let ticket = queue.next(&mut Lanes(|lane| (lane == LaneId(0)).then_some(70))).unwrap();
    assert_eq!(queue.get(ticket).unwrap().app, AppId(1));
    assert!(queue.next(&mut Lanes(|_| Some(i64::MAX))).is_none());
    queue.unpark_due(69);
    assert!(queue.next(&mut Lanes(|_| None)).is_none(), "nothing has changed");
    assert_eq!(queue.next_unpark(), Some(70));
    queue.unpark_due(70);
    assert_eq!(serve(&mut queue).app, AppId(0));
    queue.unpark(AppId(1));
    assert_eq!(serve(&mut queue).app, AppId(1));
}

#[test]
fn one_that_leaves_from_the_middle_frees_its_place() {
    let mut queue = Queue::new(1_000, [1].into_iter());
    let tickets: Vec<_> =
        (0..3).map(|id| queue.push(Waiting { call: id, ..call(0, 3) }, ClassId(0), 5).unwrap()).collect();
    queue.remove(tickets[1]).unwrap();
    assert!(queue.remove(tickets[1]).is_none());
    assert_eq!(queue.callers(), 2);
    assert_eq!((serve(&mut queue).call, serve(&mut queue).call), (0, 2));
    assert_eq!(queue.due(10), None);
}

#[test]
fn checks_of_calls_that_left_do_not_pile_up() {
    let mut queue = Queue::new(1_000, [1].into_iter());
    for _ in 0..10_000 {
        let ticket = queue.push(call(0, 3), ClassId(0), 1_000).unwrap();
        queue.remove(ticket).unwrap();
    }
    assert!(queue.checks.len() < 200);
}

#[test]
fn the_last_caller_of_an_app_is_the_least_urgent_and_of_these_the_latest() {
    let mut queue = Queue::new(10, [1].into_iter());
    for (urgency, id, jobs) in [(3, 1, 0), (5, 2, 0), (5, 3, 0), (5, 0, 9), (0, 5, 0)] {
        queue.push(Waiting { call: id, jobs: NonZeroU32::new(jobs), ..call(0, urgency) }, ClassId(0), 0).unwrap();
    }
    let last = queue.last_of(AppId(0)).unwrap();
    assert_eq!(queue.get(last).unwrap().call, 3, "a place of jobs is no caller's");
}

#[test]
fn an_app_that_a_third_one_blocked_all_along_gets_its_share_and_no_more() {
    // App 2 waits for its own limit for ever; app 0 has gone alone for long; then app 1 comes.
    let mut queue = Queue::new(1_000, [1; 3].into_iter());
    queue.push(call(2, 5), ClassId(0), 0).unwrap();
    let mut own = Lanes(|lane| (lane == LaneId(2)).then_some(i64::MAX));
    assert!(queue.next(&mut own).is_none());
    (0..3_000).for_each(|_| queue.charge(AppId(0)));
    (0..40).for_each(|_| {
        queue.push(call(0, 3), ClassId(0), 0).unwrap();
        queue.push(call(1, 3), ClassId(0), 0).unwrap();
    });
    let of_first = (0..40).filter(|_| {
        let ticket = queue.next(&mut own).unwrap();
        queue.serve(ticket).unwrap().app == AppId(0)
    });
    assert!((19..=21).contains(&of_first.count()));
}

/// Classes that have room, and no limits of apps' own.
struct Open<'a>(&'a [u32]);

impl Room for Open<'_> {
    fn is_open(&mut self, class: ClassId) -> bool {
        self.0.contains(&class.0)
    }

    fn blocked_until(&mut self, _: LaneId) -> Option<i64> {
        None
    }
}

#[test]
fn two_that_wait_keep_to_their_weights_whatever_a_third_one_is_granted_elsewhere() {
    let mut queue = Queue::new(1_000, [1, 2, 3].into_iter());
    fill(&mut queue, 60, 1, 3);
    fill(&mut queue, 60, 2, 3);
    let mut granted = [0_i64; 3];
    for _ in 0..60 {
        // Calls that no limit counts.
        (0..7).for_each(|_| queue.charge(AppId(0)));
        granted[serve(&mut queue).app.position()] += 1;
        // |W1/w1 - W2/w2| <= 1/w1 + 1/w2 (Goyal, Vin and Cheng), times the weights.
        assert!((3 * granted[1] - 2 * granted[2]).abs() <= 5, "{granted:?}");
    }
}

#[test]
fn who_comes_late_to_a_class_that_time_has_passed_by_gets_its_share() {
    let mut queue = Queue::new(1_000, [1, 1, 1].into_iter());
    fill(&mut queue, 20, 1, 3);
    (0..3_000).for_each(|_| queue.charge(AppId(0)));
    fill(&mut queue, 20, 2, 3);
    let of_late = (0..20).filter(|_| serve(&mut queue).app == AppId(2)).count();
    assert!((9..=11).contains(&of_late), "{of_late} of 20");
}

#[test]
fn what_an_app_is_granted_in_one_class_puts_it_off_by_a_call_in_another() {
    let mut queue = Queue::new(1_000, [1, 1].into_iter());
    for _ in 0..200 {
        queue.push(Waiting { lane: LaneId(7), ..call(0, 3) }, ClassId(1), 0).unwrap();
        queue.push(call(0, 3), ClassId(0), 0).unwrap();
        queue.push(call(1, 3), ClassId(0), 0).unwrap();
    }
    let mut go = |open: &[u32]| {
        let ticket = queue.next(&mut Open(open)).unwrap();
        queue.serve(ticket).unwrap().app.0
    };
    assert!((0..150).all(|_| go(&[1]) == 0));
    let of_first = (0..20).filter(|_| go(&[0]) == 0).count();
    assert!((9..=10).contains(&of_first), "{of_first} of 20");
}

#[test]
fn places_are_rearranged_with_their_tickets_and_in_their_order() {
    let mut queue = Queue::new(10, [1, 1].into_iter());
    let tickets: Vec<_> = (0..4_u32)
        .map(|id| {
            let waiting = Waiting { call: u128::from(id), ..call(id % 2, 3) };
            queue.push(waiting, ClassId(id % 2), 7).unwrap()
        })
        .collect();
    // The first app has left; the second is now the first, and its lane another.
    let gone = queue.rearrange(10, [(1, Some(AppId(1)))].into_iter(), |_, waiting| {
        (waiting.app == AppId(1)).then_some((Waiting { app: AppId(0), lane: LaneId(9), ..*waiting }, ClassId(0)))
    });
    assert_eq!(gone, [tickets[0], tickets[2]]);
    assert_eq!((queue.callers(), queue.get(tickets[3]).unwrap().lane), (2, LaneId(9)));
    assert_eq!((serve(&mut queue).call, serve(&mut queue).call), (1, 3));
    assert!(queue.is_empty());
}
