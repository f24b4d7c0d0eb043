//! The wait queue of one connection: who waits, in which order they go, and when each must be looked at again.
//!
//! Within an app: urgency (RFC 9218), then first come. Between apps: fair shares. Calls that meet different limits stand in lines of
//! their own, so that one that is blocked does not hold up one that is not.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "one each waiting call, taken away once for each added; at most 8 levels"
)]

use super::checks::Checks;
use super::seats::{NONE, Seats};
use super::share::Share;

/// RFC 9218: urgency is 0 to 7.
pub const LEVELS: usize = 8;
const LAST: u8 = 7;

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    pub(super) slot: u32,
    pub(super) serial: u64,
}

impl Ticket {
    /// Of this throttle's tickets, no other has it.
    pub const fn number(self) -> u64 {
        self.serial
    }
}

/// A call that waits. Limiter milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Its app, in the throttle's table.
    pub app: u32,
    /// Its lane.
    pub lane: u32,
    /// 0 first.
    pub urgency: u8,
    /// Since when.
    pub arrived: i64,
    /// Until when.
    pub deadline: i64,
    /// The call's id.
    pub call: u128,
    /// For a place of jobs: how many want to go. 0 for a caller's call.
    pub jobs: u32,
}

impl Waiting {
    /// How many calls it stands for.
    fn calls(&self) -> u32 {
        self.jobs.max(1)
    }
}

#[derive(Debug, Clone, Copy)]
struct Level {
    head: u32,
    tail: u32,
    len: u32,
}

const EMPTY: Level = Level { head: NONE, tail: NONE, len: 0 };

#[derive(Debug, Clone)]
struct Line {
    lane: u32,
    /// Bit i: somebody waits at level i.
    filled: u8,
    levels: [Level; LEVELS],
}

impl Line {
    fn level(&mut self, urgency: u8) -> Option<&mut Level> {
        self.levels.get_mut(usize::from(urgency))
    }
}

#[derive(Debug, Clone)]
struct App {
    share: Share,
    waiting: u32,
    lines: Vec<Line>,
}

/// The queue.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    seats: Seats,
    apps: Vec<App>,
    active: Vec<u32>,
    virtual_time: u64,
    len: usize,
    places: usize,
    checks: Checks,
}

impl Queue {
    /// A queue for apps of these weights, in the order of their table.
    pub fn new(weights: impl Iterator<Item = u32>) -> Self {
        let apps = weights.map(|weight| App { share: Share::new(weight), waiting: 0, lines: Vec::new() }).collect();
        Self { apps, ..Self::default() }
    }

    /// Calls whose callers wait.
    pub const fn callers(&self) -> usize {
        self.len - self.places
    }

    /// Nobody waits.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes a call in, to be looked at again at `check`. None for an app that is not in the table.
    pub fn push(&mut self, call: Waiting, check: i64) -> Option<Ticket> {
        let call = Waiting { urgency: call.urgency.min(LAST), ..call };
        let app = self.apps.get_mut(call.app as usize)?;
        let line = match app.lines.iter().position(|line| line.lane == call.lane) {
            Some(at) => at,
            None => {
                app.lines.push(Line { lane: call.lane, filled: 0, levels: [EMPTY; LEVELS] });
                app.lines.len() - 1
            }
        };
        let line = app.lines.get_mut(line)?;
        let level = line.level(call.urgency)?;
        let ticket = self.seats.sit(call, level.tail)?;
        level.tail = ticket.slot;
        level.len += 1;
        if level.head == NONE {
            level.head = ticket.slot;
            line.filled |= 1 << call.urgency;
        }
        if app.waiting == 0 {
            self.active.push(call.app);
        }
        app.waiting = app.waiting.saturating_add(call.calls());
        self.len += 1;
        self.places += usize::from(call.jobs > 0);
        self.check_again(ticket, check);
        Some(ticket)
    }

    /// A place of jobs stands for another number of them.
    pub fn stand_for(&mut self, ticket: Ticket, jobs: u32) {
        let Some(call) = self.seats.get_mut(ticket).filter(|call| call.jobs > 0 && jobs > 0) else { return };
        let before = std::mem::replace(&mut call.jobs, jobs);
        if let Some(app) = self.apps.get_mut(call.app as usize) {
            app.waiting = app.waiting.saturating_sub(before).saturating_add(jobs);
        }
    }

    /// The call that holds a ticket.
    pub fn get(&self, ticket: Ticket) -> Option<&Waiting> {
        self.seats.get(ticket)
    }

    /// The ticket of the call of this id, if it waits.
    pub fn find(&self, id: u128) -> Option<Ticket> {
        self.seats.find(id)
    }

