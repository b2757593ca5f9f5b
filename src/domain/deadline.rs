//! When a step reminds, escalates and ends by time.

use chrono::{DateTime, Duration, Utc};

use super::policy::{Escalation, Step};
use super::span::Seconds;

/// A question waits this long at a step without a limit of its own.
pub const PATIENCE: Seconds = Seconds(7 * 86_400);

/// A question and its answer: meanwhile the clock stands still. Without an answer yet: `until` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When the question was asked.
    pub from: DateTime<Utc>,
    /// When it was answered, or ended without an answer.
    pub until: Option<DateTime<Utc>>,
}

/// The clock of an open step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepClock {
    /// When it opened.
    pub opened_at: DateTime<Utc>,
    /// After this long it escalates, or is timed out; none: it waits.
    pub time_limit: Option<Seconds>,
    /// Reminds each time this long has passed.
    pub remind_every: Option<Seconds>,
    /// Whether it has somebody to escalate to.
    pub escalates: bool,
    /// After this long more, once escalated, it is timed out; none: it waits.
    pub escalation_limit: Option<Seconds>,
    /// When it did escalate.
    pub escalated_at: Option<DateTime<Utc>>,
    /// When it reminded last.
    pub reminded_at: Option<DateTime<Utc>>,
    /// Every question asked in this step, in any order.
    pub pauses: Vec<Pause>,
}

/// What happens to a step by time alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The request is closed as timed out.
    TimeOut,
    /// Others are asked too.
    Escalate,
    /// Who is asked and has not answered is reminded.
    Remind,
    /// The open question ends without an answer: the step goes on with the time that was left.
    GoOn,
}

/// What happens next, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub what: What,
}

impl StepClock {
    /// The clock of `step`, opened at `opened_at`, of which nothing has happened yet.
    pub fn opened(step: &Step, opened_at: DateTime<Utc>) -> Self {
        Self {
            opened_at,
            time_limit: step.time_limit,
            remind_every: step.remind_every,
            escalates: step.escalation.is_some(),
            escalation_limit: step.escalation.as_ref().and_then(|Escalation { time_limit, .. }| *time_limit),
            escalated_at: None,
            reminded_at: None,
            pauses: Vec::new(),
        }
    }

    /// When it escalates or is timed out; none: it waits, for ever or until a question is answered.
    pub fn limit(&self) -> Option<Due> {
        let (from, limit, what) = match self.escalated_at {
            Some(escalated) => (escalated, self.escalation_limit?, What::TimeOut),
            None if self.escalates => (self.opened_at, self.time_limit?, What::Escalate),
            None => (self.opened_at, self.time_limit?, What::TimeOut),
        };
        Some(Due { at: self.moment(from, limit.0)?, what })
    }

    /// When it reminds next; none: never, or not before a question is answered. What was missed is made up for once. After an
    /// escalation the count begins anew, for those who are asked since.
    pub fn reminder(&self) -> Option<DateTime<Utc>> {
        let every = self.remind_every.filter(|every| every.0 > 0)?.0;
        let from = self.escalated_at.unwrap_or(self.opened_at);
        let so_far = self.reminded_at.filter(|last| *last > from).map_or(0, |last| self.passed(from, last) / every);
        self.moment(from, every.checked_mul(so_far + 1)?)
    }

    /// When the open question ends without an answer; none: no question is open. It waits as long as the step may: no question holds a
    /// request for ever.
    pub fn question_ends(&self) -> Option<DateTime<Utc>> {
        let open = self.pauses.iter().filter(|pause| pause.until.is_none()).map(|pause| pause.from).max()?;
        let limit = if self.escalated_at.is_some() { self.escalation_limit } else { self.time_limit };
        open.checked_add_signed(Duration::try_seconds(limit.unwrap_or(PATIENCE).0)?)
    }

    /// When the worker looks at the step again besides at its limit: for the next reminder, or for the end of the open question.
    pub fn looks_again(&self) -> Option<DateTime<Utc>> {
        if self.is_paused() { self.question_ends() } else { self.reminder() }
    }

    /// What happens next; none: nothing. The limit goes before a reminder of the same moment.
    pub fn next(&self) -> Option<Due> {
        if self.is_paused() {
            return self.question_ends().map(|at| Due { at, what: What::GoOn });
        }
        let reminder = self.reminder().map(|at| Due { at, what: What::Remind });
        match (self.limit(), reminder) {
            (Some(limit), Some(reminder)) if reminder.at < limit.at => Some(reminder),
            (limit, reminder) => limit.or(reminder),
        }
    }

    /// How much of the time to the limit is left at `now`, none below zero; none: there is no limit.
    pub fn left(&self, now: DateTime<Utc>) -> Option<Seconds> {
        let (from, limit) = match self.escalated_at {
            Some(escalated) => (escalated, self.escalation_limit?),
            None => (self.opened_at, self.time_limit?),
        };
        Some(Seconds(limit.0.saturating_sub(self.passed(from, now)).max(0)))
    }

