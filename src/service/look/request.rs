//! What a request's page shows.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::beside::Beside;
use super::shared::{CanGrant, EventRow, Person, PolicyName, RoleName};
use super::trace::TraceRule;

/// A request, where it stands, and everything recorded about it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The request's id.
    pub id: Uuid,
    /// The role asked for.
    pub role: RoleName,
    /// Who asked.
    pub requester: Person,
    /// Who is to hold it.
    pub beneficiary: Person,
    /// The status word.
    pub status: String,
    /// When it was asked.
    pub requested_at: DateTime<Utc>,
    /// When it is to begin, when that was asked for.
    pub wanted_start: Option<DateTime<Utc>>,
    /// The lease it asks more time for.
    pub extends: bool,
    /// The length asked for; `None` for no end.
    pub requested_s: Option<i64>,
    /// The length approved, once it is and when it has an end.
    pub approved_s: Option<i64>,
    /// When it was decided.
    pub decided_at: Option<DateTime<Utc>>,
    /// Why it is needed, as typed.
    pub justification: Option<String>,
    /// The ticket, as typed.
    pub ticket: Option<String>,
    /// What the policy decided: `refused`, `auto_approved` or `needs_approval`.
    pub decision: String,
    /// The policy that governed; `None` when none matched.
    pub policy: Option<PolicyName>,
    /// The rule that decided, in words.
    pub deciding_rule: String,
    /// Why it was refused or denied, as the person should read it.
    pub reason: Option<String>,
    /// The steps and who was asked.
    pub steps: Vec<StepRow>,
    /// The grant, once there is one.
    pub delivery: Option<Delivery>,
    /// Every rule looked at, with what was seen.
    pub trace: Vec<TraceRule>,
    /// What happened, oldest first.
    pub events: Vec<EventRow>,
    /// Whether the viewer made it, or is to hold what it asks for.
    pub is_own: bool,
    /// Whether the viewer is, or was, asked to decide.
    pub was_asked: bool,
    /// What the viewer may do.
    pub can: CanRequest,
    /// What an approver needs to decide; `None` for anybody who is not asked.
    pub card: Option<Card>,
    /// What is beside deciding.
    pub beside: Beside,
    /// What approvers asked, and what was answered, oldest first.
    pub questions: Vec<Question>,
    /// When those who are asked can be nudged again, for who could but did lately.
    pub nudge_again_at: Option<DateTime<Utc>>,
}

/// A question and its answer.
#[derive(Clone, Debug)]
pub struct Question {
    /// Who asked.
    pub by: String,
    /// What.
    pub text: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Who answered, what and when.
    pub answer: Option<(String, String, DateTime<Utc>)>,
    /// When it ended because nobody had answered it in time.
    pub lapsed_at: Option<DateTime<Utc>>,
    /// When it ends without an answer, while it is open.
    pub ends_at: Option<DateTime<Utc>>,
}

/// A step as it went.
#[derive(Clone, Debug)]
pub struct StepRow {
    /// Its number, from 1.
    pub no: i32,
    /// Its name.
    pub name: String,
    /// `waiting`, `current`, `done`, `denied`, `timed_out` or `skipped`.
    pub state: String,
    /// When people were asked.
    pub since: Option<DateTime<Utc>>,
    /// When the policy moves on.
    pub due: Option<DateTime<Utc>>,
    /// When it was done.
    pub done_at: Option<DateTime<Utc>>,
    /// How long it still has once a question is answered, in seconds, while it waits for that; `Some(None)` when it has no limit.
    pub paused_s: Option<Option<i64>>,
    /// When others were asked too because it waited too long.
    pub escalated_at: Option<DateTime<Utc>>,
    /// When who had not answered was reminded last.
    pub reminded_at: Option<DateTime<Utc>>,
    /// When they are reminded next.
    pub remind_at: Option<DateTime<Utc>>,
    /// Its slots.
    pub slots: Vec<SlotRow>,
}

/// A slot as it went.
#[derive(Clone, Debug)]
pub struct SlotRow {
    /// The approver source in words.
    pub source: String,
    /// How many approvals it needs.
    pub needed: i32,
    /// How many it has.
    pub got: i32,
    /// Who was asked, and who answered.
    pub asked: Vec<AskedRow>,
}

/// A person who was asked.
#[derive(Clone, Debug)]
pub struct AskedRow {
    /// The name.
    pub name: String,
    /// How they came to be asked, when not by the slot's source (`for Mara Voss, who is away`).
    pub how: Option<String>,
    /// Whether they can no longer answer: they handed it on, left, or stood in for a time that is over.
    pub ended: bool,
    /// When they first looked.
    pub viewed_at: Option<DateTime<Utc>>,
    /// `approve` or `deny`, once they answered.
    pub decision: Option<String>,
    /// When they answered.
    pub decided_at: Option<DateTime<Utc>>,
    /// What they wrote.
    pub comment: Option<String>,
    /// The length they approved, when shorter than asked for.
    pub approved_s: Option<i64>,
}

/// How the access was, or is being, given and taken away.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The grant's id.
    pub grant: Uuid,
    /// The delivery's status word.
    pub status: String,
    /// The provisioning method.
    pub method: String,
    /// What is changed there, in words.
    pub target: String,
    /// When access begins.
    pub starts_at: DateTime<Utc>,
    /// When it ends; `None` for no end.
    pub ends_at: Option<DateTime<Utc>>,
    /// When the directory was read back and had it.
    pub verified_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Why.
    pub end_reason: Option<String>,
    /// When the directory was read back and no longer had it.
    pub end_verified_at: Option<DateTime<Utc>>,
    /// Tries so far.
    pub attempts: i32,
    /// What the last failed try said.
    pub last_error: Option<String>,
    /// When the next try is.
    pub next_try_at: Option<DateTime<Utc>>,
    /// Whether the holder said it works.
    pub confirmed: Option<bool>,
}

