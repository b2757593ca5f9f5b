//! The columns of each file: a contract with a version.
//!
//! Columns are added at the end of a file's own part, with a new version; none is renamed, moved or dropped. A column that
//! this release cannot fill yet is there and empty.

/// The version of all the contracts below.
pub const VERSION: u32 = 1;

/// A column: its name in the header, and what its cells hold.
pub type Column = (&'static str, &'static str);

/// A file of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum File {
    /// Every request of the period, whatever became of it.
    Requests,
    /// Who was asked, and what they said; a row per person asked.
    Approvals,
    /// Every access that was granted, its beginning and its end.
    Grants,
    /// The log itself.
    Events,
    /// Every change of the rules.
    PolicyChanges,
    /// What separation rules were run against.
    Sod,
    /// Everybody who left, and how fast what was theirs ended.
    Leavers,
    /// Everything that changed about people who held access, and what became of that.
    Movers,
    /// Every time a directory was told to change a membership.
    Provisioning,
    /// Where directories differed from what was granted.
    Drift,
    /// Who has access as of a moment, and why.
    Access,
    /// What campaigns of review decided.
    Reviews,
    /// What administrators and auditors did, read and took away.
    AdminActivity,
    /// Whether every role adds up, and with its directory.
    ControlTotals,
}

impl File {
    /// Every file, in the order of the bundle.
    pub const ALL: [File; 14] = [
        Self::Requests,
        Self::Approvals,
        Self::Grants,
        Self::Access,
        Self::Leavers,
        Self::Movers,
        Self::Provisioning,
        Self::Drift,
        Self::Events,
        Self::PolicyChanges,
        Self::Reviews,
        Self::Sod,
        Self::AdminActivity,
        Self::ControlTotals,
    ];

    /// The tables of a bundle in order; the events are in it as a list that proves itself.
    pub fn of_bundle() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|file| *file != Self::Events)
    }

    /// Whether only auditors and administrators may have it, whatever it is narrowed to: it is about everything at once.
    pub fn is_about_everything(self) -> bool {
        matches!(self, Self::PolicyChanges | Self::AdminActivity | Self::ControlTotals)
    }

    /// The word in URLs and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Approvals => "approvals",
            Self::Grants => "grants",
            Self::Events => "events",
            Self::PolicyChanges => "policy_changes",
            Self::Sod => "sod",
            Self::Leavers => "leavers",
            Self::Movers => "movers",
            Self::Provisioning => "provisioning",
            Self::Drift => "drift",
            Self::Access => "access",
            Self::Reviews => "reviews",
            Self::AdminActivity => "admin_activity",
            Self::ControlTotals => "control_totals",
        }
    }

    /// The file of a word, with or without `.csv`; `None` for any other text.
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.strip_suffix(".csv").unwrap_or(word);
        Self::ALL.into_iter().find(|file| file.word() == word)
    }

    /// The file's name, for example `requests.csv`.
    pub fn name(self) -> String {
        format!("{}.csv", self.word())
    }

    /// What the file holds, as a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Requests => "Every request made in the period: who asked for what, which rule governed it, and what became of it.",
            Self::Approvals => "For every request made in the period, a row for each person who was asked, and what they said.",
            Self::Grants => "Every access approved in the period: when it began, how it was given, when and why it ended.",
            Self::Events => "Every event of the period, in order, as the log holds it.",
            Self::PolicyChanges => "Every change of the rules proposed or applied in the period: who made it, who approved it, what it changed.",
            Self::Leavers => "Everybody who was found to have left in the period: what they held, and when it was taken away and verified.",
            Self::Movers => {
                "Every change in the period of an attribute of somebody who held access: what they were no longer eligible for, and what became of that."
            }
            Self::Sod => {
                "Every separation of duties that was run against in the period: what was blocked, what an exception allowed, what was found held together."
            }
            Self::Provisioning => "Every time in the period that a directory was told to add or remove a member, what it answered, and when it was read back.",
            Self::Drift => "Every difference between a directory and what was granted that was found in the period, and what became of it.",
            Self::Access => "Everybody who had access at the end of the period, or has it now: since when, until when, by which request, and whose approval.",
            Self::Reviews => "Every access that a campaign of review looked at in the period, and what was decided. Empty where there was no campaign.",
            Self::AdminActivity => {
                "Everything in the period that changed rules or the installation, and everything that auditors and administrators read or took away."
            }
            Self::ControlTotals => {
                "For each role what was held when the period began, what came, what ended and why, and what was held when it ended; held against the directory, with a row for every difference."
            }
        }
    }

    /// Its columns in order.
    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::Requests => &REQUESTS,
            Self::Approvals => &APPROVALS,
            Self::Grants => &GRANTS,
            Self::Events => &EVENTS,
            Self::PolicyChanges => &POLICY_CHANGES,
            Self::Sod => &SOD,
            Self::Leavers => &LEAVERS,
            Self::Movers => &MOVERS,
            Self::Provisioning => &PROVISIONING,
            Self::Drift => &DRIFT,
            Self::Access => &ACCESS,
            Self::Reviews => &REVIEWS,
            Self::AdminActivity => &ADMIN_ACTIVITY,
            Self::ControlTotals => &CONTROL_TOTALS,
        }
    }

    /// The names of its columns in order: the header.
    pub fn header(self) -> impl Iterator<Item = &'static str> {
        self.columns().iter().map(|(name, _)| *name)
    }
}

