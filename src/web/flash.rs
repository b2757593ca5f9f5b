//! What the last act came to, told once.
//!
//! An act answers 303 to a page; a cookie that lives for a minute carries one of the words below to it. Never a text: what a page
//! says here is written here.

use std::convert::Infallible;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::web::error::Failure;
use crate::web::state::{App, Public};
use crate::web::view::Flash;

/// How long a word waits for its page, in seconds.
const LASTS: i64 = 60;

/// What an act came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// A request is on its way to the approvers.
    Asked,
    /// A request was approved by the policy.
    ApprovedAtOnce,
    /// A request was refused by the policy.
    Refused,
    /// The role was asked for before.
    AlreadyOpen,
    /// The requester took it back.
    Withdrawn,
    /// The last approval.
    Approved,
    /// An approval; the next step was asked.
    ApprovedStep,
    /// An approval; others of the step still have to answer.
    ApprovedWaiting,
    /// A denial.
    Denied,
    /// The holder gave it back.
    Returned,
    /// Somebody else's access was ended.
    Revoked,
    /// An API token was revoked.
    TokenRevoked,
    /// An approver asked the requester something.
    QuestionAsked,
    /// The requester answered.
    QuestionAnswered,
    /// An approver handed their place on.
    HandedOn,
    /// Who is asked was told to look.
    Nudged,
    /// Somebody stands in.
    DelegationMade,
    /// Nobody stands in any more.
    DelegationEnded,
    /// Something that was told was put aside.
    PutAside,
    /// Something periodic was made due.
    ReadingDue,
    /// A failing membership was made due.
    TryDue,
    /// A request waits until the beneficiary confirms it.
    ToConfirm,
    /// The beneficiary confirmed it.
    Confirmed,
    /// The beneficiary confirmed it, and the policy approved at once.
    ConfirmedAtOnce,
    /// Access began before anybody was asked.
    Emergency,
    /// An emergency was reviewed.
    Reviewed,
    /// It was asked for again under the present rules.
    AskedAgain,
    /// A sign-off given elsewhere was noted.
    SignOffNoted,
    /// Access is not to be extended.
    Declined,
    /// Access may be extended after all.
    Undeclined,
    /// A change of the rules waits for a second person.
    ChangeProposed,
    /// A change of the rules is in force.
    ChangeApplied,
    /// The rules were so already.
    ChangeNothing,
    /// A change of the rules was approved.
    ChangeApproved,
    /// A change of the rules was turned down.
    ChangeRejected,
    /// A change of the rules was taken back.
    ChangeWithdrawn,
    /// A grant is asked for whoever had none.
    DriftAdopting,
    /// A grant was asked for and approved by the policy.
    DriftAdoptedAtOnce,
    /// A grant was asked for and refused by the policy.
    DriftNotAdopted,
    /// A membership without a grant is being taken away.
    DriftRemoving,
    /// A difference is left alone.
    DriftIgnored,
    /// A difference is no longer left alone.
    DriftExceptionEnded,
    /// A directory is held back.
    Paused,
    /// A directory goes on.
    Resumed,
    /// The groups of a directory are listed.
    ListingDue,
    /// A legal hold is in force.
    HoldPlaced,
    /// A legal hold is lifted.
    HoldLifted,
    /// An order to erase somebody waits for a second administrator.
    ErasureOrdered,
    /// A schedule was made.
    ScheduleMade,
    /// A schedule was changed.
    ScheduleChanged,
    /// A schedule was switched on.
    ScheduleOn,
    /// A schedule was switched off.
    ScheduleOff,
    /// A schedule runs at once.
    ScheduleRunDue,
}

