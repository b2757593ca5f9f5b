//! Every event there is: the product on one page.
//!
//! An event is the audit row, the page's history and the cause of what follows. Names are written as they were at that time;
//! ids stay. Payloads hold named fields only, never a dumped profile.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::decide::Outcome;
use super::id::{ApplicationId, GrantId, PersonId, PolicyVersionId, RequestId, RoleId, TokenId};
use super::person::Named;

/// Through which door an act came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A page.
    Web,
    /// The API.
    Api,
    /// The command line.
    Cli,
    /// Nobody: the service itself.
    System,
}

impl Channel {
    /// The word in database and CSV.
    pub fn word(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Api => "api",
            Self::Cli => "cli",
            Self::System => "system",
        }
    }
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    /// A person, signed in.
    Person {
        /// Who.
        id: PersonId,
        /// Their name at that time.
        name: String,
    },
    /// A person's API token.
    Token {
        /// Whose.
        id: PersonId,
        /// Their name at that time.
        name: String,
        /// Which.
        token: TokenId,
    },
    /// The service itself, or an operator at the command line.
    System,
}

impl Actor {
    /// The person behind the act, if any.
    pub fn person(&self) -> Option<PersonId> {
        match self {
            Self::Person { id, .. } | Self::Token { id, .. } => Some(*id),
            Self::System => None,
        }
    }
}

/// What an event is about; every id that applies is set, so that each can be searched by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The request.
    pub request: Option<RequestId>,
    /// The grant.
    pub grant: Option<GrantId>,
    /// The beneficiary, or the person it is about.
    pub person: Option<PersonId>,
    /// The role.
    pub role: Option<RoleId>,
    /// The application.
    pub application: Option<ApplicationId>,
    /// The version of the policy that governs.
    pub policy_version: Option<PolicyVersionId>,
}

/// One row of the log before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who did it.
    pub actor: Actor,
    /// Through which door.
    pub channel: Channel,
    /// What it is about.
    pub subject: Subject,
    /// What happened.
    pub fact: Fact,
}