const FIRST: Column = ("event_seq_first", "The first event of the log that this row is made from.");
const LAST: Column = ("event_seq_last", "The last event of the log that this row is made from.");

/// `requests.csv`.
const REQUESTS: [Column; 34] = [
    ("request_id", "The request."),
    ("requested_at", "When it was made, UTC."),
    ("requester_id", "Who made it."),
    ("requester_email", "Their address at that time."),
    ("requester_name", "Their name at that time."),
    ("beneficiary_id", "For whom."),
    ("beneficiary_email", "Their address at that time."),
    ("beneficiary_name", "Their name at that time."),
    ("on_behalf", "true when requester and beneficiary differ."),
    ("channel", "web, api or cli."),
    ("application", "The application's name at that time."),
    ("role_id", "The role."),
    ("role", "Its name at that time."),
    ("risk", "Its risk at that time: low, elevated or critical."),
    ("justification", "As typed."),
    ("ticket_ref", "As typed."),
    ("requested_duration_s", "Seconds; empty: without end."),
    ("requested_start", "UTC; empty: as soon as approved."),
    ("profile", "Key and version of the access profile that was checked."),
    ("policy", "Key of the access policy that governed; empty when none was for this person."),
    ("policy_version", "Its version."),
    ("policy_digest", "SHA-256 of that version's canonical form."),
    ("decision", "What the policy said: refused, auto_approved or needs_approval."),
    ("deciding_rule", "By which rule."),
    ("attributes_used", "JSON: each attribute the rules looked at, with the values seen."),
    ("procedure", "Key and version of the approval procedure; empty when the policy asks nobody."),
    ("steps_required", "How many steps had to be done."),
    ("status", "submitted, pending, needs_info, approved, denied, withdrawn, timed_out or refused."),
    ("decided_at", "When it was settled, whichever way, UTC; empty while open."),
    ("time_to_decision_s", "Seconds from requested_at to decided_at."),
    ("close_category", "The category it was closed with, if any."),
    ("emergency", "true when the emergency path was taken."),
    FIRST,
    LAST,
];

/// `approvals.csv`.
const APPROVALS: [Column; 20] = [
    ("request_id", "The request."),
    ("step_no", "Counted from 1; empty on the row of an automatic approval."),
    ("step", "The step's name."),
    ("slot_source", "Where the slot's approvers come from."),
    ("slot_count", "How many approvals the slot needs."),
    ("assigned_to_id", "Who was asked, or would be at a step that has not opened."),
    ("assigned_to_email", "Their address when they were asked."),
    ("assigned_at", "When they were asked, UTC; empty: the step has not opened."),
    ("notified_at", "When a message was sent to them, UTC."),
    ("first_viewed_at", "When they first opened the request, UTC."),
    ("decided_by_id", "Who decided."),
    ("decided_by_email", "Their address when they were asked."),
    ("acting_as", "self, delegate_of:<person>, escalation, reassigned or fallback."),
    ("decision", "approve, deny, auto_approve, timed_out or superseded; empty while open or never asked."),
    ("decided_at", "UTC."),
    ("comment", "As typed."),
    ("granted_duration_s", "Seconds, when the approver shortened it."),
    ("channel", "web, api, cli or system."),
    FIRST,
    LAST,
];

