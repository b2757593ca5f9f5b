//! Whether people enough exist for the steps of an ask.

use std::borrow::Cow;
use std::collections::HashSet;

use uuid::Uuid;

use crate::domain::approval::SlotState;
use crate::domain::catalog::Role;
use crate::domain::decide::{PlannedStep, step_of};
use crate::domain::id::PersonId;
use crate::domain::policy::{AccessPolicy, ApproverSource};
use crate::domain::separation::SeparationRule;
use crate::domain::slot::unfillable;

use super::crowd::Crowd;

/// What is wrong with a step, for somebody who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Nobody could take it.
    Nobody,
    /// No step of the procedure applies, so that the ask is refused.
    Unresolvable,
    /// Only who asks could take it, and nobody decides on their own request.
    OnlyTheAsker,
    /// A single person could take it, and nobody stands in.
    SinglePerson,
}

impl Kind {
    /// The word in the database.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Unresolvable => "unresolvable",
            Self::OnlyTheAsker => "only_the_asker",
            Self::SinglePerson => "single_person",
        }
    }

    /// Whether what is asked can never be approved: a request is refused at once.
    pub fn is_dead(self) -> bool {
        self != Self::SinglePerson
    }
}

/// Where approvers come from, with everybody found who does not depend on who asks.
#[derive(Clone, Debug)]
enum Source {
    These(Vec<u32>),
    Manager,
    ManagersManager,
}

#[derive(Clone, Debug)]
struct Seat {
    step: usize,
    approvals: usize,
    sources: Vec<Source>,
    /// Whom the step escalates to.
    escalation: Vec<Source>,
}

/// The steps of an ask with everybody found who does not depend on who asks.
#[derive(Clone, Debug)]
pub struct Steps {
    seats: Vec<Seat>,
    steps: usize,
    seats_in_all: usize,
    distinct_people: bool,
    /// What comes of it for whoever is not among `involved`; none when that depends on who asks.
    general: Option<Vec<(usize, Kind)>>,
    involved: HashSet<u32>,
}

impl Steps {
    /// No steps at all.
    pub fn none() -> Self {
        Self { seats: vec![], steps: 0, seats_in_all: 0, distinct_people: false, general: Some(vec![]), involved: HashSet::new() }
    }

    /// No step of the procedure applies.
    pub fn lacking() -> Self {
        Self { general: Some(vec![(0, Kind::Unresolvable)]), ..Self::none() }
    }

    /// The `planned` steps of an ask for `role`.
    pub fn of(planned: &[PlannedStep], policy: &AccessPolicy, separation: &[&SeparationRule], role: &Role, crowd: &Crowd) -> Self {
        let find = |sources: &[ApproverSource]| sources.iter().map(|source| found(source, role, crowd)).collect::<Vec<_>>();
        let mut steps = Self { steps: planned.len(), general: None, ..Self::none() };
        for (at, planned) in planned.iter().enumerate() {
            let Some((procedure, step)) = step_of(policy, separation, planned) else { continue };
            steps.distinct_people |= procedure.distinct_people;
            let escalation = step.escalation.as_ref().map(|to| find(&to.sources)).unwrap_or_default();
            for slot in &step.slots {
                let approvals = slot.approvals as usize;
                steps.seats_in_all += approvals;
                steps.seats.push(Seat { step: at, approvals, sources: find(&slot.sources), escalation: escalation.clone() });
            }
        }
        let all = || steps.seats.iter().flat_map(|seat| seat.sources.iter().chain(&seat.escalation));
        let depends = all().any(|source| !matches!(source, Source::These(_)));
        let involved = all().filter_map(|source| if let Source::These(people) = source { Some(people) } else { None }).flatten().copied().collect();
        steps.involved = involved;
        if !depends {
            steps.general = Some(steps.look(crowd, u32::MAX));
        }
        steps
    }

    /// What is wrong for `asker`: the place of the step in the ask, from 0, and the kind. Of what makes it impossible only the first.
    pub fn faults(&self, crowd: &Crowd, asker: u32) -> Cow<'_, [(usize, Kind)]> {
        match &self.general {
            Some(general) if !self.involved.contains(&asker) => Cow::Borrowed(general),
            _ => Cow::Owned(self.look(crowd, asker)),
        }
    }

    fn look(&self, crowd: &Crowd, asker: u32) -> Vec<(usize, Kind)> {
        if let Some(step) = self.unfilled(crowd, asker, false) {
            let kind = if self.unfilled(crowd, asker, true).is_none() { Kind::OnlyTheAsker } else { Kind::Nobody };
            return vec![(step, kind)];
        }
        let mut single = Vec::new();
        for seat in &self.seats {
            if is_single(seat, crowd, asker) && !single.contains(&(seat.step, Kind::SinglePerson)) {
                single.push((seat.step, Kind::SinglePerson));
            }
        }
        single
    }

    /// The first step that cannot be taken; `with` counts the asker too.
    fn unfilled(&self, crowd: &Crowd, asker: u32, with: bool) -> Option<usize> {
        let mut scarce: Vec<(usize, usize, Vec<u32>)> = Vec::new();
        for seat in &self.seats {
            let counted = candidates(&seat.sources, crowd, asker, with, self.seats_in_all);
            if counted.len() < seat.approvals {
                return Some(seat.step);
            }
            // Where there are as many people as seats in all, somebody is always left.
            if counted.len() < self.seats_in_all {
                scarce.push((seat.step, seat.approvals, counted));
            }
        }
        if scarce.len() < 2 && scarce.iter().all(|(_, approvals, people)| people.len() >= *approvals) {
            return None;
        }
        let id = |number: u32| PersonId(Uuid::from_u128(u128::from(number) + 1)).into();
        let mut states: Vec<Vec<SlotState>> = vec![vec![]; self.steps];
        for (step, approvals, people) in &scarce {
            let approvals = u32::try_from(*approvals).unwrap_or(u32::MAX);
            states[*step].push(SlotState { approvals, asked: people.iter().copied().map(id).collect(), approved_by: vec![] });
        }
        let nobody = PersonId(Uuid::nil());
        unfillable(&states, nobody, nobody, self.distinct_people).map(|(step, _)| step - 1)
    }
}