impl Done {
    const ALL: [(Done, &'static str, &'static str, &'static str); 53] = [
        (Self::Asked, "asked", "good", "Your request is on its way. This page shows who has it, and since when."),
        (Self::ApprovedAtOnce, "approved-at-once", "good", "Approved at once by the policy. The access is being given now."),
        (Self::Refused, "refused", "warn", "The rules do not let you have this, so nobody was asked. The reason is below."),
        (Self::AlreadyOpen, "already-open", "info", "You have asked for this role already; this is that request."),
        (Self::Withdrawn, "withdrawn", "good", "The request is withdrawn. Nobody is asked any more."),
        (Self::Approved, "approved", "good", "Approved. That was the last approval it needed; the access is being given now."),
        (Self::ApprovedStep, "approved-step", "good", "Approved. The people of the next step have been asked."),
        (Self::ApprovedWaiting, "approved-waiting", "good", "Approved. Others still have to answer this step."),
        (Self::Denied, "denied", "good", "Denied. The request is closed, and the requester reads your reason."),
        (Self::Returned, "returned", "good", "Returned. The access is being taken out of the directory now."),
        (Self::Revoked, "revoked", "good", "Revoked. The access is being taken out of the directory now."),
        (Self::TokenRevoked, "token-revoked", "good", "Revoked. Whatever used this token is refused from now on."),
        (Self::QuestionAsked, "question-asked", "good", "Asked. The request waits, and its time with it, until the answer is there."),
        (Self::QuestionAnswered, "question-answered", "good", "Answered. The approvers read it, and the request goes on."),
        (Self::HandedOn, "handed-on", "good", "Handed on. Whoever you named is asked in your place now."),
        (Self::Nudged, "nudged", "good", "Those who are asked were told that you wait. You can do it again in 4 hours."),
        (Self::DelegationMade, "delegation-made", "good", "Done. What is assigned to you in that time is assigned to them too."),
        (Self::DelegationEnded, "delegation-ended", "good", "Ended. What was not answered in your stead is yours alone again."),
        (Self::PutAside, "put-aside", "good", "Put aside."),
        (Self::ReadingDue, "reading-due", "good", "It is due now; the worker does it within a second or two. Load this page again to see what it found."),
        (Self::ToConfirm, "to-confirm", "good", "Asked. Before anybody else is asked, the person it is for has to confirm it."),
        (Self::Confirmed, "confirmed", "good", "Confirmed. The people of the first step have been asked."),
        (Self::ConfirmedAtOnce, "confirmed-at-once", "good", "Confirmed, and approved at once by the policy. The access is being given now."),
        (Self::Emergency, "emergency", "warn", "Access is being given now. Everybody who was not asked has been told, and a review of this is owed."),
        (Self::Reviewed, "reviewed", "good", "Your review is on record, and whoever took the access has been told."),
        (Self::AskedAgain, "asked-again", "good", "Asked again under the present rules. This request took the place of the other."),
        (Self::SignOffNoted, "sign-off-noted", "good", "Noted as evidence. It does not count as an approval."),
        (Self::Declined, "declined", "good", "This access ends when its time is up; more time is not asked for."),
        (Self::Undeclined, "undeclined", "good", "Taken back: more time may be asked for again."),
        (Self::TryDue, "try-due", "good", "It is tried now. Load this page again to see what the directory says."),
        (Self::ChangeProposed, "change-proposed", "good", "Proposed. Nothing is changed until another administrator approves it."),
        (Self::ChangeApplied, "change-applied", "good", "Applied. The rules are so from now on."),
        (Self::ChangeNothing, "change-nothing", "info", "The rules are so already; nothing was changed."),
        (Self::ChangeApproved, "change-approved", "good", "Approved. This page shows when it takes effect."),
        (Self::ChangeRejected, "change-rejected", "good", "Rejected. Nothing of it was done."),
        (Self::ChangeWithdrawn, "change-withdrawn", "good", "Withdrawn. Nothing of it was done."),
        (Self::DriftAdopting, "drift-adopting", "good", "A request is on its way to the approvers. The membership stays until they have decided."),
        (Self::DriftAdoptedAtOnce, "drift-adopted-at-once", "good", "Approved at once by the policy. The membership is a grant now, and ends with it."),
        (
            Self::DriftNotAdopted,
            "drift-not-adopted",
            "warn",
            "The rules do not let them have it, so nobody was asked. Take them out, or leave it alone for a while.",
        ),
        (Self::DriftRemoving, "drift-removing", "good", "It is being taken out of the directory now, and settled when the directory has been read back."),
        (Self::DriftIgnored, "drift-ignored", "good", "Left alone. When the time is up it is listed here again."),
        (Self::DriftExceptionEnded, "drift-exception-ended", "good", "Ended. The next comparison, due now, lists it again."),
        (Self::Paused, "paused", "warn", "Paused. What is owed stays owed until somebody lets it go on."),
        (Self::Resumed, "resumed", "good", "It goes on. What was owed is done now."),
        (Self::ScheduleMade, "schedule-made", "good", "Made. This page shows when it runs first; you can run it now to try it."),
        (Self::ScheduleChanged, "schedule-changed", "good", "Changed. It does so from its next run on."),
        (Self::ScheduleOn, "schedule-on", "good", "Switched on. What was missed while it was off is not caught up."),
        (Self::ScheduleOff, "schedule-off", "good", "Switched off. Its history stays."),
        (Self::ScheduleRunDue, "schedule-run-due", "good", "It runs now. Load this page again to see what came of it."),
        (Self::ListingDue, "listing-due", "good", "They are listed within half a minute or so; with many groups it takes longer. Load this page again then."),
        (Self::HoldPlaced, "hold-placed", "good", "Held. Nothing of it is erased until the hold is lifted, and a day longer."),
        (Self::HoldLifted, "hold-lifted", "good", "Lifted. It keeps everything for one more day."),
        (Self::ErasureOrdered, "erasure-ordered", "good", "Noted. Nothing is erased until another administrator orders the same within a week."),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(done, ..)| *done == self).map_or("", |(_, word, ..)| word)
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, w, ..)| *w == word).map(|(done, ..)| *done)
    }

    fn flash(self) -> Option<Flash> {
        Self::ALL.iter().find(|(done, ..)| *done == self).map(|(_, _, tone, text)| Flash { tone, text: (*text).to_owned() })
    }

    /// To the page at `location` (a path of ours), which will say so. 303 (RFC 9110 §15.4.4): the next is a GET.
    pub fn then(self, app: &App, location: &str) -> Response {
        let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
        response.headers_mut().append(header::SET_COOKIE, cookie(self.word(), LASTS, &app.public));
        response
    }
}

