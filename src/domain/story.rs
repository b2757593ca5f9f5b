//! What happened, as a sentence.

use super::event::{Fact, Submitted};
use super::person::Named;
use super::span::{Seconds, sentence};

impl Fact {
    /// What happened, as a sentence that goes on after the actor's name: "approved step 1, Manager, for 2 hours".
    pub fn story(&self) -> String {
        match self {
            Self::RequestSubmitted(s) => format!("asked for {} for {}{}", title(s), length(s.duration_s), under(s)),
            Self::RequestRefused(s) => format!("asked for {} for {} and was refused{}: {}", title(s), length(s.duration_s), under(s), s.deciding_rule),
            Self::RequestAutoApproved(s) => format!("asked for {} for {}; the policy approved at once{}", title(s), length(s.duration_s), under(s)),
            Self::StepOpened { step_no, step, asked, .. } => format!("moved it to step {step_no}, {step}: {} asked", verb(asked)),
            Self::ApprovalViewed { step_no } => format!("opened the request for the first time, in step {step_no}"),
            Self::ApprovalGiven(given) => {
                let less = given.granted_s.map(|s| format!(" for {}", Seconds(s))).unwrap_or_default();
                format!("approved step {}, {}{less}{}", given.step_no, given.step, because(given.comment.as_deref()))
            }
            Self::ApprovalDenied(given) => format!("denied in step {}, {}{}", given.step_no, given.step, because(given.comment.as_deref())),
            Self::RequestApproved { granted_s } => format!("completed the last step: approved for {}", length(*granted_s)),
            Self::RequestDenied { .. } => "closed the request as denied".into(),
            Self::RequestWithdrawn { reason } => format!("withdrew the request{}", because(reason.as_deref())),
            Self::RequestTimedOut { step_no: 0 } => "closed the request: nobody confirmed it in time".into(),
            Self::RequestTimedOut { step_no } => format!("closed the request: nobody answered step {step_no} in time"),
            Self::RequestClosed { reason } => format!("closed the request: {reason}"),
            Self::RequestConfirmed {} => "confirmed what was asked for them".into(),
            Self::RequestSuperseded { changes, .. } if changes.is_empty() => "closed it, and asked again under the rules that hold now".into(),
            Self::RequestSuperseded { changes, .. } => format!("closed it, and asked again under what changed: {}", changes.join("; ")),
            Self::RequestReminded { step_no, people } => format!("reminded {} of step {step_no}", names(people)),
            Self::RequestNudged { step_no, people } => format!("asked {} to look at step {step_no}", names(people)),
            Self::RequestEscalated { step_no, step, asked, .. } => format!("waited too long at step {step_no}, {step}: {} asked too", verb(asked)),
            Self::RequestFallbackAsked { step_no, instead_of, asked, .. } => {
                format!("asked others at step {step_no} instead of {}: {} asked", names(instead_of), verb(asked))
            }
            Self::QuestionAsked { step_no, question } => format!("asked a question at step {step_no}, which waits: {question}"),
            Self::QuestionLapsed { step_no, .. } => format!("let the question rest that nobody answered in time; step {step_no} goes on"),
            Self::QuestionAnswered { step_no, answer } => format!("answered, and step {step_no} goes on: {answer}"),
            Self::SignOffNoted { given_by, reference, .. } => format!("noted a sign-off by {given_by}, which counts for nothing here: {reference}"),
            Self::ApprovalReassigned { step_no, to, reason, .. } => format!("handed step {step_no} to {}{}", to.name, because(reason.as_deref())),
            Self::ApprovalDelegated { step_no, from, to, .. } => format!("asked {} at step {step_no} for {}, who is away", to.name, from.name),
            Self::EmergencyReviewOwed { reason, skipped, .. } => {
                format!("took emergency access without asking {}; a review is owed: {reason}", names(skipped))
            }
            Self::EmergencyReviewOverdue { .. } => "waits for the review of the emergency longer than allowed".into(),
            Self::EmergencyReviewed { verdict, comment } => {
                format!("reviewed the emergency: {}{}", verdict.replace('_', " "), because(comment.as_deref()))
            }
            Self::DelegationCreated { from, to, reason, .. } => format!("let {} stand in for {}{}", to.name, from.name, because(reason.as_deref())),
            Self::DelegationEnded { from, to } => format!("ended that {} stands in for {}", to.name, from.name),
            Self::ExtensionDeclined { declined: true } => "said that it is not to be extended".into(),
            Self::ExtensionDeclined { declined: false } => "took back that it is not to be extended".into(),
            Self::SeparationFound { rule, .. } => format!("found two grants held together against {rule}"),
            Self::SeparationResolved { rule, .. } => format!("found that {rule} is kept again"),
            Self::PolicyChangeProposed { source, changes, .. } => {
                format!("proposed {source}: {} change{}", changes.len(), if changes.len() == 1 { "" } else { "s" })
            }
            Self::PolicyChangeApproved { effective_at, .. } => format!("approved a change of the rules, from {} on", effective_at.format("%Y-%m-%d %H:%M UTC")),
            Self::PolicyChangeRejected { how, comment, .. } => format!("{how} a change of the rules{}", because(comment.as_deref())),
            Self::PolicyChangeFailed { error, .. } => format!("could not carry out a change of the rules: {error}"),
            Self::GrantCreated { duration_s, extension_of, .. } => {
                let kind = if extension_of.is_some() { "an extension" } else { "a grant" };
                format!("caused {kind} for {}", length(*duration_s))
            }
            Self::ProvisioningStarted { target } => format!("began to deliver it: {target}"),
            Self::Provisioned { result, attempt } => format!("told the directory (attempt {attempt}): {}", result.replace('_', " ")),
            Self::AttemptFailed { action, error, attempt } => format!("could not {action} the member (attempt {attempt}) and will try again: {error}"),
            Self::GrantActivated { .. } => "read the directory back: the access is there".into(),
            Self::GrantFailed { error } => format!("gave up delivering it: {error}"),
            Self::GrantExpired { .. } => "ended it: its time was up".into(),
            Self::GrantReturned { reason } => format!("returned the access{}", because(reason.as_deref())),
            Self::GrantRevoked { reason } => format!("revoked the access{}", because(reason.as_deref())),
            Self::GrantOffboarded { status } => format!("ended it: the directory says the person is {status}"),
            Self::GrantEligibilityLost { rule } => format!("ended it: the person no longer meets {rule}"),
            Self::GrantEligibilityGrace { sentence, ends_at, .. } => {
                format!("found that the person no longer meets it, and ends it on {} unless they do again: {sentence}", ends_at.format("%Y-%m-%d %H:%M UTC"))
            }
            Self::GrantEligibilityKept { sentence, .. } => format!("found that the person no longer meets it, and keeps it, as the policy says: {sentence}"),
            Self::GrantEligibilityRestored { .. } => "found that the person meets it again".into(),
            Self::GrantEnded { membership, .. } => match membership.as_str() {
                "removed" => "read the directory back: the access is gone".into(),
                "kept_by_other_lease" => "left the membership in place: another grant keeps it".into(),
                "pre_existing" => "left the membership in place: it was there before the grant".into(),
                "never_added" => "had nothing to take away: it was never added".into(),
                "person_gone" => "had nothing to take away: the directory no longer has the person".into(),
                other => format!("verified the end: {}", other.replace('_', " ")),
            },
            Self::DriftFound { drift, group, person, through, .. } => match drift.as_str() {
                "unexpected_member" if through.is_some() => {
                    format!("found {person} in group {group} without a grant, by the inner group {}", through.as_deref().unwrap_or_default())
                }
                "unexpected_member" => format!("found {person} in group {group} without a grant"),
                "missing_member" => format!("found {person} missing from group {group} in spite of a grant"),
                _ => format!("found that group {group} is not in the directory"),
            },
            Self::DriftResolved { group, person, resolution, .. } => format!("found the difference about {person} in group {group} gone: {resolution}"),
            Self::DriftAdoptionAsked { group, person, .. } => format!("made a request for {person}, who is in group {group} without a grant"),
            Self::DriftAdoptionFailed { group, person, why, .. } => format!("could not make a grant of the membership of {person} in group {group}: {why}"),
            Self::DriftRemovalOrdered { group, person, .. } => format!("ordered {person} to be taken out of group {group}"),
            Self::DriftIgnored { group, person, reason, owner, until, .. } => {
                let until = until.format("%Y-%m-%d");
                format!("left {person} in group {group} without a grant until {until}; {} answers for it: {reason}", owner.name)
            }
            Self::DriftExceptionEnded { group, person, why, .. } => format!("ended that {person} may be in group {group} without a grant: {why}"),
            Self::GroupImported { group, members, .. } => format!("looked at group {group} for the first time: {members} were in it before"),
            Self::GroupMembersLeft { group, members, .. } => format!("found that {members} who were in group {group} before are in it no more"),
            Self::GroupStopped { group, why, people, members, .. } if why == "shrunk" => {
                format!("did not believe the list of group {group}, which lacks {people} and has {members}; somebody has to look")
            }
            Self::GroupStopped { group, people, members, .. } => {
                format!("did not take {people} of {members} out of group {group} at once; somebody has to look")
            }
            Self::GroupReleased { group, how, .. } => format!("went on with group {group}: {how}"),
            Self::DirectoryPaused { directory, everything, reason } => {
                let what = if *everything { "everything, removals too," } else { "new access" };
                format!("holds {what} back in directory {directory}: {reason}")
            }
            Self::DirectoryResumed { directory } => format!("went on with directory {directory}"),
            Self::SessionStarted { .. } => "signed in".into(),
            Self::SessionRefused { reason, .. } => format!("did not let somebody in: {reason}"),
            Self::SessionEnded { reason } => format!("session ended: {}", reason.replace('_', " ")),
            Self::IdentityLinked { issuer, .. } => format!("was linked to the sign-in at {issuer}, for good"),
            Self::TokenCreated { name, scopes, .. } => format!("made the API token {name} for {}", scopes.join(", ")),
            Self::TokenUsed { name } => format!("used the API token {name}"),
            Self::TokenRevoked { name } => format!("revoked the API token {name}"),
            Self::CatalogApplied { source, changes, .. } => format!("applied {source}: {} change{}", changes.len(), if changes.len() == 1 { "" } else { "s" }),
            Self::EvidenceExported { file, mode, .. } => format!("took evidence away: {file} ({mode})"),
            Self::EvidenceSampled { population, seed, size, count, .. } => {
                format!("drew a sample of {size} from {count} in {population}, by the seed {seed}")
            }
            Self::EvidenceViewed { page, object } => format!("looked at {page}{}", object.as_ref().map(|object| format!(" ({object})")).unwrap_or_default()),
            Self::KeyAdded { key } => format!("signs the log with the key {key} from here on"),
            Self::KeyRotated { from, to, reason, .. } => format!("signs the log with the key {to} from here on, no longer {from}: {reason}"),
            Self::PersonErasureOrdered { reason } => format!("ordered that what identifies the person be erased: {reason}"),
            Self::PersonErased { reason } => format!("erased what identifies the person: {reason}"),
            Self::RetentionApplied { what, before } => {
                format!("erased {} from before {}, as the settings say", what.replace('_', "-"), before.format("%Y-%m-%d"))
            }
            Self::HoldPlaced { reason, .. } => format!("put a hold on it, so that nothing of it is erased: {reason}"),
            Self::HoldLifted { reason, .. } => format!("lifted a hold, so that it may be erased again: {reason}"),
            Self::EvidenceRead { page } => format!("read {page}"),
            Self::ScheduleMade { name, new, .. } => format!("made the schedule {name}: {new}"),
            Self::ScheduleChanged { name, new, .. } => format!("changed the schedule {name}: {new}"),
            Self::ScheduleSwitched { name, on, .. } => format!("switched the schedule {name} {}", if *on { "on" } else { "off" }),
            Self::ScheduleRunAsked { name, .. } => format!("had the schedule {name} run at once"),
            Self::ScheduledSent { name, result, reference, .. } if result == "linked" => {
                format!("told {reference} where to take what the schedule {name} would have sent: it is too large for a mail")
            }
            Self::ScheduledSent { name, file, reference, .. } => format!("sent {file} of the schedule {name} to {reference}"),
            Self::ScheduledFailed { name, tries, error, .. } => {
                format!("could not send what the schedule {name} says, after {tries} {}: {error}", if *tries == 1 { "try" } else { "tries" })
            }
            Self::CheckpointWitnessed { witness, error: Some(error), .. } => format!("could not hand a checkpoint to the {witness}: {error}"),
            Self::CheckpointWitnessed { witness, size, .. } => {
                format!("handed a checkpoint of {} events to the {witness}", size.unwrap_or_default())
            }
            Self::LogRestored { reason, .. } => format!("took a restored state of the log for the true one: {reason}"),
            Self::DirectorySynced { directory, people, changed } => format!("read directory {directory}: {people} people, {changed} changed"),
            Self::DirectoryFailed { directory, error } => format!("could not read directory {directory}: {error}"),
            Self::PersonChanged { old, new } => format!("noticed that the directory calls the person {new}, no longer {old}"),
            Self::PersonMoved { attribute, old, new } => {
                let said = |values: &[String]| if values.is_empty() { "nothing".to_owned() } else { values.join(", ") };
                format!("noticed that the directory says {} {}, no longer {}", attribute.replace('_', " "), said(new), said(old))
            }
            Self::DirectoryBelieved { directory } => format!("said that so many people really left directory {directory}"),
            Self::ClockJumped { by_ms } => format!("noticed that the clocks differ by {by_ms} ms"),
        }
    }
}

