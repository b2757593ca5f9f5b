//! How times, lengths, states and people read on a page.
//!
//! Templates call these as methods (`row.at.stamp()`, `row.requested_s.length()`, `row.status.badge()`), so that one
//! moment reads the same on every page. Markup made here is escaped here.

use std::borrow::Borrow;
use std::fmt;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use uuid::Uuid;

/// Who is looking, as far as a page needs to know.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// Display name.
    pub name: String,
    /// The person's id.
    pub person_id: Uuid,
    /// May change the installation.
    pub is_administrator: bool,
    /// May read everything.
    pub is_auditor: bool,
    /// Is, or may be, asked to approve.
    pub is_approver: bool,
    /// How many requests wait for this person.
    pub queue_count: i64,
    /// How many reviews of emergencies they owe.
    pub reviews: i64,
    /// How much they were told and have not put aside.
    pub notices: i64,
    /// The installation is a demo.
    pub demo: bool,
}

/// What every page has around its content.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Who is looking; `None` before sign-in.
    pub viewer: Option<Viewer>,
    /// The navigation entry to mark as current (`home`, `queue`, ...), or nothing.
    pub place: &'static str,
    /// What the last act came to, shown once.
    pub flash: Option<Flash>,
    /// The installation is a demo (known before anybody signs in).
    pub demo: bool,
    /// The time the page was made, for "3 hours ago".
    pub now: DateTime<Utc>,
}

impl Viewer {
    /// How much stands in their queue: requests to answer and emergencies to review.
    pub fn waiting(&self) -> i64 {
        self.queue_count + self.reviews
    }
}

impl Frame {
    /// The program's version, for the footer.
    pub fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// `page` when `place` is where the viewer is, which is what `aria-current` wants; else `false`.
    pub fn current(&self, place: &str) -> &'static str {
        if self.place == place { "page" } else { "false" }
    }

    /// The viewer's name, or nothing before sign-in.
    pub fn viewer_name(&self) -> &str {
        self.viewer.as_ref().map_or("", |v| v.name.as_str())
    }

    /// How many requests wait for the viewer.
    pub fn queue_count(&self) -> i64 {
        self.viewer.as_ref().map_or(0, |v| v.queue_count)
    }

    /// How many reviews of emergencies the viewer owes.
    pub fn reviews(&self) -> i64 {
        self.viewer.as_ref().map_or(0, |v| v.reviews)
    }

    /// Whether the viewer may change the installation.
    pub fn is_administrator(&self) -> bool {
        self.viewer.as_ref().is_some_and(|v| v.is_administrator)
    }

    /// Whether the viewer may open the policy pages.
    pub fn may_read_policies(&self) -> bool {
        self.viewer.as_ref().is_some_and(|v| v.is_administrator || v.is_auditor)
    }
}

/// What the last act came to.
#[derive(Clone, Debug)]
pub struct Flash {
    /// `good`, `warn`, `bad` or `info`.
    pub tone: &'static str,
    /// One or two sentences.
    pub text: String,
}

/// What could not be said on a page, as its flash.
pub fn notice(notice: &Option<String>) -> Option<Flash> {
    notice.clone().map(|text| Flash { tone: "warn", text })
}

/// Markup that is safe to write into a page as it is.
#[derive(Clone, Debug)]
pub struct Html(String);

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for Html {}