    /// Takes a call out, wherever it stands.
    pub fn remove(&mut self, ticket: Ticket) -> Option<Waiting> {
        let (call, before, behind) = self.seats.leave(ticket)?;
        let app = self.apps.get_mut(call.app as usize)?;
        let line = app.lines.iter_mut().find(|line| line.lane == call.lane)?;
        let level = line.level(call.urgency)?;
        level.len -= 1;
        if level.head == ticket.slot {
            level.head = behind;
        }
        if level.tail == ticket.slot {
            level.tail = before;
        }
        if level.len == 0 {
            line.filled &= !(1 << call.urgency);
        }
        app.waiting = app.waiting.saturating_sub(call.calls());
        if app.waiting == 0 {
            app.lines.clear();
            self.active.retain(|&active| active != call.app);
        }
        self.len -= 1;
        self.places -= usize::from(call.jobs > 0);
        Some(call)
    }

    /// Who goes next, of those whose lane is not `blocked`. Moves virtual time on to the fair choice's start.
    pub fn next(&mut self, mut blocked: impl FnMut(u32) -> bool) -> Option<Ticket> {
        // Most often there is nothing to be fair between.
        if let [only] = *self.active.as_slice() {
            let app = self.apps.get(only as usize)?;
            let (_, ticket) = self.first(app, &mut blocked)?;
            self.virtual_time = app.share.start(self.virtual_time);
            return Some(ticket);
        }
        let mut fair: Option<(u64, u8, Ticket)> = None;
        let mut urgent: Option<(u8, u64, Ticket)> = None;
        for app in self.active.iter().filter_map(|&app| self.apps.get(app as usize)) {
            let Some((level, ticket)) = self.first(app, &mut blocked) else { continue };
            let start = app.share.start(self.virtual_time);
            let by_share = (start, level, ticket);
            if fair.is_none_or(|best| before(&by_share, &best)) {
                fair = Some(by_share);
            }
            let by_urgency = (level, start, ticket);
            if app.share.at_liberty(self.virtual_time, app.waiting)
                && urgent.is_none_or(|best| before(&by_urgency, &best))
            {
                urgent = Some(by_urgency);
            }
        }
        let (start, level, ticket) = fair?;
        self.virtual_time = start;
        match urgent {
            Some((pressing, _, other)) if pressing < level => Some(other),
            _ => Some(ticket),
        }
    }

    fn first(&self, app: &App, blocked: &mut impl FnMut(u32) -> bool) -> Option<(u8, Ticket)> {
        let mut best: Option<(u8, Ticket)> = None;
        for line in &app.lines {
            let (level, first) = match u8::try_from(line.filled.trailing_zeros()) {
                Ok(level) if line.filled > 0 => (level, line.levels.get(usize::from(level))),
                _ => continue,
            };
            let Some(ticket) = first.and_then(|first| self.seats.ticket(first.head)) else { continue };
            let better = best.is_none_or(|(other, held)| (level, ticket.serial) < (other, held.serial));
            if better && !blocked(line.lane) {
                best = Some((level, ticket));
            }
        }
        best
    }

    /// A call of that app goes: it is charged, whether it had waited or not.
    pub fn charge(&mut self, app: u32) {
        if let Some(app) = self.apps.get_mut(app as usize) {
            let start = app.share.start(self.virtual_time);
            app.share.charge(self.virtual_time);
            if self.len == 0 {
                self.virtual_time = start;
            }
        }
    }

    /// Whether calls of that app wait in this lane and in no other.
    pub fn is_all(&self, app: u32, lane: u32) -> bool {
        self.apps.get(app as usize).is_some_and(|app| app.lines.iter().all(|line| line.lane == lane))
    }

    /// Calls of one app that go before a new one of that urgency, among the lanes that `counts` names.
    pub fn ahead(&self, app: u32, urgency: u8, counts: impl Fn(u32) -> bool) -> u64 {
        let Some(app) = self.apps.get(app as usize) else { return 0 };
        let levels = usize::from(urgency).min(LEVELS - 1) + 1;
        let lines = app.lines.iter().filter(|line| counts(line.lane));
        lines.flat_map(|line| line.levels.iter().take(levels)).map(|level| u64::from(level.len)).sum()
    }

    /// All calls that wait in the lanes that `counts` names.
    pub fn waiting(&self, mut counts: impl FnMut(u32) -> bool) -> u64 {
        let apps = self.active.iter().filter_map(|&app| self.apps.get(app as usize));
        let lines = apps.flat_map(|app| &app.lines).filter(|line| counts(line.lane));
        lines.flat_map(|line| &line.levels).map(|level| u64::from(level.len)).sum()
    }