/// `grants.csv`.
const GRANTS: [Column; 29] = [
    ("grant_id", "The lease."),
    ("request_id", "The request that was approved."),
    ("beneficiary_id", "Who holds it."),
    ("beneficiary_email", "Their address when they asked."),
    ("application", "The application's name when asked."),
    ("role_id", "The role."),
    ("role", "Its name when asked."),
    ("target", "What was told where, as when it was provisioned; before that the immutable reference of the group."),
    ("provisioning_method", "idp_group, app_api, workflow or manual."),
    ("approved_at", "UTC."),
    ("provisioning_started_at", "When the directory was first told, UTC."),
    ("granted_at", "When the directory accepted, UTC."),
    ("verified_at", "When the directory said itself that the membership is there, UTC."),
    ("approval_before_grant", "true when the approval that the grant cites was in the log before access began; empty before it did."),
    ("starts_at", "When access began, or is to begin, UTC."),
    ("ends_at", "When it is to end, UTC; empty: without end."),
    ("status", "scheduled, provisioning, verifying, active, revoking, ended or failed."),
    ("ended_at", "When the lease ended, UTC."),
    ("end_verified_at", "When the directory said itself that the membership is gone, UTC."),
    ("end_reason", "expired, returned, revoked, offboarded, eligibility_lost, review, emergency_closed or superseded."),
    ("ended_by", "The person who ended it; empty when it ended by itself."),
    ("revoke_latency_s", "Seconds from the end of the lease to the verified removal."),
    ("extension_of", "The lease that this one extends."),
    ("attempts", "How often the directory was told."),
    ("last_error", "The last error of the directory, if any."),
    ("confirmed", "What the holder said: works, fails or unknown."),
    ("confirmed_at", "When they said so, UTC."),
    FIRST,
    LAST,
];

/// `events.csv`.
const EVENTS: [Column; 18] = [
    ("event_id", "The event."),
    ("occurred_at", "By the database's clock, UTC."),
    ("kind", "What happened."),
    ("actor_kind", "person, token or system."),
    ("actor_id", "The person who did it, or whose token did."),
    ("actor_name", "Their name at that time."),
    ("acting_for", "The person they stood in for."),
    ("token_id", "The API token."),
    ("channel", "web, api, cli or system."),
    ("request_id", "The request it is about."),
    ("grant_id", "The grant it is about."),
    ("person_id", "The person it is about."),
    ("role_id", "The role it is about."),
    ("application_id", "The application it is about."),
    ("policy_version_id", "The version of the policy that governed."),
    ("data", "JSON: what happened, in named fields."),
    FIRST,
    LAST,
];

/// `policy_changes.csv`: a row for each policy version that a change made, and one for a change that made none.
const POLICY_CHANGES: [Column; 15] = [
    ("change_id", "The change."),
    ("policy", "Key of the policy; empty when the change made no version of one, or is not in force."),
    ("version_from", "Its version before; empty: none was in force."),
    ("version_to", "Its version since; empty: none is in force."),
    ("author", "The person who made it; empty: the operator at the command line."),
    ("approver", "The person who approved it; empty when nobody had to, or has."),
    ("submitted_at", "When it was proposed, or applied at once, UTC."),
    ("approved_at", "When it was approved, UTC."),
    ("effective_at", "When it takes effect, or took, UTC."),
    ("diff_json", "JSON: each change of the whole set as a line."),
    ("whatif_summary", "JSON: how many stored requests would have come out otherwise, by what becomes of them."),
    ("digest", "SHA-256 of the whole set as TOML."),
    ("status", "proposed, approved, applied, rejected, withdrawn or failed."),
    FIRST,
    LAST,
];