/// What there is to say on this page, if anything.
#[derive(Clone, Copy, Debug)]
pub struct Told(Option<Done>);

impl FromRequestParts<App> for Told {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let name = name(&app.public);
        let lines = parts.headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        Ok(Self(pairs.find(|(key, _)| *key == name).and_then(|(_, word)| Done::of(word))))
    }
}

impl Told {
    /// For the frame of the page.
    pub fn flash(self) -> Option<Flash> {
        self.0.and_then(Done::flash)
    }

    /// Renders the page, and takes away what it has said.
    pub fn page(self, app: &App, page: &impl Template) -> Response {
        let mut response = page_of(page);
        if self.0.is_some() {
            response.headers_mut().append(header::SET_COOKIE, cookie("", 0, &app.public));
        }
        response
    }
}

/// Renders a page.
pub fn page_of(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => Failure::broken(&error).into_response(),
    }
}

fn name(public: &Public) -> &'static str {
    if public.https { "__Host-countersign-done" } else { "countersign-done" }
}

fn cookie(word: &str, seconds: i64, public: &Public) -> HeaderValue {
    let secure = if public.https { "; Secure" } else { "" };
    let text = format!("{}={word}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", name(public));
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back_and_no_other() {
        for (done, word, ..) in Done::ALL {
            assert_eq!(Done::of(word), Some(done));
            assert_eq!(done.word(), word);
            assert!(done.flash().is_some_and(|flash| !flash.text.is_empty()));
        }
        assert_eq!(Done::of("<b>"), None);
    }
}