/// What the viewer may do with the request, from the same functions that the acts run.
#[derive(Clone, Copy, Debug, Default)]
pub struct CanRequest {
    /// Take it back before it is decided.
    pub withdraw: bool,
    /// Say yes.
    pub approve: bool,
    /// Say no.
    pub deny: bool,
    /// Ask the requester something.
    pub ask_question: bool,
    /// Answer that.
    pub answer_question: bool,
    /// Hand their place on.
    pub reassign: bool,
    /// Ask those who are asked to look.
    pub nudge: bool,
    /// With the grant that came of it.
    pub grant: CanGrant,
}

/// The decision card: what an approver needs on one screen.
#[derive(Clone, Debug)]
pub struct Card {
    /// The number of the step the viewer is asked in.
    pub step_no: i32,
    /// Its name.
    pub step_name: String,
    /// How many steps there are.
    pub steps: i32,
    /// What approval authorises; sent back with the answer, so that a page gone stale decides nothing.
    pub digest: String,
    /// How the beneficiary stands to the viewer (`reports to you`).
    pub relation: Option<String>,
    /// Whether the viewer opens it for the first time.
    pub first_look: bool,
    /// Why the viewer is asked (`you are Bo's manager`).
    pub why_you: String,
    /// Who else can answer.
    pub others: Vec<String>,
    /// How many approvals the viewer's slot has, of how many.
    pub given: (usize, usize),
    /// When the policy moves on.
    pub due: Option<DateTime<Utc>>,
    /// Facts, each with where it was seen.
    pub facts: Vec<Fact>,
    /// What changed since it was asked.
    pub changed: Vec<Change>,
    /// Why it cannot be approved now, though it could be denied.
    pub not_now: Option<String>,
    /// Lengths shorter than asked for.
    pub shorter_s: Vec<i64>,
    /// Whether approving needs a comment.
    pub approve_needs_comment: bool,
    /// Whether denying needs a reason.
    pub deny_needs_reason: bool,
    /// What is wrong with an answer just sent, when it was not taken.
    pub fault: Option<String>,
    /// The comment typed with it.
    pub typed: String,
    /// Whether that answer was a denial.
    pub denies: bool,
}

/// A fact on the card.
#[derive(Clone, Debug)]
pub struct Fact {
    /// What it is about.
    pub label: String,
    /// What is so.
    pub value: String,
    /// Where it was seen.
    pub source: Option<String>,
    /// When.
    pub at: Option<DateTime<Utc>>,
}

/// A value that differs from when the request was made.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which.
    pub what: String,
    /// Then.
    pub before: String,
    /// Now.
    pub after: String,
}

impl Request {
    /// The last eight hex digits of the id: enough to tell requests apart in talk. (The first ones are a time.)
    pub fn short_id(&self) -> String {
        let id = self.id.simple().to_string();
        id.get(24..).unwrap_or_default().to_owned()
    }

    /// The navigation entry that it belongs to for the viewer.
    pub fn place(&self) -> &'static str {
        match (self.was_asked, self.is_own) {
            (true, _) => "queue",
            (false, true) => "access",
            (false, false) => "",
        }
    }

    /// Whether approvers made it shorter than asked for.
    pub fn is_shortened(&self) -> bool {
        self.approved_s.is_some_and(|s| self.requested_s.is_none_or(|asked| s < asked))
    }

    /// Whether there is anything, besides answering, that the viewer may do.
    pub fn has_acts(&self) -> bool {
        let grant = self.delivery.is_some() && (self.can.grant.extend || self.can.grant.give_back || self.can.grant.revoke);
        self.can.withdraw || self.can.nudge || self.nudge_again_at.is_some() || grant || self.beside.declined.is_some() || self.beside.extend_for.is_some()
    }
}

/// How somebody came to be asked, when not by the slot's source.
pub fn how_asked(acting_as: &str, acting_for: Option<&str>) -> Option<String> {
    let other = acting_for.unwrap_or("somebody");
    match acting_as {
        "delegate" => Some(format!("for {other}, who is away")),
        "reassigned" => Some(format!("in the place of {other}, who handed it on")),
        "escalation" => Some("asked too, because it waited".into()),
        "fallback" => Some("asked instead of somebody who left".into()),
        _ => None,
    }
}

/// Why the viewer is asked, when not by the slot's source.
pub fn why_instead(acting_as: &str, acting_for: Option<&str>) -> Option<String> {
    let other = acting_for.unwrap_or("somebody");
    match acting_as {
        "delegate" => Some(format!("you stand in for {other}, who is away")),
        "reassigned" => Some(format!("{other} handed it on to you")),
        "escalation" => Some("it waited too long, so you are asked too".into()),
        "fallback" => Some("somebody who was asked has left, so you are asked instead".into()),
        _ => None,
    }
}

/// Why the viewer is asked, by the word and label of the approver source; `whose` is the beneficiary, if named.
pub fn why_you(source: &str, label: &str, whose: Option<&str>) -> String {
    let manager = whose.map_or_else(|| "their manager".to_owned(), |name| format!("{name}’s manager"));
    match source {
        "manager" => format!("you are {manager}"),
        "managers_manager" => format!("you are the manager of {manager}"),
        "application_owner" => "you own the application".into(),
        "role_owner" => "you own the role".into(),
        "person" => "the approval procedure names you".into(),
        _ => format!("you are {label}"),
    }
}