/// `sod.csv`.
const SOD: [Column; 10] = [
    ("rule", "Key and version of the separation rule."),
    ("set_a", "The roles of one set, separated by semicolons."),
    ("set_b", "The roles of the other set."),
    ("request_id", "The request that ran against it; empty for what a scan found."),
    ("found_at", "When it was found, UTC: when the request was made, or the scan ran."),
    ("outcome", "blocked (nothing was granted), approved_with_exception or found; empty while the request is open."),
    ("approver", "Who approved the exception, a row for each; empty where nobody did."),
    ("exception_until", "When what was granted ends, UTC; empty: without end, or nothing was."),
    FIRST,
    LAST,
];

/// `leavers.csv`: a row for each time that somebody left.
const LEAVERS: [Column; 14] = [
    ("person_id", "Who left."),
    ("email", "Their address, as it was last seen."),
    ("deactivated_at", "When the directory says that the account was switched off, UTC; empty: it does not say."),
    ("detected_at", "When Countersign found it out, UTC."),
    ("grants_at_detection", "How many live grants they held then."),
    ("first_revoked_at", "When the first of them was ended for it, UTC; empty: none was."),
    ("last_revoked_at", "When the last of them was, UTC."),
    ("last_verified_at", "When the directory said itself that the last of these memberships is gone, UTC; empty while one is not."),
    ("hours_to_last_revocation", "Hours from deactivated_at, or detected_at where that is empty, to last_verified_at."),
    ("sla_hours", "Within how many hours everything must have ended, as it was set then."),
    ("within_sla", "true when it had; false when it had not, or has not yet and the time is up; empty while there is time."),
    ("requests_closed", "Open requests for them or by them that were closed for it."),
    FIRST,
    LAST,
];

/// `movers.csv`: a row for each attribute that changed.
const MOVERS: [Column; 10] = [
    ("person_id", "Whose attribute it is."),
    ("attribute", "Its name; groups: those left and joined, without the ones that grants gave."),
    ("old", "JSON: its values before."),
    ("new", "JSON: its values since."),
    ("changed_at", "When Countersign found it out, UTC."),
    ("grants_losing_eligibility", "How many grants they no longer met the policy of because of it."),
    ("removed_at", "When the directory said itself that the last of those that ended for it is gone, UTC; empty: none ended, or one is not gone yet."),
    ("kept_by", "Key and version of each policy that kept such a grant, separated by semicolons; empty: none did."),
    FIRST,
    LAST,
];

/// `provisioning.csv`: a row for each time a directory was told to change a membership.
const PROVISIONING: [Column; 13] = [
    ("attempt_id", "The try."),
    ("grant_id", "The grant that it was for; empty where a member without a grant was taken out."),
    ("action", "add or remove."),
    ("method", "idp_group, app_api, workflow or manual."),
    ("target", "Key of the directory, and the immutable references of the group and of the person there."),
    ("idempotency_key", "The same for every try to make the same wish so."),
    ("started_at", "When the directory was told, UTC."),
    ("finished_at", "When it had answered and was read back, UTC."),
    ("result", "changed, already_so, pending_there, rate_limited, not_writable, person_gone, group_gone, unauthorized, not_applied, ambiguous or unknown."),
    ("detail", "What it said, or what was wrong."),
    ("verified_at", "When the directory said itself that it is so, UTC; empty: it did not, or not yet."),
    FIRST,
    LAST,
];

/// `drift.csv`: a row for each difference.
const DRIFT: [Column; 12] = [
    ("detected_at", "When it was found, UTC."),
    ("directory", "Key of the directory."),
    ("target", "The immutable reference of the group there."),
    ("person_id", "The person; the reference in the directory where it is nobody known here; empty for a group that is gone."),
    ("kind", "unexpected_member, missing_member or unknown_target."),
    ("first_seen_sync_id", "The comparison that found it."),
    ("action", "alerted, removed, adopted or ignored."),
    ("resolved_at", "When it was settled, UTC; empty while open."),
    ("resolved_by", "The person who settled it; empty when nobody had to, or a rule of the role did."),
    ("request_id_if_adopted", "The request that was made to adopt it."),
    FIRST,
    LAST,
];

