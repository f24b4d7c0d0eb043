//! When a tenant's object is woken: by a timer while it is in memory, by its alarm when it may have left it.

/// The alarm is set no sooner than this from now, milliseconds: setting it costs a row, and for less there are timers, unless
/// the object loses its memory meanwhile.
const SOONEST_ALARM_MS: i64 = 10_000;

/// What is farther off than this, milliseconds, has no timer unless somebody waits for it: what else the tenant's state wants
/// to be woken for comes within a minute.
const FAR_MS: i64 = 70_000;

/// An object that has received nothing for so long has left memory, or may as well, milliseconds:
/// the platform waits ten seconds.
const RESTS_MS: i64 = 15_000;

/// What the timer and the alarm of one object are set to.
#[derive(Debug, Default)]
pub struct Wakeups {
    /// What the timer is set to, Unix ms, so that it is not set again to the same moment.
    timer: Option<i64>,
    /// The same of the alarm.
    alarm: Option<i64>,
    /// When the object's last event was, Unix ms.
    heard: i64,
}

/// What is done with the timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerStep {
    /// It stays as it is.
    Keep,
    /// It is set to ring at this moment, Unix ms.
    Set(i64),
    /// It is stopped.
    Stop,
}

impl Wakeups {
    /// Notes that an event has come. `now` is Unix time in milliseconds, here and below.
    pub fn heard(&mut self, now: i64) {
        self.heard = now;
    }

    /// Notes that the timer has rung.
    pub fn timer_rang(&mut self) {
        self.timer = None;
    }

    /// Notes that the alarm has rung.
    pub fn alarm_rang(&mut self) {
        self.alarm = None;
    }

    /// What is done with the timer for a state that wants to be woken at a moment. `waited_for`: calls wait for the state. For
    /// what is far off, and nobody waits for, the alarm serves: a timer would keep the object in memory until then.
    pub fn timer(&mut self, wanted: Option<i64>, waited_for: bool, now: i64) -> TimerStep {
        let wanted = wanted.filter(|at| waited_for || *at < now.saturating_add(FAR_MS));
        // A timer that rings too soon is set on when it has rung: to set it on at each call takes longer than all that the state
        // does.
        let soon_enough = self.timer.zip(wanted).is_some_and(|(set, at)| set <= at);
        if soon_enough || wanted == self.timer {
            return TimerStep::Keep;
        }
        self.timer = wanted;
        wanted.map_or(TimerStep::Stop, TimerStep::Set)
    }

    /// What the alarm is set to, Unix ms, for a state that wants to be woken at a moment even when its object has left memory;
    /// none if the alarm stays. One that is wanted no more is left to ring for nothing: to take it back would cost a row written.
    pub fn alarm(&mut self, wanted: Option<i64>, now: i64) -> Option<i64> {
        let at = wanted?.max(now.saturating_add(SOONEST_ALARM_MS));
        if self.alarm.is_some_and(|set| set <= at) {
            return None;
        }
        self.alarm = Some(at);
        Some(at)
    }

    /// Whether the platform may have taken the object out of memory: it has received nothing for
    /// long, and no timer is to ring.
    pub fn rests(&self, now: i64) -> bool {
        let before = now.saturating_sub(RESTS_MS);
        self.heard < before && self.timer.is_none_or(|at| at < before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_781_524_800_000;

    #[test]
    fn a_timer_is_set_sooner_but_never_later_before_it_has_rung() {
        let mut wakeups = Wakeups::default();
        assert_eq!(wakeups.timer(Some(NOW + 500), false, NOW), TimerStep::Set(NOW + 500));
        assert_eq!(wakeups.timer(Some(NOW + 500), false, NOW), TimerStep::Keep);
        assert_eq!(wakeups.timer(Some(NOW + 900), false, NOW), TimerStep::Keep, "it rings, and is set on then");
        assert_eq!(wakeups.timer(Some(NOW + 100), false, NOW), TimerStep::Set(NOW + 100));
        wakeups.timer_rang();
        assert_eq!(wakeups.timer(Some(NOW + 900), false, NOW + 100), TimerStep::Set(NOW + 900));
    }

    #[test]
    fn what_is_far_off_has_a_timer_only_while_somebody_waits() {
        let mut wakeups = Wakeups::default();
        let far = Some(NOW + 70_000);
        assert_eq!(wakeups.timer(far, false, NOW), TimerStep::Keep, "there is none, and none is wanted");
        assert_eq!(wakeups.timer(far, false, NOW + 1), TimerStep::Set(NOW + 70_000), "it has come nearer");
        assert_eq!(wakeups.timer(None, false, NOW + 2), TimerStep::Stop);
        assert_eq!(wakeups.timer(None, false, NOW + 3), TimerStep::Keep);
        assert_eq!(wakeups.timer(far, true, NOW), TimerStep::Set(NOW + 70_000));
        assert_eq!(wakeups.timer(far, false, NOW), TimerStep::Stop, "nobody waits any more");
    }

    #[test]
    fn an_alarm_is_set_ten_seconds_from_now_or_later_and_taken_back_never() {
        let mut wakeups = Wakeups::default();
        assert_eq!(wakeups.alarm(None, NOW), None);
        assert_eq!(wakeups.alarm(Some(NOW + 60_000), NOW), Some(NOW + 60_000));
        assert_eq!(wakeups.alarm(Some(NOW + 60_000), NOW), None);
        assert_eq!(wakeups.alarm(Some(NOW + 61_000), NOW), None, "it rings sooner anyway");
        assert_eq!(wakeups.alarm(None, NOW), None);
        assert_eq!(wakeups.alarm(Some(NOW + 1), NOW), Some(NOW + 10_000));
        assert_eq!(wakeups.alarm(Some(NOW + 2), NOW + 1), None, "each event would put it off");
        wakeups.alarm_rang();
        assert_eq!(wakeups.alarm(Some(NOW + 10_001), NOW + 10_000), Some(NOW + 20_000));
    }

    #[test]
    fn an_object_rests_if_it_has_heard_nothing_for_fifteen_seconds_and_no_timer_is_to_ring() {
        let mut wakeups = Wakeups::default();
        wakeups.heard(NOW);
        assert!(!wakeups.rests(NOW + 15_000));
        assert!(wakeups.rests(NOW + 15_001));
        wakeups.timer(Some(NOW + 1_000), false, NOW);
        assert!(!wakeups.rests(NOW + 15_001), "the timer rings");
        assert!(wakeups.rests(NOW + 16_001), "one that has not rung by then never will");
        wakeups.timer_rang();
        assert!(wakeups.rests(NOW + 15_001));
    }
}