fn title(s: &Submitted) -> String {
    let whom = if s.requester.id == s.beneficiary.id { String::new() } else { format!(" for {}", s.beneficiary.name) };
    format!("{} {}{whom}", s.application, s.role)
}

fn under(s: &Submitted) -> String {
    s.policy.as_ref().map(|policy| format!(", under policy {policy}")).unwrap_or_default()
}

/// "4 hours", or "an unlimited time".
fn length(seconds: Option<i64>) -> String {
    seconds.map_or_else(|| "an unlimited time".into(), |s| sentence(Some(Seconds(s))))
}

fn because(text: Option<&str>) -> String {
    text.map(|text| format!(": {text}")).unwrap_or_default()
}

fn verb(people: &[Named]) -> String {
    format!("{} {}", names(people), if people.len() == 1 { "is" } else { "are" })
}

/// "Mara Voss, Hana Sato and Kofi Asante"; of many the first few.
fn names(people: &[Named]) -> String {
    match people {
        [] => "nobody".into(),
        [one] => one.name.clone(),
        [head @ .., last] if people.len() <= 4 => format!("{} and {}", head.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(", "), last.name),
        [first, second, third, rest @ ..] => format!("{}, {}, {} and {} more", first.name, second.name, third.name, rest.len()),
        [first, second] => format!("{} and {}", first.name, second.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::PersonId;
    use uuid::Uuid;

    fn named(n: u128, name: &str) -> Named {
        Named { id: PersonId(Uuid::from_u128(n)), name: name.into(), email: None }
    }

    #[test]
    fn a_step_names_whom_it_asked_and_no_more_than_a_handful() {
        let opened = |asked| Fact::StepOpened { step_no: 2, step: "Owners".into(), asked, due_at: None }.story();
        assert_eq!(opened(vec![named(1, "Dana")]), "moved it to step 2, Owners: Dana is asked");
        assert_eq!(opened(vec![named(1, "Dana"), named(2, "Cy"), named(3, "Mo")]), "moved it to step 2, Owners: Dana, Cy and Mo are asked");
        let many = (1..=9).map(|n| named(n, &format!("P{n}"))).collect();
        assert_eq!(opened(many), "moved it to step 2, Owners: P1, P2, P3 and 6 more are asked");
    }

    #[test]
    fn access_without_end_is_told_so() {
        assert_eq!(Fact::RequestApproved { granted_s: None }.story(), "completed the last step: approved for an unlimited time");
        assert_eq!(Fact::RequestApproved { granted_s: Some(7_200) }.story(), "completed the last step: approved for 2 hours");
    }
}