/// Whom `source` finds whoever asks; of managers that is left open.
fn found(source: &ApproverSource, role: &Role, crowd: &Crowd) -> Source {
    let one = |id: PersonId| Source::These(crowd.number(id).filter(|number| crowd.is_active(*number)).into_iter().collect());
    match source {
        ApproverSource::Person { id, .. } => one(*id),
        ApproverSource::ApplicationOwner => one(role.application_owner),
        ApproverSource::RoleOwner => one(role.owner),
        ApproverSource::Group { reference, .. } => Source::These(crowd.members(&role.directory, reference).to_vec()),
        ApproverSource::Manager => Source::Manager,
        ApproverSource::ManagersManager => Source::ManagersManager,
    }
}

/// Whom one source finds for `asker`.
fn people<'a>(source: &'a Source, crowd: &Crowd, asker: u32, one: &'a mut [u32; 1]) -> &'a [u32] {
    let above = match source {
        Source::These(people) => return people,
        Source::Manager => crowd.manager(asker),
        // A manager who is away or gone still has a manager.
        Source::ManagersManager => crowd.manager(asker).and_then(|manager| crowd.manager(manager)),
    };
    match above.filter(|above| crowd.is_active(*above)) {
        Some(above) => {
            one[0] = above;
            one
        }
        None => &[],
    }
}

/// Whom a slot asks: the first source that finds somebody besides the asker, at most `most` of them; `with` counts the asker as
/// anybody else.
fn candidates(sources: &[Source], crowd: &Crowd, asker: u32, with: bool, most: usize) -> Vec<u32> {
    let mut one = [0];
    for source in sources {
        let found: Vec<u32> = people(source, crowd, asker, &mut one).iter().filter(|person| with || **person != asker).take(most).copied().collect();
        if !found.is_empty() {
            return found;
        }
    }
    vec![]
}

/// Whether one person alone could fill the seat, all sources and the escalation counted.
fn is_single(seat: &Seat, crowd: &Crowd, asker: u32) -> bool {
    let mut only = None;
    let mut one = [0];
    for source in seat.sources.iter().chain(&seat.escalation) {
        for person in people(source, crowd, asker, &mut one) {
            if *person != asker && *only.get_or_insert(*person) != *person {
                return false;
            }
        }
    }
    only.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(approvals: usize, sources: Vec<Source>) -> Seat {
        Seat { step: 0, approvals, sources, escalation: vec![] }
    }

    fn steps(seats: Vec<Seat>, distinct_people: bool) -> Steps {
        let seats_in_all = seats.iter().map(|seat| seat.approvals).sum();
        let steps = seats.iter().map(|seat| seat.step + 1).max().unwrap_or(0);
        Steps { seats, steps, seats_in_all, distinct_people, general: None, involved: HashSet::new() }
    }

    #[test]
    fn who_is_needed_twice_is_found_and_who_asks_never_counts() {
        let crowd = Crowd::default();
        let these = |people: &[u32]| vec![Source::These(people.to_vec())];
        let second = |people: &[u32]| Seat { step: 1, ..seat(1, these(people)) };
        let at = |steps: &Steps, asker| steps.look(&crowd, asker);
        assert_eq!(at(&steps(vec![seat(1, these(&[1]))], true), 9), [(0, Kind::SinglePerson)]);
        assert_eq!(at(&steps(vec![seat(1, these(&[1]))], true), 1), [(0, Kind::OnlyTheAsker)]);
        assert_eq!(at(&steps(vec![seat(1, these(&[]))], true), 1), [(0, Kind::Nobody)]);
        assert_eq!(at(&steps(vec![seat(2, these(&[1, 2]))], true), 2), [(0, Kind::OnlyTheAsker)]);
        assert_eq!(at(&steps(vec![seat(2, these(&[1, 2]))], true), 9), [], "two of two, and neither alone");
        let twice = vec![seat(1, these(&[1])), second(&[1])];
        assert_eq!(at(&steps(twice.clone(), true), 9), [(1, Kind::Nobody)], "one person counts once");
        assert_eq!(at(&steps(twice, false), 9), [(0, Kind::SinglePerson), (1, Kind::SinglePerson)]);
        let both = vec![seat(1, these(&[1, 2])), second(&[1, 2])];
        assert_eq!(at(&steps(both.clone(), true), 9), []);
        assert_eq!(at(&steps(both, true), 2), [(1, Kind::OnlyTheAsker)], "one is left, and needed twice");
        // The next source stands in, also for a seat that hangs on one person; and so does whom the step escalates to.
        let fallback = vec![Source::These(vec![1]), Source::These(vec![2])];
        assert_eq!(at(&steps(vec![seat(1, fallback.clone())], true), 1), [(0, Kind::SinglePerson)]);
        assert_eq!(at(&steps(vec![seat(1, fallback)], true), 9), []);
        let escalates = Seat { escalation: these(&[3]), ..seat(1, these(&[1])) };
        assert_eq!(at(&steps(vec![escalates], true), 9), []);
        assert_eq!(*steps(vec![seat(1, vec![Source::Manager])], true).look(&crowd, 0), [(0, Kind::Nobody)], "nobody manages them");
    }
}