/// Escapes text for HTML content and double-quoted attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A moment on a page. The server writes UTC; app.js puts the viewer's zone first and keeps UTC beside it.
pub trait Moment {
    /// Date and time, with UTC beside it once the zone is the viewer's.
    fn stamp(&self) -> Html;
    /// Date and time for a table: UTC moves into the title.
    fn brief(&self) -> Html;
    /// How long ago, or how long until; the exact time in the title.
    fn rel(&self, now: impl Borrow<DateTime<Utc>>) -> Html;
    /// How much is left, in two units (`3 h 20 min`), without a word around it; `0 min` when over.
    fn left(&self, now: impl Borrow<DateTime<Utc>>) -> String;
    /// How much of the time since `start` until this moment is left at `now`: 0 to 100, for the width of a bar.
    fn left_percent(&self, start: impl Borrow<DateTime<Utc>>, now: impl Borrow<DateTime<Utc>>) -> i64;
    /// `ending` when less than an eighth of the time since `start` is left, or less than an hour of a long one;
    /// `over` when none is; else `plenty`.
    fn urgency(&self, start: impl Borrow<DateTime<Utc>>, now: impl Borrow<DateTime<Utc>>) -> &'static str;
}

impl Moment for DateTime<Utc> {
    fn stamp(&self) -> Html {
        Html(format!("<time class=\"t t-full\" datetime=\"{}\">{}</time>", machine(self), utc(self)))
    }

    fn brief(&self) -> Html {
        Html(format!("<time class=\"t t-brief\" datetime=\"{}\">{}</time>", machine(self), utc(self)))
    }

    fn rel(&self, now: impl Borrow<DateTime<Utc>>) -> Html {
        let gap = (*self - *now.borrow()).num_seconds();
        let words = match gap {
            -44..=0 => "just now".to_owned(),
            1..=44 => "in a moment".to_owned(),
            s if s < 0 => format!("{} ago", coarse(-s)),
            s => format!("in {}", coarse(s)),
        };
        Html(format!("<time class=\"t t-rel\" datetime=\"{}\" title=\"{}\">{words}</time>", machine(self), utc(self)))
    }

    fn left(&self, now: impl Borrow<DateTime<Utc>>) -> String {
        two_units((*self - *now.borrow()).num_seconds().max(0))
    }

    fn left_percent(&self, start: impl Borrow<DateTime<Utc>>, now: impl Borrow<DateTime<Utc>>) -> i64 {
        let whole = (*self - *start.borrow()).num_seconds().max(1);
        (*self - *now.borrow()).num_seconds().clamp(0, whole) * 100 / whole
    }

    fn urgency(&self, start: impl Borrow<DateTime<Utc>>, now: impl Borrow<DateTime<Utc>>) -> &'static str {
        let left = (*self - *now.borrow()).num_seconds();
        let whole = (*self - *start.borrow()).num_seconds();
        match left {
            s if s <= 0 => "over",
            s if s * 8 < whole || (s < 3600 && whole > 2 * 3600) => "ending",
            _ => "plenty",
        }
    }
}

