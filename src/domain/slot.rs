//! Who is asked in a slot, and if enough.

use serde::{Deserialize, Serialize};

use super::id::PersonId;

/// How somebody came to be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActingAs {
    /// The slot's source names them.
    #[default]
    #[serde(rename = "self")]
    Own,
    /// They stand in for somebody who is away.
    Delegate,
    /// The step waited too long.
    Escalation,
    /// Who was asked handed their place on to them.
    Reassigned,
    /// Who was asked can no longer answer.
    Fallback,
}

impl ActingAs {
    /// Every way with its word.
    pub const ALL: [(ActingAs, &'static str); 5] =
        [(Self::Own, "self"), (Self::Delegate, "delegate"), (Self::Escalation, "escalation"), (Self::Reassigned, "reassigned"), (Self::Fallback, "fallback")];

    /// The word in database, API and CSV.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(way, _)| *way == self).map_or("", |(_, word)| word)
    }

    /// The way of a word; `None` for any other text.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, w)| *w == word).map(|(way, _)| *way)
    }
}

/// One person who is asked in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Who.
    pub person: PersonId,
    /// How they came to be asked.
    pub acting_as: ActingAs,
    /// Of a delegate: who is away. Of whoever a place was handed on to: whose place it is.
    pub acting_for: Option<PersonId>,
    /// Whether they can no longer answer here: they handed it on, are disabled, or their delegation is over.
    pub ended: bool,
}

impl From<PersonId> for Seat {
    /// In their own name.
    fn from(person: PersonId) -> Self {
        Self { person, acting_as: ActingAs::Own, acting_for: None, ended: false }
    }
}

impl Seat {
    /// Whose place it is: of all who share one, one answers.
    pub fn place(&self) -> PersonId {
        self.acting_for.unwrap_or(self.person)
    }

    /// How it is written into events: `self`, `escalation`, `reassigned`, `fallback`, or `delegate_of:` and the id of who is away.
    pub fn written(&self) -> String {
        match (self.acting_as, self.acting_for) {
            (ActingAs::Delegate, Some(away)) => format!("delegate_of:{away}"),
            (way, _) => way.word().into(),
        }
    }

    /// Whether neither who sits here nor whose place it is made the request or gets what it asks for.
    pub fn is_impartial(&self, requester: PersonId, beneficiary: PersonId) -> bool {
        [self.person, self.place()].iter().all(|person| *person != requester && *person != beneficiary)
    }
}

/// A slot of a request: whom it asked and who has approved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotState {
    /// How many approvals it needs.
    pub approvals: u32,
    /// Who was asked; nobody twice.
    pub asked: Vec<Seat>,
    /// Who has approved.
    pub approved_by: Vec<PersonId>,
}

impl SlotState {
    /// A slot that asks `people` in their own name, and has no approval yet.
    pub fn asking(approvals: u32, people: impl IntoIterator<Item = PersonId>) -> Self {
        Self { approvals, asked: people.into_iter().map(Seat::from).collect(), approved_by: Vec::new() }
    }

    /// Whether it has its count.
    pub fn is_done(&self) -> bool {
        self.approved_by.len() >= self.approvals as usize
    }

    /// The seat of `person`, ended or not.
    pub fn seat(&self, person: PersonId) -> Option<&Seat> {
        self.asked.iter().find(|seat| seat.person == person)
    }

    /// Whether an approval has been given for this place: by whose it is, or by somebody in their stead.
    pub fn is_taken(&self, place: PersonId) -> bool {
        self.approved_by.iter().any(|by| self.seat(*by).map_or(*by, Seat::place) == place)
    }
}

/// Whether people enough exist for every slot, given who may be asked in each: the requester and the beneficiary never count, nor
/// does who sits in their place; a place counts once in its slot; and with `distinct_people` nobody is counted in two slots of the
/// request, else in two of one step. Returns the first slot, (step, slot) counted from 1, that cannot be filled.
pub fn unfillable(steps: &[Vec<SlotState>], requester: PersonId, beneficiary: PersonId, distinct_people: bool) -> Option<(usize, usize)> {
    let mut table = Table::default();
    for (s, step) in steps.iter().enumerate() {
        if !distinct_people {
            table = Table::default();
        }
        for (l, slot) in step.iter().enumerate() {
            table.slots.push(places(slot, requester, beneficiary));
            let this = table.slots.len() - 1;
            if (0..slot.approvals).any(|_| !table.seats_one_more(this, &mut Vec::new())) {
                return Some((s + 1, l + 1));
            }
        }
    }
    None
}