    /// The lanes in which somebody waits.
    pub fn lanes(&self) -> impl Iterator<Item = u32> + '_ {
        let apps = self.active.iter().filter_map(|&app| self.apps.get(app as usize));
        apps.flat_map(|app| &app.lines).filter(|line| line.filled > 0).map(|line| line.lane)
    }

    /// The tickets of those whose callers wait, oldest first.
    pub fn tickets(&self) -> Vec<Ticket> {
        self.seats.callers().collect()
    }

    /// Since when the caller that has waited longest waits.
    pub fn oldest(&self) -> Option<i64> {
        self.seats.oldest()
    }

    /// Looks at a ticket again at `at`.
    pub fn check_again(&mut self, ticket: Ticket, at: i64) {
        self.checks.add(ticket, at, self.len, |ticket| self.seats.get(ticket).is_some());
    }

    /// The next ticket to look at, if its time has come.
    pub fn due(&mut self, now: i64) -> Option<Ticket> {
        self.checks.due(now, |ticket| self.seats.get(ticket).is_some())
    }

    /// When the next ticket must be looked at.
    pub fn next_check(&mut self) -> Option<i64> {
        self.checks.next(|ticket| self.seats.get(ticket).is_some())
    }
}

fn before<A: Ord, B: Ord>(one: &(A, B, Ticket), other: &(A, B, Ticket)) -> bool {
    (&one.0, &one.1, one.2.serial) < (&other.0, &other.1, other.2.serial)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(app: u32, urgency: u8) -> Waiting {
        Waiting { app, lane: app, urgency, arrived: 0, deadline: 10_000, call: 0, jobs: 0 }
    }

    fn fill(queue: &mut Queue, calls: usize, app: u32, urgency: u8) {
        (0..calls).for_each(|_| assert!(queue.push(call(app, urgency), 0).is_some()));
    }

    fn serve(queue: &mut Queue) -> Waiting {
        let ticket = queue.next(|_| false).unwrap();
        let call = queue.remove(ticket).unwrap();
        queue.charge(call.app);
        call
    }

    #[test]
    fn each_quiet_app_goes_before_the_noisy_one_whatever_urgency_it_claims() {
        for claimed in [0, 3] {
            let mut queue = Queue::new([1; 8].into_iter());
            fill(&mut queue, 200, 0, claimed);
            (1..8).for_each(|app| fill(&mut queue, 1, app, 3));
            let mut served: Vec<_> = (0..8).map(|_| serve(&mut queue).app).collect();
            served.sort_unstable();
            assert_eq!(served, [0, 1, 2, 3, 4, 5, 6, 7]);
        }
    }

    #[test]
    fn weights_three_to_one_give_three_to_one() {
        let mut queue = Queue::new([3, 1].into_iter());
        for _ in 0..400 {
            queue.push(call(0, 3), 0).unwrap();
            queue.push(call(1, 3), 0).unwrap();
        }
        let first = (0..400).filter(|_| serve(&mut queue).app == 0).count();
        assert!((285..=315).contains(&first), "{first} of 400");
    }

    #[test]
    fn a_few_urgent_calls_overtake_and_are_charged_for() {
        let mut queue = Queue::new([1, 1].into_iter());
        fill(&mut queue, 20, 0, 5);
        fill(&mut queue, 4, 1, 0);
        assert_eq!((0..4).map(|_| serve(&mut queue).app).collect::<Vec<_>>(), [1; 4]);
        queue.push(call(1, 5), 0).unwrap();
        assert_eq!((0..3).map(|_| serve(&mut queue).app).collect::<Vec<_>>(), [0; 3]);
    }

    #[test]
    fn within_an_app_the_urgent_go_first_then_first_come() {
        let mut queue = Queue::new([1].into_iter());
        for (urgency, id) in [(3, 1), (0, 2), (7, 3), (0, 4)] {
            queue.push(Waiting { call: id, ..call(0, urgency) }, 0).unwrap();
        }
        assert_eq!((0..4).map(|_| serve(&mut queue).call).collect::<Vec<_>>(), [2, 4, 1, 3]);
    }

    #[test]
    fn a_call_that_is_blocked_is_passed_by_and_keeps_its_turn() {
        let mut queue = Queue::new([1, 1].into_iter());
        queue.push(call(0, 3), 0).unwrap();
        queue.push(call(1, 3), 0).unwrap();
        let ticket = queue.next(|lane| lane == 0).unwrap();
        assert_eq!(queue.get(ticket).unwrap().app, 1);
        assert!(queue.next(|_| true).is_none());
    }

    #[test]
    fn one_that_leaves_from_the_middle_frees_its_place() {
        let mut queue = Queue::new([1].into_iter());
        let tickets: Vec<_> = (0..3).map(|id| queue.push(Waiting { call: id, ..call(0, 3) }, 5).unwrap()).collect();
        queue.remove(tickets[1]).unwrap();
        assert!(queue.remove(tickets[1]).is_none());
        assert_eq!(queue.callers(), 2);
        assert_eq!((serve(&mut queue).call, serve(&mut queue).call), (0, 2));
        assert_eq!(queue.due(10), None);
    }

    #[test]
    fn checks_of_calls_that_left_do_not_pile_up() {
        let mut queue = Queue::new([1].into_iter());
        for _ in 0..10_000 {
            let ticket = queue.push(call(0, 3), 1_000).unwrap();
            queue.remove(ticket).unwrap();
        }
        assert!(queue.checks.len() < 200);
    }
}