fn machine(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn utc(at: &DateTime<Utc>) -> String {
    at.format("%-d %b %Y, %H:%M UTC").to_string()
}

/// A day in a form's field.
pub fn day(day: &Option<NaiveDate>) -> String {
    day.map(|d| d.to_string()).unwrap_or_default()
}

fn plural(n: i64, unit: &str) -> String {
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

/// One unit, rounded to the nearest: what "ago" needs.
fn coarse(s: i64) -> String {
    match s {
        s if s < 90 * 60 => plural((s + 30) / 60, "minute"),
        s if s < 36 * 3600 => plural((s + 1800) / 3600, "hour"),
        s if s < 60 * 86400 => plural((s + 43200) / 86400, "day"),
        s if s < 730 * 86400 => plural(s / (30 * 86400), "month"),
        s => plural(s / (365 * 86400), "year"),
    }
}

/// Two units, cut off and never rounded up: nobody is promised time they do not have.
fn two_units(s: i64) -> String {
    let (d, h, m) = (s / 86400, s % 86400 / 3600, s % 3600 / 60);
    match (d, h, m) {
        (0, 0, m) => format!("{m} min"),
        (0, h, 0) => format!("{h} h"),
        (0, h, m) => format!("{h} h {m} min"),
        (d, 0, _) => plural(d, "day"),
        (d, h, _) if d < 7 => format!("{} {h} h", plural(d, "day")),
        (d, _, _) => plural(d, "day"),
    }
}

/// Numbers on a page.
pub trait Amount {
    /// A length of time given in seconds, exact (`1 hour 30 minutes`).
    fn length(&self) -> String;
    /// A wait given in seconds, rounded (`about 2 hours`).
    fn about(&self) -> String;
    /// A count with thin thousands (`1 234 567`).
    fn count(&self) -> String;
}

impl Amount for i64 {
    fn length(&self) -> String {
        if *self <= 0 {
            return "no time".to_owned();
        }
        let units = [(86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
        let mut rest = *self;
        let mut words = Vec::new();
        for (size, unit) in units {
            if rest >= size {
                words.push(plural(rest / size, unit));
                rest %= size;
            }
        }
        words.join(" ")
    }

    fn about(&self) -> String {
        if *self < 60 { "under a minute".to_owned() } else { format!("about {}", coarse(*self)) }
    }

    fn count(&self) -> String {
        let digits = self.unsigned_abs().to_string();
        let mut out = String::new();
        if *self < 0 {
            out.push('\u{2212}');
        }
        for (i, d) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                out.push('\u{202f}');
            }
            out.push(d);
        }
        out
    }
}

/// Lengths of access: none is one without end.
impl Amount for Option<i64> {
    fn length(&self) -> String {
        self.as_ref().map_or_else(|| "an unlimited time".to_owned(), Amount::length)
    }

    fn about(&self) -> String {
        self.as_ref().map_or_else(|| "an unlimited time".to_owned(), Amount::about)
    }

    fn count(&self) -> String {
        self.as_ref().map_or_else(|| "any number".to_owned(), Amount::count)
    }
}

/// Words kept in the database, as a person reads them.
pub trait Words {
    /// The label of a state, risk, reason or method.
    fn label(&self) -> String;
    /// `good`, `warn`, `bad`, `info` or `quiet`.
    fn tone(&self) -> &'static str;
    /// The label as a badge, told apart by word and shape as well as by colour.
    fn badge(&self) -> Html;
    /// One or two letters for a person's or an application's mark.
    fn initials(&self) -> String;
    /// A number from 0 to 5 that stays the same for the same text, to tell marks apart.
    fn hue(&self) -> u32;
    /// The first `n` characters, with an ellipsis when there are more.
    fn cut(&self, n: usize) -> String;
    /// Percent-encoded for a query string (RFC 3986 §2.1).
    fn query(&self) -> String;
}

impl Words for str {
    fn label(&self) -> String {
        word(self).map_or_else(|| self.replace('_', " "), |(label, _)| label.to_owned())
    }

    fn tone(&self) -> &'static str {
        word(self).map_or("quiet", |(_, tone)| tone)
    }

    fn badge(&self) -> Html {
        Html(format!("<span class=\"badge {}\">{}</span>", self.tone(), escape(&self.label())))
    }

    fn initials(&self) -> String {
        let mut words = self.split_whitespace().filter_map(|w| w.chars().find(|c| c.is_alphanumeric()));
        let first = words.next();
        let last = words.next_back();
        first.into_iter().chain(last).flat_map(char::to_uppercase).take(2).collect()
    }

    fn hue(&self) -> u32 {
        // FNV-1a, then its high bits: names that differ in one letter still part.
        let hash = self.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
        (hash >> 13) % 6
    }

    fn cut(&self, n: usize) -> String {
        match self.char_indices().nth(n) {
            Some((at, _)) => format!("{}…", self[..at].trim_end()),
            None => self.to_owned(),
        }
    }

    fn query(&self) -> String {
        let mut out = String::new();
        for b in self.bytes() {
            if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
                out.push(char::from(b));
            } else {
                out.push_str(&format!("%{b:02X}"));
            }
        }
        out
    }
}