/// The places of a slot, each with who can answer for it.
fn places(slot: &SlotState, requester: PersonId, beneficiary: PersonId) -> Vec<(PersonId, Vec<PersonId>)> {
    let mut places: Vec<(PersonId, Vec<PersonId>)> = Vec::new();
    for seat in slot.asked.iter().filter(|seat| !seat.ended && seat.is_impartial(requester, beneficiary)) {
        match places.iter_mut().find(|(place, _)| *place == seat.place()) {
            Some((_, people)) => people.push(seat.person),
            None => places.push((seat.place(), vec![seat.person])),
        }
    }
    places
}

/// Which person answers for which place of which slot, so far: a matching that grows by augmenting paths.
#[derive(Default)]
struct Table {
    slots: Vec<Vec<(PersonId, Vec<PersonId>)>>,
    /// Person, slot, place of that slot.
    taken: Vec<(PersonId, usize, usize)>,
}

impl Table {
    /// Seats one more person in `slot`, moving others where that helps. `tried` are the people already asked to move.
    fn seats_one_more(&mut self, slot: usize, tried: &mut Vec<PersonId>) -> bool {
        for place in 0..self.slots[slot].len() {
            if self.taken.iter().any(|(_, s, p)| (*s, *p) == (slot, place)) {
                continue;
            }
            for person in 0..self.slots[slot][place].1.len() {
                let person = self.slots[slot][place].1[person];
                if tried.contains(&person) {
                    continue;
                }
                tried.push(person);
                let held = self.taken.iter().position(|(who, ..)| *who == person).map(|at| self.taken.swap_remove(at));
                // Whom they leave finds somebody else, for the same place or another one, while they themselves are spoken for.
                if held.is_none_or(|(_, other, _)| self.seats_one_more(other, tried)) {
                    self.taken.push((person, slot, place));
                    return true;
                }
                self.taken.extend(held);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::someone;
    use super::*;

    #[test]
    fn every_word_of_a_way_reads_back() {
        for (way, word) in ActingAs::ALL {
            assert_eq!((way.word(), ActingAs::parse(word)), (word, Some(way)));
            assert_eq!(serde_json::to_string(&way).unwrap(), format!("\"{word}\""));
        }
        assert_eq!(ActingAs::parse("Self"), None);
    }

    #[test]
    fn a_seat_is_written_with_whom_it_stands_in_for() {
        let away = Seat { acting_as: ActingAs::Delegate, acting_for: Some(someone(3)), ..someone(2).into() };
        assert_eq!(away.written(), format!("delegate_of:{}", someone(3)));
        assert_eq!(Seat { acting_as: ActingAs::Reassigned, ..away }.written(), "reassigned");
        assert_eq!(Seat::from(someone(2)).written(), "self");
    }

    #[test]
    fn a_person_and_their_delegate_fill_one_place_between_them() {
        let delegate = Seat { acting_as: ActingAs::Delegate, acting_for: Some(someone(2)), ..someone(3).into() };
        let mut slot = SlotState::asking(2, [someone(2)]);
        slot.asked.push(delegate);
        let nobody = someone(9);
        let one = SlotState { approvals: 1, ..slot.clone() };
        assert_eq!(unfillable(&[vec![slot.clone()]], nobody, nobody, true), Some((1, 1)));
        assert_eq!(unfillable(&[vec![one.clone()]], nobody, nobody, true), None);
        assert_eq!(unfillable(&[vec![one.clone()]], someone(2), nobody, true), Some((1, 1)), "nor does who stands in for the requester count");
        assert_eq!(unfillable(&[vec![one.clone()]], nobody, someone(3), true), None, "but the one who is away does when only the delegate is partial");
        slot.asked.push(someone(4).into());
        assert_eq!(unfillable(&[vec![slot.clone()]], nobody, nobody, true), None);
        slot.asked[2].ended = true;
        assert_eq!(unfillable(&[vec![slot]], nobody, nobody, true), Some((1, 1)));
    }
}
