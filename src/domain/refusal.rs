//! Why an act is refused, as the person reads it.

use thiserror::Error;

use super::policy::FieldFault;
use super::span::Seconds;

/// An act that the rules do not allow. `Display` is the sentence that the person reads.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The requester or beneficiary tried to decide.
    #[error("Nobody decides on a request that they made or started or that is for them.")]
    OwnRequest,
    /// The decider acts for the requester or beneficiary.
    #[error("The place you would answer in belongs to who made this request, or whom it is for; nobody decides in their stead.")]
    InPlaceOfOwn,
    /// The decider was not asked.
    #[error("You were not asked to decide on this request, so you cannot.")]
    NotAsked,
    /// The decider handed it on, or somebody else was asked instead.
    #[error("You are no longer asked here: it was handed on, or your time of standing in is over.")]
    NoLongerAsked,
    /// The decider's step comes later.
    #[error("Your step of this request has not opened yet; you are told when it does.")]
    NotYet,
    /// A delegate, or the one who is away, or who handed it on, has answered already.
    #[error("Somebody has answered in your place, or you would answer in the place of somebody who has; it counts once.")]
    PlaceTaken,
    /// The same person twice.
    #[error("You have already decided on this request; one person counts once.")]
    AlreadyDecided,
    /// Somebody was faster, or it was withdrawn.
    #[error("This request is already {}; nothing was changed.", .0.replace('_', " "))]
    Closed(&'static str),
    /// The beneficiary has not confirmed it yet.
    #[error("This was asked for by somebody else, and waits until the person it is for confirms it.")]
    Unconfirmed,
    /// A question waits for its answer.
    #[error("A question about this request is open; it goes on when that is answered.")]
    QuestionOpen,
    /// There is no question to answer.
    #[error("No question about this request is open.")]
    NoQuestion,
    /// Only requester and beneficiary do this.
    #[error("Only who made this request, or whom it is for, can do this.")]
    NotParty,
    /// Only the beneficiary confirms.
    #[error("Only the person it is for can confirm this request.")]
    NotBeneficiary,
    /// It is confirmed, or needed no confirmation.
    #[error("This request does not wait for a confirmation.")]
    NothingToConfirm,
    /// The procedure keeps those who are asked.
    #[error("The approval procedure does not let this be handed on. Say no, or ask an owner of the role.")]
    NotReassignable,
    /// The new person may not decide.
    #[error("It cannot be handed on to who made this request, or whom it is for.")]
    ReassignToOwn,
    /// The new person is asked already, or has decided already.
    #[error("They are asked already, or have decided on this request before; choose somebody else.")]
    AskedAlready,
    /// Somebody would be missing elsewhere.
    #[error("If they took this over, nobody would be left for another part of the procedure; choose somebody else.")]
    LeavesTooFew,
    /// The approvers were told a short while ago.
    #[error("Those who are asked were nudged less than 4 hours ago; you can do it again in {0}.")]
    NudgedLately(Seconds),
    /// A step escalates by the clock alone.
    #[error("A step escalates by itself when its time is up; nobody does it by hand.")]
    OnlyTheClock,
    /// Somebody who has no part in the request.
    #[error("Only who takes part in this request, owns its role or administers this service can do this.")]
    NotInvolved,
    /// Nothing changed since it was asked for.
    #[error("The rules of this role are those it was asked for under; there is nothing to evaluate again.")]
    NothingChanged,
    /// There is no emergency to review.
    #[error("This was no emergency, so no review of it is owed.")]
    NoReviewOwed,
    /// Only who was skipped reviews.
    #[error("Only those who were skipped in this emergency can review it.")]
    NotReviewer,
    /// The step that was shown is no longer the one that is open.
    #[error("This request has moved on to another step since you opened the page; look at it again.")]
    MovedOn,
    /// Nobody else could approve in another slot.
    #[error("You are needed at another step of this request, where nobody else could stand in for you. Leave this one to the others, or deny.")]
    NeededElsewhere,
    /// An approver may only shorten.
    #[error("An approver may only shorten: {0} were asked for.")]
    LongerThanAsked(Seconds),
    /// The shortened duration lies below the policy's minimum.
    #[error("The shortest this policy allows is {0}.")]
    ShorterThanAllowed(Seconds),
    /// The policy wants a reason for a denial.
    #[error("Give a reason: the requester reads it.")]
    ReasonRequired,
    /// The person who acts is disabled in the directory.
    #[error("Your account is not active in the directory, so you cannot act.")]
    NotActive,
    /// The beneficiary is disabled or gone.
    #[error("{0} is no longer active in the directory, so nothing can be granted. You can still deny.")]
    BeneficiaryNotActive(String),
    /// The beneficiary's attributes no longer satisfy the policy.
    #[error("{0} no longer meets the policy ({1}), so this cannot be approved. You can still deny.")]
    NoLongerEligible(String, String),
    /// The role, its policy or target changed after the request was made.
    #[error("The rules of this role changed since this was asked for. Ask again under the present rules, or deny it.")]
    RulesChanged,
    /// The same role is asked for already.
    #[error("A request for this role is already open; follow that one.")]
    AlreadyOpen,
    /// The role is held already.
    #[error("{0} already holds this role. Use Extend when it is about to end.")]
    AlreadyHeld(String),
    /// The grant cannot be extended.
    #[error("This access cannot be extended: {0}.")]
    NotExtendable(String),
    /// Nobody could approve it.
    #[error("Nobody could approve this: {0}. The role's owner has to mend its approval procedure.")]
    NobodyCanApprove(String),
    /// Only the requester or beneficiary withdraws.
    #[error("Only who made a request, or whom it is for, can withdraw it.")]
    NotYours,
    /// Only the holder returns.
    #[error("Only who holds an access can return it.")]
    NotHolder,
    /// Only an owner or an administrator revokes.
    #[error("Only an owner of this role or an administrator can revoke it.")]
    NotOwner,
    /// The grant has ended before.
    #[error("This access has already ended.")]
    AlreadyEnded,
    /// The delegation is over.
    #[error("This delegation is over already; nothing was changed.")]
    DelegationOver,
    /// Somebody has reviewed the emergency before.
    #[error("This emergency has been reviewed already; nothing was changed.")]
    AlreadyReviewed,
    /// The role was retired.
    #[error("This role is no longer offered.")]
    RoleRetired,
    /// The role is given in a directory in which the person is not.
    #[error("{0} is not in the directory \u{201c}{1}\u{201d}, in which this role is given.")]
    OtherDirectory(String, String),
    /// The author of a change of the rules tried to approve it.
    #[error("Nobody approves a change of the rules that they proposed; another administrator has to.")]
    OwnChange,
    /// Only the author takes a proposed change back.
    #[error("Only who proposed this change can withdraw it; you can reject it.")]
    NotAuthor,
    /// Somebody was faster.
    #[error("This change of the rules is already {0}; nothing was changed.")]
    ChangeClosed(&'static str),
    /// A change must be approved by a second person before it takes effect.
    #[error("Here a second person approves changes of the rules (policy.require_second_person), so nothing can be applied directly. Propose the change.")]
    SecondPersonRequired,
    /// The input is not acceptable; each fault says where and what to do.
    #[error("{}", sentences(.0))]
    Faults(Vec<FieldFault>),
    /// Asking for somebody else is not something this person may do.
    #[error("You can ask only for yourself.")]
    NotForOthers,
    /// What the beneficiary is to confirm would no longer come out as it did.
    #[error("This can no longer be confirmed: {0}. Withdraw it, and have it asked for again.")]
    NotAsBefore(String),
    /// Somebody was faster, or it is gone.
    #[error("This difference is settled already; nothing was changed.")]
    DriftSettled,
    /// Somebody has begun to settle it.
    #[error("{0} Nothing was changed.")]
    DriftBusy(&'static str),
    /// It is no member without a grant.
    #[error("Only a member whom no grant explains can be adopted, removed or left alone; this is another kind of difference.")]
    NotUnexpected,
    /// Taking them out of this group would change nothing.
    #[error("They are in this group only by the inner group {0}; take them out of that one.")]
    OnlyInherited(String),
    /// The directory does not say who it is.
    #[error("The directory does not list who this is, so nothing can be done about it here. Take them out of the group there.")]
    PersonUnlisted,
    /// No role that is offered is given by the group.
    #[error("No role that is offered is given by this group, so there is nothing to ask for.")]
    NoRoleToAdopt,
    /// Nothing is stopped there.
    #[error("Nothing is stopped at this group any more; nothing was changed.")]
    NothingStopped,
    /// The directory is paused.
    #[error("The directory {0} is paused. Resume it first.")]
    DirectoryPaused(String),
    /// Somebody paused it before.
    #[error("This directory is paused already; nothing was changed.")]
    AlreadyPaused,
    /// Somebody is not, or not yet, to be erased.
    #[error("They cannot be erased: {0}. Nothing was changed.")]
    NotErasable(String),
    /// It is not paused.
    #[error("This directory is not paused; nothing was changed.")]
    NotPaused,
}

fn sentences(faults: &[FieldFault]) -> String {
    faults.iter().map(|fault| fault.sentence.as_str()).collect::<Vec<_>>().join(" ")
}

impl Refusal {
    /// The stable id of this refusal in the API (`urn:countersign:refusal:<id>`).
    pub fn id(&self) -> &'static str {
        match self {
            Self::OwnRequest => "own-request",
            Self::OtherDirectory(..) => "other-directory",
            Self::InPlaceOfOwn => "in-place-of-own",
            Self::NotAsked => "not-asked",
            Self::NoLongerAsked => "no-longer-asked",
            Self::NotYet => "not-yet",
            Self::PlaceTaken => "place-taken",
            Self::Unconfirmed => "unconfirmed",
            Self::QuestionOpen => "question-open",
            Self::NoQuestion => "no-question",
            Self::NotParty => "not-party",
            Self::NotBeneficiary => "not-beneficiary",
            Self::NothingToConfirm => "nothing-to-confirm",
            Self::NotReassignable => "not-reassignable",
            Self::ReassignToOwn => "reassign-to-own",
            Self::AskedAlready => "asked-already",
            Self::LeavesTooFew => "leaves-too-few",
            Self::NudgedLately(_) => "nudged-lately",
            Self::OnlyTheClock => "only-the-clock",
            Self::NotInvolved => "not-involved",
            Self::NothingChanged => "nothing-changed",
            Self::NoReviewOwed => "no-review-owed",
            Self::NotReviewer => "not-reviewer",
            Self::AlreadyDecided => "already-decided",
            Self::Closed(_) => "closed",
            Self::MovedOn => "moved-on",
            Self::NeededElsewhere => "needed-elsewhere",
            Self::LongerThanAsked(_) => "longer-than-asked",
            Self::ShorterThanAllowed(_) => "shorter-than-allowed",
            Self::ReasonRequired => "reason-required",
            Self::NotActive => "not-active",
            Self::BeneficiaryNotActive(_) => "beneficiary-not-active",
            Self::NoLongerEligible(..) => "no-longer-eligible",
            Self::RulesChanged => "rules-changed",
            Self::AlreadyOpen => "already-open",
            Self::AlreadyHeld(_) => "already-held",
            Self::NotExtendable(_) => "not-extendable",
            Self::NobodyCanApprove(_) => "nobody-can-approve",
            Self::DelegationOver => "delegation-over",
            Self::AlreadyReviewed => "already-reviewed",
            Self::NotYours => "not-yours",
            Self::NotHolder => "not-holder",
            Self::NotOwner => "not-owner",
            Self::AlreadyEnded => "already-ended",
            Self::RoleRetired => "role-retired",
            Self::OwnChange => "own-change",
            Self::NotAuthor => "not-author",
            Self::ChangeClosed(_) => "change-closed",
            Self::SecondPersonRequired => "second-person-required",
            Self::Faults(_) => "faults",
            Self::NotForOthers => "not-for-others",
            Self::NotAsBefore(_) => "not-as-before",
            Self::DriftSettled => "drift-settled",
            Self::DriftBusy(_) => "drift-busy",
            Self::NotUnexpected => "not-unexpected",
            Self::OnlyInherited(_) => "only-inherited",
            Self::PersonUnlisted => "person-unlisted",
            Self::NoRoleToAdopt => "no-role-to-adopt",
            Self::NothingStopped => "nothing-stopped",
            Self::DirectoryPaused(_) => "directory-paused",
            Self::AlreadyPaused => "already-paused",
            Self::NotErasable(_) => "not-erasable",
            Self::NotPaused => "not-paused",
        }
    }

    /// Whether somebody else's act came in between (HTTP 409) rather than the act never having been allowed (422).
    pub fn is_conflict(&self) -> bool {
        matches!(
            self,
            Self::Closed(_)
                | Self::MovedOn
                | Self::NotYet
                | Self::NoLongerAsked
                | Self::PlaceTaken
                | Self::AlreadyDecided
                | Self::Unconfirmed
                | Self::QuestionOpen
                | Self::NoQuestion
                | Self::NothingToConfirm
                | Self::AskedAlready
                | Self::NothingChanged
                | Self::AlreadyReviewed
                | Self::AlreadyOpen
                | Self::AlreadyEnded
                | Self::DelegationOver
                | Self::RulesChanged
                | Self::ChangeClosed(_)
                | Self::DriftSettled
                | Self::DriftBusy(_)
                | Self::NothingStopped
                | Self::DirectoryPaused(_)
                | Self::AlreadyPaused
                | Self::NotPaused
        )
    }
}