/// What happened: the kind of the event and its payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Fact {
    /// A request was made and goes to approval.
    #[serde(rename = "request.submitted")]
    RequestSubmitted(Submitted),
    /// A request was made and the policy refused it.
    #[serde(rename = "request.refused")]
    RequestRefused(Submitted),
    /// A step opened: these people were asked.
    #[serde(rename = "request.step_opened")]
    StepOpened {
        /// Counted from 1.
        step_no: usize,
        /// Its name.
        step: String,
        /// Who was asked.
        asked: Vec<Named>,
        /// When it times out.
        due_at: Option<DateTime<Utc>>,
    },
    /// An asked person opened the request for the first time.
    #[serde(rename = "approval.viewed")]
    ApprovalViewed {
        /// Counted from 1.
        step_no: usize,
    },
    /// A person approved.
    #[serde(rename = "approval.given")]
    ApprovalGiven(Given),
    /// A person denied.
    #[serde(rename = "approval.denied")]
    ApprovalDenied(Given),
    /// Every step is done.
    #[serde(rename = "request.approved")]
    RequestApproved {
        /// How long access may last, in seconds; none: without end.
        granted_s: Option<i64>,
    },
    /// The policy approved by itself.
    #[serde(rename = "request.auto_approved")]
    RequestAutoApproved(Submitted),
    /// A denial ended it.
    #[serde(rename = "request.denied")]
    RequestDenied {
        /// The reason given.
        reason: Option<String>,
    },
    /// The requester took it back.
    #[serde(rename = "request.withdrawn")]
    RequestWithdrawn {
        /// The reason given.
        reason: Option<String>,
    },
    /// A step's time limit passed.
    #[serde(rename = "request.timed_out")]
    RequestTimedOut {
        /// The step that waited, counted from 1.
        step_no: usize,
    },
    /// A request closed because its beneficiary is disabled or gone.
    #[serde(rename = "request.closed")]
    RequestClosed {
        /// Why.
        reason: String,
    },
    /// The beneficiary confirmed what somebody else asked for them.
    #[serde(rename = "request.confirmed")]
    RequestConfirmed {},
    /// The rules, the role or its target changed: asked for again, under what holds now.
    #[serde(rename = "request.superseded")]
    RequestSuperseded {
        /// The request that took its place.
        by: RequestId,
        /// What had changed, line by line.
        changes: Vec<String>,
    },
    /// Who was asked and has not answered was reminded.
    #[serde(rename = "request.reminded")]
    RequestReminded {
        /// Counted from 1.
        step_no: usize,
        /// Who was reminded.
        people: Vec<Named>,
    },
    /// The requester asked those who are asked to look.
    #[serde(rename = "request.nudged")]
    RequestNudged {
        /// Counted from 1.
        step_no: usize,
        /// Who was told.
        people: Vec<Named>,
    },
    /// A step waited too long: others were asked too.
    #[serde(rename = "request.escalated")]
    RequestEscalated {
        /// Counted from 1.
        step_no: usize,
        /// Its name.
        step: String,
        /// Who is asked besides.
        asked: Vec<Named>,
        /// When it times out; none: it waits.
        due_at: Option<DateTime<Utc>>,
    },
    /// Who was asked can no longer answer: the next source of the slot was asked.
    #[serde(rename = "request.fallback_asked")]
    RequestFallbackAsked {
        /// Counted from 1.
        step_no: usize,
        /// Counted from 1.
        slot_no: usize,
        /// Who can no longer answer.
        instead_of: Vec<Named>,
        /// Who is asked now.
        asked: Vec<Named>,
    },
    /// An approver asked the requester something; the step waits.
    #[serde(rename = "request.question_asked")]
    QuestionAsked {
        /// Counted from 1.
        step_no: usize,
        /// What they wrote.
        question: String,
    },
    /// The question was answered; the step goes on.
    #[serde(rename = "request.question_answered")]
    QuestionAnswered {
        /// Counted from 1.
        step_no: usize,
        /// What they wrote.
        answer: String,
    },
    /// Nobody answered the question in time; the step goes on without an answer.
    #[serde(rename = "request.question_lapsed")]
    QuestionLapsed {
        /// Counted from 1.
        step_no: usize,
        /// Until when the step may take now; none: it waits.
        due_at: Option<DateTime<Utc>>,
    },
    /// A sign-off given elsewhere was noted; it counts for nothing.
    #[serde(rename = "request.sign_off_noted")]
    SignOffNoted {
        /// Who gave it, as written.
        given_by: String,
        /// When, as written by whoever noted it.
        given_at: DateTime<Utc>,
        /// Where it can be looked up.
        reference: String,
        /// What was said.
        note: Option<String>,
    },
    /// An approver handed their place to somebody else.
    #[serde(rename = "approval.reassigned")]
    ApprovalReassigned {
        /// Counted from 1.
        step_no: usize,
        /// Counted from 1.
        slot_no: usize,
        /// Who handed it on.
        from: Named,
        /// Who is asked now.
        to: Named,
        /// Why.
        reason: Option<String>,
    },
    /// Whoever stands in for an approver who is away was asked too.
    #[serde(rename = "approval.delegated")]
    ApprovalDelegated {
        /// Counted from 1.
        step_no: usize,
        /// Counted from 1.
        slot_no: usize,
        /// Who is away.
        from: Named,
        /// Who stands in.
        to: Named,
    },
    /// Access began before anybody was asked: a review is owed.
    #[serde(rename = "emergency.review_owed")]
    EmergencyReviewOwed {
        /// Why it could not wait.
        reason: String,
        /// By when.
        due_at: DateTime<Utc>,
        /// Who would have been asked; each was told.
        skipped: Vec<Named>,
    },
    /// The review was not made in time.
    #[serde(rename = "emergency.review_overdue")]
    EmergencyReviewOverdue {
        /// By when it was owed.
        due_at: DateTime<Utc>,
    },
    /// Somebody who was skipped looked at the emergency.
    #[serde(rename = "emergency.reviewed")]
    EmergencyReviewed {
        /// `justified` or `not_justified`.
        verdict: String,
        /// What they wrote.
        comment: Option<String>,
    },
    /// Somebody is to stand in while somebody is away.
    #[serde(rename = "delegation.created")]
    DelegationCreated {
        /// Who is away.
        from: Named,
        /// Who stands in.
        to: Named,
        /// From when.
        starts_at: DateTime<Utc>,
        /// Until when.
        ends_at: DateTime<Utc>,
        /// Why.
        reason: Option<String>,
    },
    /// A delegation was ended before its time.
    #[serde(rename = "delegation.ended")]
    DelegationEnded {
        /// Who was away.
        from: Named,
        /// Who stood in.
        to: Named,
    },
    /// The holder said that the lease is not to be extended, or took that back.
    #[serde(rename = "grant.extension_declined")]
    ExtensionDeclined {
        /// False when taken back.
        declined: bool,
    },
    /// Two grants of one person that a separation rule keeps apart.
    #[serde(rename = "separation.found")]
    SeparationFound {
        /// Key and version of the rule.
        rule: String,
        /// One grant.
        grant_a: GrantId,
        /// The other.
        grant_b: GrantId,
    },
    /// The two are no longer held together.
    #[serde(rename = "separation.resolved")]
    SeparationResolved {
        /// Key and version of the rule.
        rule: String,
        /// One grant.
        grant_a: GrantId,
        /// The other.
        grant_b: GrantId,
    },
    /// A change of the rules was proposed.
    #[serde(rename = "policy_change.proposed")]
    PolicyChangeProposed {
        /// Which.
        change: Uuid,
        /// The file, or the page, that it came from.
        source: String,
        /// SHA-256 of the whole set as it is to be, hex.
        digest: String,
        /// Each change as a line.
        changes: Vec<String>,
    },
    /// Another administrator approved it.
    #[serde(rename = "policy_change.approved")]
    PolicyChangeApproved {
        /// Which.
        change: Uuid,
        /// When it takes effect.
        effective_at: DateTime<Utc>,
    },
    /// It was turned down, or taken back by its author.
    #[serde(rename = "policy_change.rejected")]
    PolicyChangeRejected {
        /// Which.
        change: Uuid,
        /// `rejected` or `withdrawn`.
        how: String,
        /// Why.
        comment: Option<String>,
    },
    /// It could not take effect: what it was made from had changed, or it has faults by now.
    #[serde(rename = "policy_change.failed")]
    PolicyChangeFailed {
        /// Which.
        change: Uuid,
        /// Why.
        error: String,
    },
    /// A lease was made.
    #[serde(rename = "grant.created")]
    GrantCreated {
        /// When it is to begin.
        starts_at: DateTime<Utc>,
        /// How long it lasts once begun, in seconds; none: without end.
        duration_s: Option<i64>,
        /// The lease it extends.
        extension_of: Option<GrantId>,
    },
    /// The directory is being told.
    #[serde(rename = "grant.provisioning_started")]
    ProvisioningStarted {
        /// Where.
        target: String,
    },
    /// The directory was told.
    #[serde(rename = "grant.provisioned")]
    Provisioned {
        /// What it answered.
        result: String,
        /// The attempt, counted from 1.
        attempt: i32,
    },
    /// An attempt went wrong; another follows.
    #[serde(rename = "grant.attempt_failed")]
    AttemptFailed {
        /// `add` or `remove`.
        action: String,
        /// What went wrong.
        error: String,
        /// The attempt, counted from 1.
        attempt: i32,
    },
    /// The directory said itself that the membership is there.
    #[serde(rename = "grant.activated")]
    GrantActivated {
        /// When access began.
        starts_at: DateTime<Utc>,
        /// When it ends.
        ends_at: Option<DateTime<Utc>>,
    },
    /// Given up after a long time; access never began.
    #[serde(rename = "grant.failed")]
    GrantFailed {
        /// The last error.
        error: String,
    },
    /// Its time was up.
    #[serde(rename = "grant.expired")]
    GrantExpired {
        /// When it was to end.
        ends_at: DateTime<Utc>,
    },
    /// The holder gave it back.
    #[serde(rename = "grant.returned")]
    GrantReturned {
        /// The reason given.
        reason: Option<String>,
    },
    /// Somebody else ended it.
    #[serde(rename = "grant.revoked")]
    GrantRevoked {
        /// The reason given.
        reason: Option<String>,
    },
    /// The person is disabled or gone.
    #[serde(rename = "grant.offboarded")]
    GrantOffboarded {
        /// What the directory said.
        status: String,
    },
    /// The person no longer meets the policy.
    #[serde(rename = "grant.eligibility_lost")]
    GrantEligibilityLost {
        /// The rule.
        rule: String,
    },
    /// The holder no longer meets the policy; the lease ends when the grace is over, unless they meet it again.
    #[serde(rename = "grant.eligibility_grace")]
    GrantEligibilityGrace {
        /// The rule.
        rule: String,
        /// What it asks, as a sentence.
        sentence: String,
        /// When the lease ends.
        ends_at: DateTime<Utc>,
    },
    /// The holder no longer meets the policy, which keeps the lease all the same.
    #[serde(rename = "grant.eligibility_kept")]
    GrantEligibilityKept {
        /// The rule.
        rule: String,
        /// What it asks, as a sentence.
        sentence: String,
    },
    /// The holder meets the policy again.
    #[serde(rename = "grant.eligibility_restored")]
    GrantEligibilityRestored {
        /// The rule that they had not met.
        rule: String,
    },
    /// The removal was verified, or another lease keeps the membership.
    #[serde(rename = "grant.ended")]
    GrantEnded {
        /// Why it ended.
        end_reason: String,
        /// `removed`, `kept_by_other_lease`, `pre_existing`, `never_added` or `person_gone`.
        membership: String,
        /// From the end of the lease to the verified removal, in milliseconds.
        revoke_latency_ms: i64,
    },
    /// The directory holds a member that no lease explains, or lacks one that a lease wants.
    #[serde(rename = "drift.found")]
    DriftFound {
        /// `unexpected_member`, `missing_member` or `unknown_target`.
        drift: String,
        /// The directory.
        directory: String,
        /// The group.
        group: String,
        /// The person's reference.
        person: String,
        /// The inner group by which the person is a member; none: directly.
        #[serde(default)]
        through: Option<String>,
    },
    /// A request was made for whoever is in a group without a grant.
    #[serde(rename = "drift.adoption_asked")]
    DriftAdoptionAsked {
        /// The directory.
        directory: String,
        /// The group.
        group: String,
        /// The person's reference.
        person: String,
        /// The request.
        request: RequestId,
    },
    /// That request could not be made, or was closed without a grant: the difference stays.
    #[serde(rename = "drift.adoption_failed")]
    DriftAdoptionFailed {
        /// The directory.
        directory: String,
        /// The group.
        group: String,
        /// The person's reference.
        person: String,
        /// Why.
        why: String,
    },
    /// A membership without a grant is to be taken away.
    #[serde(rename = "drift.removal_ordered")]
    DriftRemovalOrdered {
        /// The directory.
        directory: String,
        /// The group.
        group: String,
        /// The person's reference.
        person: String,
    },
    /// Somebody answers for a membership without a grant, for a while.
    #[serde(rename = "drift.ignored")]
    DriftIgnored {
        /// The directory.
        directory: String,
        /// The group.
        group: String,
        /// The person's reference.
        person: String,
        /// Why.
        reason: String,
        /// Who answers for it.
        owner: Named,
        /// Until when.
        until: DateTime<Utc>,
    },
    /// Nobody answers for it any more.
    #[serde(rename = "drift.exception_ended")]
    DriftExceptionEnded {
        /// The directory.
        directory: String,
        /// The group.
        group: String,
        /// The person's reference.
        person: String,
        /// Why.
        why: String,
    },
    /// A group was compared with the leases for the first time: whoever was in it then is declared.
    #[serde(rename = "group.imported")]
    GroupImported {
        /// The directory.
        directory: String,
        /// The group.
        group: String,
        /// How many members no lease explained.
        members: usize,
    },
    /// Members who were declared are in the group no more.
    #[serde(rename = "group.members_left")]
    GroupMembersLeft {
        /// The directory.
        directory: String,
        /// The group.
        group: String,
        /// How many.
        members: usize,
    },
    /// Too many memberships would change at once: nothing was done, and somebody has to look.
    #[serde(rename = "group.stopped")]
    GroupStopped {
        /// The directory.
        directory: String,
        /// The group.
        group: String,
        /// `many` would be removed, or the list has `shrunk`.
        why: String,
        /// How many people it is about.
        people: usize,
        /// How many the group has.
        members: usize,
    },
    /// What was stopped goes on.
    #[serde(rename = "group.released")]
    GroupReleased {
        /// The directory.
        directory: String,
        /// The group.
        group: String,
        /// Why: somebody said so, or it is over.
        how: String,
    },
    /// A drift is gone.
    #[serde(rename = "drift.resolved")]
    DriftResolved {
        /// As found.
        drift: String,
        /// The directory.
        directory: String,
        /// The group.
        group: String,
        /// The person's reference.
        person: String,
        /// How.
        resolution: String,
    },
    /// Somebody signed in.
    #[serde(rename = "session.started")]
    SessionStarted {
        /// The issuer that vouches for them.
        issuer: String,
    },
    /// Somebody was not let in.
    #[serde(rename = "session.refused")]
    SessionRefused {
        /// The issuer that vouched for them.
        issuer: String,
        /// The subject there.
        subject: String,
        /// Why not.
        reason: String,
    },
    /// Somebody signed out, or was.
    #[serde(rename = "session.ended")]
    SessionEnded {
        /// `signed_out`, `signed_in_again`, `ended_elsewhere`, `signed_out_at_provider`, `person_disabled`.
        reason: String,
    },
    /// A sign-in was tied to a person of the directory, for good.
    #[serde(rename = "identity.linked")]
    IdentityLinked {
        /// The issuer.
        issuer: String,
        /// The subject there.
        subject: String,
        /// The person's reference in the directory.
        reference: String,
    },
    /// An API token was made.
    #[serde(rename = "token.created")]
    TokenCreated {
        /// Its name.
        name: String,
        /// What it may do.
        scopes: Vec<String>,
        /// When it expires.
        expires_at: DateTime<Utc>,
    },
    /// An API token was used; at most one of these an hour, besides the event of each act.
    #[serde(rename = "token.used")]
    TokenUsed {
        /// Its name.
        name: String,
    },
    /// An API token was revoked.
    #[serde(rename = "token.revoked")]
    TokenRevoked {
        /// Its name.
        name: String,
    },
    /// The catalog or its rules changed.
    #[serde(rename = "catalog.applied")]
    CatalogApplied {
        /// The file, as it was called.
        source: String,
        /// SHA-256 of the file, hex.
        digest: String,
        /// Each change as a line.
        changes: Vec<String>,
        /// The proposal that it carries out.
        #[serde(default)]
        change: Option<Uuid>,
    },
    /// Somebody took evidence away.
    #[serde(rename = "evidence.exported")]
    EvidenceExported {
        /// Which file.
        file: String,
        /// `raw` or `safe`.
        mode: String,
        /// The filters.
        filters: String,
    },
    /// Somebody drew a sample of a population.
    #[serde(rename = "evidence.sampled")]
    EvidenceSampled {
        /// Of which file's rows: `grants`.
        population: String,
        /// The period and the other filters.
        filters: String,
        /// What it was drawn by.
        seed: String,
        /// How many were to be drawn.
        size: i64,
        /// How many there were to draw from.
        count: i64,
    },
    /// An auditor or administrator looked at what is about others; at most one of these an hour for each page and what it shows.
    #[serde(rename = "evidence.viewed")]
    EvidenceViewed {
        /// Which page, as its address is made: `/requests/{id}`.
        page: String,
        /// What it showed: an id or key out of the address; none of a page without.
        object: Option<String>,
    },
    /// The log is signed with this key from here on.
    #[serde(rename = "evidence.key_added")]
    KeyAdded {
        /// The key that verifies, as signed notes name it.
        key: String,
    },
    /// An administrator wants a person who has left erased; a second one has to say so too.
    #[serde(rename = "person.erasure_ordered")]
    PersonErasureOrdered {
        /// Why.
        reason: String,
    },
    /// What identifies a person who has left is erased; their id stays.
    #[serde(rename = "person.erased")]
    PersonErased {
        /// Why.
        reason: String,
    },
    /// What was kept long enough is erased, as the settings say.
    #[serde(rename = "retention.applied")]
    RetentionApplied {
        /// `people`, `requests`, `sign_ins` or `notices`.
        what: String,
        /// What is older than this.
        before: DateTime<Utc>,
    },
    /// Nothing of a person, or of a request, is erased until this is lifted.
    #[serde(rename = "hold.placed")]
    HoldPlaced {
        /// Which.
        hold: Uuid,
        /// Why.
        reason: String,
    },
    /// A hold is over.
    #[serde(rename = "hold.lifted")]
    HoldLifted {
        /// Which.
        hold: Uuid,
        /// Why.
        reason: String,
    },
    /// The log is signed with another key from here on; the next checkpoint is signed with both.
    #[serde(rename = "log.key_rotated")]
    KeyRotated {
        /// The key that signed until now, as signed notes name it.
        from: String,
        /// The key that signs from here on.
        to: String,
        /// Why.
        reason: String,
        /// The note by which both keys say so.
        proof: String,
    },
    /// Somebody who may read everything read something; at most one of these an hour for each page and person.
    #[serde(rename = "evidence.read")]
    EvidenceRead {
        /// What they read.
        page: String,
    },
    /// A checkpoint was handed to a witness, or could not be.
    #[serde(rename = "evidence.witnessed")]
    CheckpointWitnessed {
        /// `folder`, `webhook` or `mail`.
        witness: String,
        /// How many events it is about; none when it was not received.
        size: Option<u64>,
        /// What went wrong.
        error: Option<String>,
    },
    /// Evidence is to be sent by the clock.
    #[serde(rename = "evidence.schedule_made")]
    ScheduleMade {
        /// Which.
        schedule: Uuid,
        /// What it is called.
        name: String,
        /// What it does, in words.
        new: String,
    },
    /// It is to be sent otherwise.
    #[serde(rename = "evidence.schedule_changed")]
    ScheduleChanged {
        /// Which.
        schedule: Uuid,
        /// What it is called now.
        name: String,
        /// What it did, in words.
        old: String,
        /// What it does now.
        new: String,
    },
    /// A schedule was switched on or off.
    #[serde(rename = "evidence.schedule_switched")]
    ScheduleSwitched {
        /// Which.
        schedule: Uuid,
        /// What it is called.
        name: String,
        /// Whether it is on now.
        on: bool,
    },
    /// Somebody had a schedule run at once.
    #[serde(rename = "evidence.schedule_run_asked")]
    ScheduleRunAsked {
        /// Which.
        schedule: Uuid,
        /// What it is called.
        name: String,
        /// The run.
        run: Uuid,
    },
    /// A run of a schedule was delivered.
    #[serde(rename = "evidence.scheduled_sent")]
    ScheduledSent {
        /// Which schedule.
        schedule: Uuid,
        /// What it is called.
        name: String,
        /// The run.
        run: Uuid,
        /// What was delivered, as it is called there.
        file: String,
        /// From when; none: it is as of `to`.
        from: Option<DateTime<Utc>>,
        /// Until before when.
        to: DateTime<Utc>,
        /// `sent`, or `linked`: too large for a mail, which says where to take it instead.
        result: String,
        /// Where to: the folder, the address or the addresses.
        reference: String,
        /// How large it is; none where it was not sent itself.
        bytes: Option<u64>,
        /// Its SHA-256, hex.
        sha256: Option<String>,
    },
    /// A run of a schedule could not be delivered, and is not tried again.
    #[serde(rename = "evidence.scheduled_failed")]
    ScheduledFailed {
        /// Which schedule.
        schedule: Uuid,
        /// What it is called.
        name: String,
        /// The run.
        run: Uuid,
        /// From when; none: it is as of `to`.
        from: Option<DateTime<Utc>>,
        /// Until before when.
        to: DateTime<Utc>,
        /// Where to.
        reference: String,
        /// How often it was tried.
        tries: i32,
        /// What went wrong.
        error: String,
    },
    /// An operator took an older state of the log for the true one.
    #[serde(rename = "evidence.log_restored")]
    LogRestored {
        /// Why.
        reason: String,
        /// What was signed last before, a signed note.
        checkpoint: String,
    },
    /// The directory was read whole.
    #[serde(rename = "directory.synced")]
    DirectorySynced {
        /// Which.
        directory: String,
        /// How many people.
        people: usize,
        /// How many changed.
        changed: usize,
    },
    /// A reading of the directory was not believed, or failed.
    #[serde(rename = "directory.failed")]
    DirectoryFailed {
        /// Which.
        directory: String,
        /// What went wrong.
        error: String,
    },
    /// Nothing new is given in a directory for now.
    #[serde(rename = "directory.paused")]
    DirectoryPaused {
        /// Which.
        directory: String,
        /// Whether removals and readings are held back too.
        everything: bool,
        /// Why.
        reason: String,
    },
    /// A directory goes on.
    #[serde(rename = "directory.resumed")]
    DirectoryResumed {
        /// Which.
        directory: String,
    },
    /// A person's status in the directory changed.
    #[serde(rename = "person.changed")]
    PersonChanged {
        /// Before.
        old: String,
        /// After.
        new: String,
    },
    /// What the directory says of somebody who holds access changed.
    #[serde(rename = "person.moved")]
    PersonMoved {
        /// Which attribute.
        attribute: String,
        /// Its values before.
        old: Vec<String>,
        /// Its values now.
        new: Vec<String>,
    },
    /// An administrator said that so many people really left, so that the next reading is believed.
    #[serde(rename = "directory.believed")]
    DirectoryBelieved {
        /// Which.
        directory: String,
    },
    /// The database's clock and the monotonic clock disagree.
    #[serde(rename = "clock.jumped")]
    ClockJumped {
        /// By how much, in milliseconds; positive: the database is ahead.
        by_ms: i64,
    },
}