/// `access.csv`: a row for each access that somebody had at a moment.
const ACCESS: [Column; 21] = [
    ("as_of", "The moment, UTC: the end of the period, or when the file was made."),
    ("person_id", "Who; the reference in the directory where it is nobody known here."),
    ("email", "Their address as it is known now."),
    ("person_status", "active, disabled or gone, at that moment."),
    ("department", "Their department at that moment."),
    ("manager_email", "The address of their manager as it is known now."),
    ("application", "The application's name now."),
    ("role_id", "The role."),
    ("role", "Its name now."),
    ("target", "Key of the directory, and the immutable reference of the group there."),
    ("risk", "The role's risk now: low, elevated or critical."),
    ("since", "When they were given it, UTC; for what was not granted here when it was first seen."),
    ("until", "When it ends by itself, UTC; empty: without end."),
    ("source", "request, pre_existing or out_of_band."),
    ("grant_id", "The grant; empty for what was not granted here."),
    ("request_id", "The request."),
    ("approvers", "Ids of those who approved it, separated by semicolons; empty: a rule did."),
    ("policy_version", "Key and version of the policy that governed the request."),
    ("last_reviewed_at", "When a campaign last looked at it, UTC; empty: none did."),
    FIRST,
    LAST,
];

/// `reviews.csv`: a row for each item of a campaign.
const REVIEWS: [Column; 15] = [
    ("campaign_id", "The campaign."),
    ("population_frozen_at", "When it was settled what is to be reviewed, UTC."),
    ("item_id", "The item."),
    ("person", "Whose access it is."),
    ("role", "The role."),
    ("reviewer", "Who is to review it."),
    ("original_reviewer", "Who was to before it was handed on."),
    ("recommendation", "What was recommended to them."),
    ("decision", "keep or remove; empty while open."),
    ("rationale", "Why, as typed."),
    ("decided_at", "When, UTC."),
    ("removed_at", "When the access was ended for it, UTC."),
    ("verified_at", "When the directory said itself that it is gone, UTC."),
    FIRST,
    LAST,
];

/// `admin_activity.csv`: a row for each act.
const ADMIN_ACTIVITY: [Column; 9] = [
    ("at", "When, UTC."),
    ("actor", "The person's id; operator for the command line, system for what happened by itself."),
    ("action", "The kind of the event."),
    ("object", "What it was about: a file, a page, a directory, a group, a change."),
    ("before", "What held before, where the act put something in its place: versions of rules, or a state."),
    ("after", "What held after: versions of rules; otherwise JSON: all that the event says."),
    ("channel", "web, api, cli or system."),
    FIRST,
    LAST,
];