/// The state of a change of the rules in words.
pub fn change_state(status: &str) -> &'static str {
    match status {
        "proposed" => "Waits for approval",
        "approved" => "Approved, takes effect later",
        "applied" => "In force since",
        "rejected" => "Rejected",
        "withdrawn" => "Withdrawn",
        _ => "Failed",
    }
}

/// The same as a badge.
pub fn change_badge(status: &str) -> Html {
    let (label, tone) = match status {
        "proposed" => ("Waits for approval", "info"),
        "approved" => ("Approved", "info"),
        "applied" => ("Applied", "good"),
        "rejected" => ("Rejected", "bad"),
        "withdrawn" => ("Withdrawn", "quiet"),
        _ => ("Failed", "bad"),
    };
    Html(format!("<span class=\"badge {tone}\">{label}</span>"))
}

/// Label and tone of the words the database keeps.
fn word(key: &str) -> Option<(&'static str, &'static str)> {
    Some(match key {
        "low" => ("Low risk", "quiet"),
        "elevated" => ("Elevated risk", "warn"),
        "critical" => ("Critical risk", "bad"),

        "submitted" => ("Submitted", "info"),
        "pending" => ("Waiting for approval", "info"),
        "needs_info" => ("Question asked", "warn"),
        "approved" => ("Approved", "good"),
        "denied" => ("Denied", "bad"),
        "withdrawn" => ("Withdrawn", "quiet"),
        "timed_out" => ("Timed out", "quiet"),
        "refused" => ("Refused", "bad"),
        "auto_approved" => ("Approved by policy", "good"),
        "needs_approval" => ("Needs approval", "info"),

        "scheduled" => ("Scheduled", "info"),
        "provisioning" => ("Being provisioned", "info"),
        "verifying" => ("Being verified", "info"),
        "active" => ("Active", "good"),
        "revoking" => ("Being removed", "warn"),
        "ended" => ("Ended", "quiet"),
        "failed" => ("Given up", "bad"),

        "expired" => ("Expired", "quiet"),
        "returned" => ("Returned", "quiet"),
        "revoked" => ("Revoked", "warn"),
        "offboarded" => ("Offboarded", "warn"),
        "eligibility_lost" => ("Eligibility lost", "warn"),
        "review" => ("Removed in review", "warn"),
        "emergency_closed" => ("Emergency closed", "warn"),
        "superseded" => ("Superseded", "quiet"),

        "waiting" => ("Not yet", "quiet"),
        "current" => ("Now", "info"),
        "done" => ("Done", "good"),
        "skipped" => ("Skipped", "quiet"),
        "approve" => ("Approved", "good"),
        "deny" => ("Denied", "bad"),

        "in_force" => ("In force", "good"),
        "ahead" => ("Begins later", "info"),
        "over" => ("Over", "quiet"),

        "idp_group" => ("Directory group", "quiet"),
        "app_api" => ("Application API", "quiet"),
        "workflow" => ("Workflow", "quiet"),
        "manual" => ("Manual task", "quiet"),

        "add" => ("Add", "info"),
        "remove" => ("Remove", "warn"),
        "verify" => ("Read back", "quiet"),
        "already_so" => ("Already so", "good"),
        "retry" => ("Will retry", "warn"),
        "partly" => ("Partly", "warn"),

        "pre_existing" => ("There before", "quiet"),
        "out_of_band" => ("Without a grant", "warn"),
        "unexpected_member" => ("Without a grant", "warn"),
        "missing_member" => ("Missing", "bad"),
        "unknown_target" => ("Group is gone", "bad"),

        "changed" => ("Taken", "good"),
        "pending_there" => ("Not in effect yet", "info"),
        "rate_limited" => ("Told to wait", "warn"),
        "not_writable" => ("Cannot be changed", "bad"),
        "person_gone" => ("No such person", "warn"),
        "group_gone" => ("No such group", "bad"),
        "unauthorized" => ("Not allowed", "bad"),
        "not_applied" => ("Not taken", "warn"),
        "ambiguous" => ("Not certain", "warn"),
        "paused" => ("Paused", "warn"),

        "ok" => ("Working", "good"),
        "slow" => ("Slow", "warn"),
        "failing" => ("Failing, retried", "bad"),
        "unknown" => ("Unknown", "quiet"),

        _ => return None,
    })
}