    /// Whether a question waits for its answer.
    pub fn is_paused(&self) -> bool {
        self.pauses.iter().any(|pause| pause.until.is_none())
    }

    /// Seconds on this clock from `from` to `to`: those of questions do not count.
    fn passed(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> i64 {
        let stood: i64 = self.stops(from).iter().map(|(start, end)| (end.unwrap_or(to).min(to) - *start).num_seconds().max(0)).sum();
        ((to - from).num_seconds() - stood).max(0)
    }

    /// When `seconds` have passed on this clock since `from`; none while it stands still for an open question, or past the calendar.
    fn moment(&self, from: DateTime<Utc>, seconds: i64) -> Option<DateTime<Utc>> {
        if self.is_paused() {
            return None;
        }
        let mut at = from.checked_add_signed(Duration::try_seconds(seconds.max(0))?)?;
        for (start, end) in self.stops(from) {
            if start >= at {
                break;
            }
            at = at.checked_add_signed(end? - start)?;
        }
        Some(at)
    }

    /// The questions since `from`, in order and run together where they overlap.
    fn stops(&self, from: DateTime<Utc>) -> Vec<(DateTime<Utc>, Option<DateTime<Utc>>)> {
        let after = self.pauses.iter().filter(|pause| pause.until.is_none_or(|until| until > from && until > pause.from));
        let mut all: Vec<_> = after.map(|pause| (pause.from.max(from), pause.until)).collect();
        all.sort();
        let mut stops: Vec<(DateTime<Utc>, Option<DateTime<Utc>>)> = Vec::new();
        for (start, end) in all {
            match stops.last_mut().filter(|(_, before)| before.is_none_or(|before| start <= before)) {
                Some((_, before)) => *before = before.zip(end).map(|(before, end)| before.max(end)),
                None => stops.push((start, end)),
            }
        }
        stops
    }
}

/// What `step` is to do at `now`; none: nothing yet. A limit that has passed makes a reminder needless.
pub fn due(step: &StepClock, now: DateTime<Utc>) -> Option<Due> {
    let over = |due: &Due| due.at <= now;
    step.limit().filter(over).or_else(|| step.next().filter(over))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::at;
    use super::*;

    /// Two hours, a reminder each half hour.
    fn clock() -> StepClock {
        StepClock {
            opened_at: at(0),
            time_limit: Some(Seconds(7_200)),
            remind_every: Some(Seconds(1_800)),
            escalates: false,
            escalation_limit: None,
            escalated_at: None,
            reminded_at: None,
            pauses: vec![],
        }
    }

    fn pause(from: i64, until: Option<i64>) -> Pause {
        Pause { from: at(from), until: until.map(at) }
    }

    fn next(clock: &StepClock) -> Option<(i64, What)> {
        clock.next().map(|due| ((due.at - at(0)).num_seconds(), due.what))
    }

    /// Everything that a clock does until nothing is due any more, when it is looked at each `every` seconds.
    fn life(mut clock: StepClock, every: usize) -> Vec<(i64, What)> {
        let mut done = Vec::new();
        for now in (0..40_000).step_by(every) {
            while let Some(Due { what, .. }) = due(&clock, at(now)) {
                done.push((now, what));
                match what {
                    What::Remind => clock.reminded_at = Some(at(now)),
                    What::Escalate => clock.escalated_at = Some(at(now)),
                    What::GoOn => clock.pauses.iter_mut().for_each(|pause| pause.until = pause.until.or(Some(at(now)))),
                    What::TimeOut => return done,
                }
            }
        }
        done
    }

    #[test]
    fn a_step_reminds_and_then_times_out() {
        use What::*;
        assert_eq!(life(clock(), 60), [(1_800, Remind), (3_600, Remind), (5_400, Remind), (7_200, TimeOut)]);
        assert_eq!(life(StepClock { remind_every: None, ..clock() }, 60), [(7_200, TimeOut)]);
        assert_eq!(next(&StepClock { remind_every: None, time_limit: None, ..clock() }), None, "without a limit it waits");
    }

    #[test]
    fn a_question_that_nobody_answers_ends_after_the_limit_of_its_step_and_the_time_left_goes_on() {
        use What::*;
        let quiet = StepClock { remind_every: None, ..clock() };
        let asked = StepClock { pauses: vec![pause(600, None)], ..quiet.clone() };
        assert_eq!(next(&asked), Some((7_800, GoOn)), "two hours, as the step has");
        assert_eq!((asked.limit(), asked.left(at(7_000))), (None, Some(Seconds(6_600))), "meanwhile nothing runs out");
        assert_eq!(life(asked.clone(), 60), [(7_800, GoOn), (14_400, TimeOut)]);
        assert_eq!(asked.looks_again(), Some(at(7_800)));
        let waits = StepClock { time_limit: None, ..asked.clone() };
        assert_eq!(next(&waits), Some((600 + PATIENCE.0, GoOn)), "also where the step itself has no limit");
        let escalated = StepClock { escalates: true, escalated_at: Some(at(300)), escalation_limit: Some(Seconds(60)), ..asked };
        assert_eq!(next(&escalated), Some((660, GoOn)));
        assert_eq!(quiet.question_ends(), None);
    }

    #[test]
    fn a_step_escalates_before_it_times_out_and_reminds_anew() {
        use What::*;
        let escalating = StepClock { escalates: true, escalation_limit: Some(Seconds(3_000)), ..clock() };
        assert_eq!(life(escalating.clone(), 60), [(1_800, Remind), (3_600, Remind), (5_400, Remind), (7_200, Escalate), (9_000, Remind), (10_200, TimeOut)]);
        let patient = StepClock { escalation_limit: None, remind_every: None, ..escalating.clone() };
        assert_eq!(life(patient, 60), [(7_200, Escalate)], "and then waits");
        let impatient = StepClock { time_limit: None, remind_every: None, ..escalating };
        assert_eq!(life(impatient, 60), [], "without a limit there is nothing to escalate after");
    }

    #[test]
    fn a_worker_that_was_away_makes_up_for_what_it_missed_once_and_gives_the_escalation_its_time() {
        use What::*;
        let escalating = StepClock { escalates: true, escalation_limit: Some(Seconds(3_000)), ..clock() };
        // Looked at every 5,000 seconds: at 10,000 the first look after the limit.
        assert_eq!(life(escalating, 5_000), [(5_000, Remind), (10_000, Escalate), (15_000, TimeOut)]);
    }

    #[test]
    fn a_question_stops_the_clock_and_keeps_the_time_left() {
        let asked = StepClock { pauses: vec![pause(7_000, None)], remind_every: None, ..clock() };
        assert_eq!((asked.limit(), asked.left(at(90_000))), (None, Some(Seconds(200))));
        assert_eq!(due(&asked, at(14_199)), None, "nobody is timed out while a question is open");
        let answered = StepClock { pauses: vec![pause(7_000, Some(90_000))], ..asked };
        assert_eq!(next(&answered), Some((90_200, What::TimeOut)));
        assert_eq!(answered.left(at(90_100)), Some(Seconds(100)));
        assert_eq!(answered.left(at(95_000)), Some(Seconds(0)));
        let twice = StepClock { pauses: vec![pause(90_100, Some(90_300)), pause(7_000, Some(90_000))], ..answered.clone() };
        assert_eq!(next(&twice), Some((90_400, What::TimeOut)), "in whatever order they are told");
        let overlapping = StepClock { pauses: vec![pause(100, Some(300)), pause(200, Some(400)), pause(9_000, Some(9_999))], ..answered.clone() };
        assert_eq!(next(&overlapping), Some((7_500, What::TimeOut)), "no second stands still twice, and what comes after the limit is too late");
        let reminding = StepClock { remind_every: Some(Seconds(1_800)), ..overlapping };
        assert_eq!(next(&reminding), Some((2_100, What::Remind)));
        let escalated = StepClock {
            escalated_at: Some(at(7_200)),
            escalation_limit: Some(Seconds(600)),
            pauses: vec![pause(100, Some(300)), pause(7_300, Some(7_400))],
            ..answered
        };
        assert_eq!(next(&escalated), Some((7_900, What::TimeOut)), "what stood still before the escalation is past");
    }

    #[test]
    fn limits_that_make_no_sense_neither_loop_nor_fail() {
        for seconds in [i64::MIN, -1, 0, 1, i64::MAX] {
            let odd = StepClock { time_limit: Some(Seconds(seconds)), remind_every: Some(Seconds(seconds)), pauses: vec![pause(9, Some(3))], ..clock() };
            if let Some(due) = odd.next() {
                assert!(due.at >= at(0));
            }
            let _ = odd.left(at(5));
        }
    }

    proptest! {
        /// Said a second time, second by second.
        #[test]
        fn the_clock_agrees_with_counting_every_second(limit in 1i64..60, every in prop::option::of(1i64..30), reminded in prop::option::of(0i64..40), pauses in prop::collection::vec((0i64..80, 1i64..30), 0..4)) {
            let clock = StepClock {
                time_limit: Some(Seconds(limit)),
                remind_every: every.map(Seconds),
                reminded_at: reminded.map(at),
                pauses: pauses.iter().map(|(from, lasts)| pause(*from, Some(from + lasts))).collect(),
                ..clock()
            };
            let stands = |second: i64| pauses.iter().any(|(from, lasts)| (*from..from + lasts).contains(&second));
            let counted = |to: i64| (0..to).filter(|second| !stands(*second)).count() as i64;
            let first = |ticks: i64| (0..1_000).find(|now| counted(*now) >= ticks).unwrap();
            let ends = first(limit);
            let reminds = every.map(|every| first(every * (reminded.map_or(0, |last| counted(last) / every) + 1)));
            let expected = reminds.filter(|at| *at < ends).map_or((ends, What::TimeOut), |at| (at, What::Remind));
            prop_assert_eq!(next(&clock), Some(expected));
            for now in 0..100 {
                prop_assert_eq!(clock.left(at(now)), Some(Seconds((limit - counted(now)).max(0))), "at {}", now);
            }
        }
    }
}