/// `control_totals.csv`: a row for each role, and one for each difference of its members from its leases.
const CONTROL_TOTALS: [Column; 18] = [
    ("role_id", "The role."),
    ("opening_active", "Grants whose membership the directory had confirmed when the period began, and not yet its end."),
    ("granted", "Grants that it confirmed in the period."),
    ("ended_expired", "Grants whose end it confirmed in the period: their time was up."),
    ("ended_returned", "Given back."),
    ("ended_revoked", "Revoked by somebody else."),
    ("ended_offboarded", "The person left."),
    ("ended_eligibility_lost", "The person no longer met the policy."),
    ("ended_review", "A review removed it."),
    ("ended_emergency_closed", "The review of an emergency ended it."),
    ("ended_superseded", "Another grant took its place."),
    ("closing_active", "As opening_active, when the period ended, counted by itself."),
    ("directory_members_now", "Direct members of the role's group when it was last compared; empty: never, or not given by a group."),
    ("difference", "directory_members_now less closing_active; in a row with a reason the part of it that this is about."),
    (
        "reason",
        "Empty in a role's own row; else granted_after_period, ended_after_period, granted_since_reading, ended_since_reading, same_membership, other_role, pre_existing, out_of_band, missing_member, unexplained, or does_not_add_up.",
    ),
    ("person_id", "Whom the difference is about; the reference in the directory where it is nobody known here."),
    FIRST,
    LAST,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn header(file: File) -> String {
        file.header().collect::<Vec<_>>().join(", ")
    }

    // Golden: a change here is a new version of the contract, and says so in the changelog.
    #[test]
    fn the_columns_are_the_ones_promised() {
        assert_eq!(VERSION, 1);
        insta::assert_snapshot!(header(File::Requests), @"request_id, requested_at, requester_id, requester_email, requester_name, beneficiary_id, beneficiary_email, beneficiary_name, on_behalf, channel, application, role_id, role, risk, justification, ticket_ref, requested_duration_s, requested_start, profile, policy, policy_version, policy_digest, decision, deciding_rule, attributes_used, procedure, steps_required, status, decided_at, time_to_decision_s, close_category, emergency, event_seq_first, event_seq_last");
        insta::assert_snapshot!(header(File::Approvals), @"request_id, step_no, step, slot_source, slot_count, assigned_to_id, assigned_to_email, assigned_at, notified_at, first_viewed_at, decided_by_id, decided_by_email, acting_as, decision, decided_at, comment, granted_duration_s, channel, event_seq_first, event_seq_last");
        insta::assert_snapshot!(header(File::Grants), @"grant_id, request_id, beneficiary_id, beneficiary_email, application, role_id, role, target, provisioning_method, approved_at, provisioning_started_at, granted_at, verified_at, approval_before_grant, starts_at, ends_at, status, ended_at, end_verified_at, end_reason, ended_by, revoke_latency_s, extension_of, attempts, last_error, confirmed, confirmed_at, event_seq_first, event_seq_last");
        insta::assert_snapshot!(header(File::Sod), @"rule, set_a, set_b, request_id, found_at, outcome, approver, exception_until, event_seq_first, event_seq_last");
        insta::assert_snapshot!(header(File::Leavers), @"person_id, email, deactivated_at, detected_at, grants_at_detection, first_revoked_at, last_revoked_at, last_verified_at, hours_to_last_revocation, sla_hours, within_sla, requests_closed, event_seq_first, event_seq_last");
        insta::assert_snapshot!(header(File::Movers), @"person_id, attribute, old, new, changed_at, grants_losing_eligibility, removed_at, kept_by, event_seq_first, event_seq_last");
        insta::assert_snapshot!(header(File::Events), @"event_id, occurred_at, kind, actor_kind, actor_id, actor_name, acting_for, token_id, channel, request_id, grant_id, person_id, role_id, application_id, policy_version_id, data, event_seq_first, event_seq_last");
        insta::assert_snapshot!(header(File::PolicyChanges), @"change_id, policy, version_from, version_to, author, approver, submitted_at, approved_at, effective_at, diff_json, whatif_summary, digest, status, event_seq_first, event_seq_last");
        insta::assert_snapshot!(header(File::Provisioning), @"attempt_id, grant_id, action, method, target, idempotency_key, started_at, finished_at, result, detail, verified_at, event_seq_first, event_seq_last");
        insta::assert_snapshot!(header(File::Access), @"as_of, person_id, email, person_status, department, manager_email, application, role_id, role, target, risk, since, until, source, grant_id, request_id, approvers, policy_version, last_reviewed_at, event_seq_first, event_seq_last");
        insta::assert_snapshot!(header(File::Reviews), @"campaign_id, population_frozen_at, item_id, person, role, reviewer, original_reviewer, recommendation, decision, rationale, decided_at, removed_at, verified_at, event_seq_first, event_seq_last");
        insta::assert_snapshot!(header(File::AdminActivity), @"at, actor, action, object, before, after, channel, event_seq_first, event_seq_last");
        insta::assert_snapshot!(header(File::ControlTotals), @"role_id, opening_active, granted, ended_expired, ended_returned, ended_revoked, ended_offboarded, ended_eligibility_lost, ended_review, ended_emergency_closed, ended_superseded, closing_active, directory_members_now, difference, reason, person_id, event_seq_first, event_seq_last");
        insta::assert_snapshot!(header(File::Drift), @"detected_at, directory, target, person_id, kind, first_seen_sync_id, action, resolved_at, resolved_by, request_id_if_adopted, event_seq_first, event_seq_last");
    }

    #[test]
    fn every_column_is_named_once_and_explained() {
        for file in File::ALL {
            let mut names: Vec<_> = file.header().collect();
            assert_eq!(&names[names.len() - 2..], ["event_seq_first", "event_seq_last"]);
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), file.columns().len(), "{file:?}");
            assert!(file.columns().iter().all(|(_, meaning)| meaning.ends_with('.')));
            assert_eq!(File::parse(&file.name()), Some(file));
        }
        assert_eq!(File::parse("requests.csv.csv"), None);
    }
}