/// An icon out of icons.svg; decoration only, so hidden from screen readers.
pub fn icon(name: &str) -> Html {
    Html(format!(
        "<svg class=\"icon\" aria-hidden=\"true\" focusable=\"false\"><use href=\"/static/icons.svg?v={}#{}\"/></svg>",
        super::assets::digest(),
        escape(name)
    ))
}

/// The address of an asset, with its digest.
pub fn asset(name: &str) -> String {
    format!("/static/{name}?v={}", super::assets::digest())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;

    fn at(h: u32, m: u32) -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 11, 21, h, m, 0).single().unwrap_or_default()
    }

    #[test]
    fn lengths_are_exact() {
        let read: Vec<String> = [0, -5, 1, 60, 5400, 14400, 86400, 90000, 2592000].map(|s: i64| s.length()).to_vec();
        assert_eq!(read, ["no time", "no time", "1 second", "1 minute", "1 hour 30 minutes", "4 hours", "1 day", "1 day 1 hour", "30 days"]);
    }

    #[test]
    fn time_left_is_never_rounded_up() {
        assert_eq!(at(12, 0).left(at(8, 41)), "3 h 19 min");
        assert_eq!((at(12, 0) - chrono::Duration::seconds(1)).left(at(11, 0)), "59 min");
        assert_eq!(at(8, 0).left(at(9, 0)), "0 min");
    }

    #[test]
    fn moments_read_forwards_and_backwards() {
        assert!(at(9, 0).rel(at(12, 0)).to_string().contains(">3 hours ago<"));
        assert!(at(12, 0).rel(at(11, 40)).to_string().contains(">in 20 minutes<"));
        assert!(at(12, 0).rel(at(12, 0)).to_string().contains(">just now<"));
        assert!(at(12, 5).stamp().to_string().contains("datetime=\"2026-11-21T12:05:00Z\">21 Nov 2026, 12:05 UTC<"));
    }

    #[test]
    fn unknown_words_are_shown_and_escaped() {
        assert_eq!("<b>x_y</b>".badge().to_string(), "<span class=\"badge quiet\">&lt;b&gt;x y&lt;/b&gt;</span>");
        assert_eq!("timed_out".label(), "Timed out");
    }

    #[test]
    fn names_give_one_or_two_letters() {
        let letters: Vec<String> = ["Bo Lind", "Orders DB", "zoë", "", "  ", "<script>", "Ana de la Cruz"].map(str::initials).to_vec();
        assert_eq!(letters, ["BL", "OD", "Z", "", "", "S", "AC"]);
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!("äöüß".cut(3), "äöü…");
        assert_eq!("äöü".cut(3), "äöü");
    }

    #[test]
    fn counts_have_thousands_and_queries_are_encoded() {
        assert_eq!((1_234_567i64).count(), "1\u{202f}234\u{202f}567");
        assert_eq!("a b&c=ü".query(), "a%20b%26c%3D%C3%BC");
    }

    #[test]
    fn the_bar_shows_what_is_left() {
        assert_eq!(at(12, 0).left_percent(at(8, 0), at(9, 0)), 75);
        assert_eq!(at(12, 0).left_percent(at(8, 0), at(13, 0)), 0);
        assert_eq!(at(12, 0).urgency(at(8, 0), at(11, 45)), "ending");
        assert_eq!(at(12, 0).urgency(at(8, 0), at(9, 0)), "plenty");
        assert_eq!(at(12, 0).urgency(at(8, 0), at(12, 0)), "over");
    }
}
