//! The states of a request.

use serde::{Deserialize, Serialize};

use super::id::PersonId;
use super::refusal::Refusal;

/// Where a request stands. Delivery of what it grants is a state of the grant, never of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestStatus {
    /// Waiting until the beneficiary confirms what somebody else asked for them.
    Submitted,
    /// Waiting for approvals.
    Pending,
    /// Waiting for an answer of the requester.
    NeedsInfo,
    /// Every step is done, or the policy approved by itself.
    Approved,
    /// Somebody said no.
    Denied,
    /// The requester took it back.
    Withdrawn,
    /// A step's time limit passed.
    TimedOut,
    /// The policy refused it at once.
    Refused,
}

impl RequestStatus {
    /// Every status with its word.
    pub const ALL: [(RequestStatus, &'static str); 8] = [
        (Self::Submitted, "submitted"),
        (Self::Pending, "pending"),
        (Self::NeedsInfo, "needs_info"),
        (Self::Approved, "approved"),
        (Self::Denied, "denied"),
        (Self::Withdrawn, "withdrawn"),
        (Self::TimedOut, "timed_out"),
        (Self::Refused, "refused"),
    ];

    /// The word in database, API and CSV.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(status, _)| *status == self).map_or("", |(_, word)| word)
    }

    /// The status of a word; `None` for any other text.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, w)| *w == word).map(|(status, _)| *status)
    }

    /// Whether something can still happen to it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Submitted | Self::Pending | Self::NeedsInfo)
    }
}

/// Whether `by` may withdraw a request of `requester` for `beneficiary` in `status`.
///
/// # Errors
/// Says why not.
pub fn withdraw(status: RequestStatus, requester: PersonId, beneficiary: PersonId, by: PersonId) -> Result<(), Refusal> {
    if by != requester && by != beneficiary {
        return Err(Refusal::NotYours);
    }
    if !status.is_open() {
        return Err(Refusal::Closed(status.word()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::samples::someone;
    use super::*;

    #[test]
    fn a_request_is_withdrawn_by_who_made_it_or_whom_it_is_for_while_it_is_open() {
        let (requester, beneficiary, other) = (someone(0), someone(1), someone(2));
        for (status, word) in RequestStatus::ALL {
            let open = matches!(status, RequestStatus::Submitted | RequestStatus::Pending | RequestStatus::NeedsInfo);
            assert_eq!(status.is_open(), open);
            for by in [requester, beneficiary] {
                assert_eq!(withdraw(status, requester, beneficiary, by), if open { Ok(()) } else { Err(Refusal::Closed(word)) });
            }
            assert_eq!(withdraw(status, requester, beneficiary, other), Err(Refusal::NotYours), "whatever its state");
        }
    }

    #[test]
    fn every_word_of_a_status_reads_back() {
        for (status, word) in RequestStatus::ALL {
            assert_eq!((status.word(), RequestStatus::parse(word)), (word, Some(status)));
        }
        assert_eq!(RequestStatus::parse("open"), None);
    }
}