/// The payload of a request's first event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// Who asked.
    pub requester: Named,
    /// For whom.
    pub beneficiary: Named,
    /// The application's name.
    pub application: String,
    /// The role's name.
    pub role: String,
    /// The risk's word.
    pub risk: String,
    /// Asked for, in seconds; none: without end.
    pub duration_s: Option<i64>,
    /// Key and version of the policy.
    pub policy: Option<String>,
    /// Its digest.
    pub policy_digest: Option<String>,
    /// What the policy said.
    pub decision: Outcome,
    /// By which rule.
    pub deciding_rule: String,
    /// Digest of the stored inputs.
    pub inputs_digest: String,
    /// What an approval authorises.
    pub ask_digest: String,
    /// Whether it begins before anybody is asked.
    #[serde(default)]
    pub emergency: bool,
    /// Key and version of each separation rule that it runs against.
    #[serde(default)]
    pub conflicts: Vec<String>,
    /// The lease it extends.
    #[serde(default)]
    pub extension_of: Option<GrantId>,
    /// The request whose place it takes.
    #[serde(default)]
    pub supersedes: Option<RequestId>,
}

/// The payload of an approval or denial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// Counted from 1.
    pub step_no: usize,
    /// The step's name.
    pub step: String,
    /// Counted from 1.
    pub slot_no: usize,
    /// Chosen by the approver, in seconds.
    pub granted_s: Option<i64>,
    /// What they wrote.
    pub comment: Option<String>,
    /// What was approved.
    pub ask_digest: String,
    /// Digest of the attributes seen at that moment.
    pub inputs_digest: String,
    /// `self`, `escalation`, `reassigned`, `fallback`, or `delegate_of:` and the id of who is away.
    #[serde(default)]
    pub acting_as: String,
}
