//! Reads access policies of a catalog file.

use crate::domain::policy::{CustomField, Durations, EligibilityLost, Emergency, FieldKind, LONGEST_TEXT, OnBehalf, Pattern, TextRule, Verdict};
use crate::domain::span::Seconds;

use super::model::{AutoEntry, ExtensionEntry, PolicyEntry};
use super::places::{Fields, Placed};
use super::read::{conditions, risks};

/// How far ahead a start may lie when a policy says nothing of it: one year.
pub(super) const FUTURE_START: Seconds = Seconds(365 * 86_400);
/// In which part of a period an extension is offered when a policy says nothing of it.
pub(super) const LAST_PERCENT: u32 = 50;
/// The longest text of a field that says nothing of it, in characters.
const FIELD_TEXT: u32 = 200;
/// The longest regular expression, in characters.
const LONGEST_PATTERN: usize = 500;
/// Numbers that every reader of JSON holds exactly (I-JSON, RFC 7493 section 2.2).
const EXACT: i64 = (1 << 53) - 1;

/// One policy; what cannot be read is reported and left out.
pub(super) fn policy(fields: Fields<'_, '_>) -> PolicyEntry {
    let key = fields.key("key");
    let procedure = fields.text("procedure").filter(|procedure| !procedure.value.is_empty());
    let auto_approve = fields.flag("auto_approve", false);
    match &procedure {
        Some(procedure) if auto_approve => {
            fields.reader.fault(procedure.at, "Either a procedure approves, or auto_approve = true does; not both.");
        }
        None if !auto_approve && !fields.is_broken() => {
            fields.reader.fault(key.at, "A policy needs a “procedure”, or auto_approve = true when nobody is to be asked.");
        }
        _ => {}
    }
    if !fields.has("durations") {
        fields.reader.fault(key.at, "A policy needs durations, like durations = { recommended = \"4h\", maximum = \"8h\" }.");
    }
    let durations = fields.table("durations", "Durations").and_then(durations);
    let entry = PolicyEntry {
        name: fields.needed("name").value,
        applies_to: conditions(&fields, "for"),
        profile: fields.needed("profile"),
        auto_rules: auto_rules(&fields, durations.as_ref(), auto_approve),
        future_start: future_start(&fields),
        justification: fields
            .table("justification", "A justification")
            .map_or(TextRule { required: true, ..TextRule::default() }, |inner| text_rule(inner, false)),
        ticket: fields.table("ticket", "A ticket").map_or_else(TextRule::default, |inner| text_rule(inner, true)),
        fields: custom_fields(&fields),
        extension: extension(&fields, durations.as_ref()),
        on_behalf: fields.table("on_behalf", "An “on_behalf”").map(on_behalf).unwrap_or_default(),
        emergency: emergency(&fields, durations.as_ref(), auto_approve),
        comment_to_deny: fields.flag("comment_to_deny", true),
        eligibility_lost: eligibility_lost(&fields),
        durations,
        key,
        procedure,
    };
    fields.end();
    entry
}

/// The limits, with what is left out filled in: the minimum is 15 minutes (or the maximum, when that is shorter), the choices are
/// the recommended duration and the maximum.
fn durations(fields: Fields<'_, '_>) -> Option<Durations> {
    let recommended = fields.duration("recommended");
    let minimum = fields.duration("minimum");
    let maximum = fields.duration("maximum");
    let choices: Option<Vec<_>> = fields.list("choices").map(|items| items.iter().filter_map(|item| fields.reader.duration(item, "choices")).collect());
    let indefinite = fields.flag("indefinite", false);
    if !fields.has("maximum") {
        fields.reader.fault(fields.at, "Durations need a “maximum”.");
    }
    if choices.as_ref().is_some_and(|choices| choices.len() > 50) {
        fields.reader.fault(fields.at, "At most 50 choices can be offered.");
    }
    if let Some(most) = maximum.as_ref().map(|maximum| maximum.value) {
        let fault = |of: &Placed<Seconds>, sentence: String| fields.reader.fault(of.at, sentence);
        let least = minimum.as_ref().map(|minimum| minimum.value);
        if let Some(minimum) = minimum.as_ref().filter(|minimum| minimum.value > most) {
            fault(minimum, format!("The minimum, {}, is above the maximum, {most}.", minimum.value));
        }
        for (named, of) in recommended.iter().map(|of| ("recommended duration", of)).chain(choices.iter().flatten().map(|of| ("choice", of))) {
            if of.value > most {
                fault(of, format!("The {named}, {}, is above the maximum, {most}.", of.value));
            } else if let Some(least) = least.filter(|least| of.value < *least) {
                fault(of, format!("The {named}, {}, is below the minimum, {least}.", of.value));
            }
        }
    }
    fields.end();
    let (recommended, maximum) = (recommended.map(|r| r.value), maximum?.value);
    let mut choices: Vec<Seconds> = match choices {
        Some(choices) => choices.into_iter().map(|choice| choice.value).collect(),
        None => recommended.into_iter().chain([maximum]).collect(),
    };
    choices.sort_unstable();
    choices.dedup();
    let shortest = choices.first().copied().into_iter().chain(recommended).fold(Seconds(900).min(maximum), Seconds::min);
    Some(Durations { recommended, minimum: minimum.map_or(shortest, |minimum| minimum.value), maximum, choices, indefinite })
}

fn text_rule(fields: Fields<'_, '_>, is_ticket: bool) -> TextRule {
    let required = fields.flag("required", true);
    let longest = if is_ticket { 100 } else { LONGEST_TEXT as i64 };
    let minimum = fields.number("minimum", 0, longest).map_or(0, |number| number.value as u32);
    let prefix = if is_ticket { fields.short_text("prefix", 50) } else { None };
    let expression = fields.short_text("pattern", LONGEST_PATTERN);
    let says = fields.short_text("says", 200);
    let pattern = match (&prefix, &expression) {
        (Some(prefix), Some(_)) => {
            fields.reader.fault(prefix.at, "Say either “prefix” or “pattern”, not both.");
            None
        }
        (Some(prefix), None) => {
            let plain = prefixed(&prefix.value);
            Some(Pattern { says: says.map_or(plain.says, |says| says.value), ..plain })
        }
        (None, Some(expression)) => {
            let pattern = Pattern { expression: expression.value.clone(), says: says.as_ref().map_or_else(String::new, |says| says.value.clone()) };
            if let Some(why) = pattern.fault() {
                fields.reader.fault(expression.at, format!("“{}” is no regular expression: {}.", expression.value, last_line(&why)));
            }
            if says.is_none() && !fields.is_broken() {
                fields.reader.fault(expression.at, "A “pattern” needs “says”, the sentence that people read when they do not match it.");
            }
            Some(pattern)
        }
        (None, None) => {
            if let Some(says) = says {
                fields.reader.fault(says.at, "“says” belongs to a “pattern”, and there is none.");
            }
            None
        }
    };
    fields.end();
    TextRule { required, minimum, pattern }
}

/// What `prefix` stands for: whatever begins with it.
pub(super) fn prefixed(prefix: &str) -> Pattern {
    Pattern { expression: format!("{}.*", regex::escape(prefix)), says: format!("A ticket reference begins with {prefix}.") }
}

/// The last line of what the regex compiler says, which names the error.
fn last_line(why: &str) -> String {
    let line = why.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).trim_end_matches('.').to_owned()
}

fn future_start(fields: &Fields<'_, '_>) -> Option<Seconds> {
    match fields.is_flag("future_start") {
        Some(false) => fields.value("future_start").and(None),
        Some(true) => {
            if let Some(value) = fields.value("future_start") {
                fields.reader.fault(fields.reader.place_of(value), "Say how far ahead, like future_start = \"30d\"; or false for not at all.");
            }
            None
        }
        None => Some(fields.duration("future_start").map_or(FUTURE_START, |ahead| ahead.value)),
    }
}

fn extension(fields: &Fields<'_, '_>, durations: Option<&Durations>) -> Option<ExtensionEntry> {
    let plain = ExtensionEntry { maximum: None, last_percent: LAST_PERCENT, most: None, procedure: None };
    match fields.is_flag("extension") {
        Some(offered) => {
            let _ = fields.value("extension");
            return offered.then_some(plain);
        }
        None if !fields.has("extension") => {
            let _ = fields.value("extension");
            return None;
        }
        None => {}
    }
    let inner = fields.table("extension", "An extension")?;
    let maximum = inner.duration("maximum");
    if let (Some(most), Some(limits)) = (&maximum, durations)
        && most.value > limits.maximum
    {
        inner.reader.fault(most.at, format!("The maximum of an extension, {}, is above the policy's, {}.", most.value, limits.maximum));
    }
    let entry = ExtensionEntry {
        maximum: maximum.map(|most| most.value),
        last_percent: inner.number("last_percent", 1, 100).map_or(LAST_PERCENT, |number| number.value as u32),
        most: inner.number("most", 1, 1_000).map(|number| number.value as u32),
        procedure: inner.text("procedure").filter(|procedure| !procedure.value.is_empty()),
    };
    inner.end();
    Some(entry)
}

fn on_behalf(fields: Fields<'_, '_>) -> OnBehalf {
    let rules = OnBehalf { manager: fields.flag("manager", false), owner: fields.flag("owner", false), confirm: fields.flag("confirm", false) };
    if !rules.manager && !rules.owner && !fields.is_broken() {
        fields.reader.fault(fields.at, "An “on_behalf” needs manager = true or owner = true; without it nobody asks for others.");
    }
    fields.end();
    rules
}

fn emergency(fields: &Fields<'_, '_>, durations: Option<&Durations>, auto_approve: bool) -> Option<Emergency> {
    let inner = fields.table("emergency", "An emergency")?;
    let (maximum, review) = (inner.duration("maximum"), inner.duration("review_within"));
    for key in ["maximum", "review_within"] {
        if !inner.has(key) {
            inner.reader.fault(inner.at, format!("An emergency needs “{key}”, like emergency = {{ maximum = \"1h\", review_within = \"1d\" }}."));
        }
    }
    if let (Some(most), Some(limits)) = (&maximum, durations)
        && most.value > limits.maximum
    {
        inner.reader.fault(most.at, format!("The maximum of an emergency, {}, is above the policy's, {}.", most.value, limits.maximum));
    }
    if auto_approve {
        inner.reader.fault(inner.at, "This policy asks nobody; there is nothing for an emergency to skip, and nobody to review it.");
    }
    inner.end();
    Some(Emergency { maximum: maximum?.value, review_within: review?.value })
}

fn eligibility_lost(fields: &Fields<'_, '_>) -> EligibilityLost {
    let (then, grace) = (fields.text("eligibility_lost"), fields.duration("eligibility_grace"));
    match then.as_ref().map(|then| then.value.as_str()) {
        None | Some("revoke" | "") => EligibilityLost::Revoke(grace.map_or(EligibilityLost::GRACE, |grace| grace.value)),
        Some("keep") => {
            if let Some(grace) = grace {
                fields.reader.fault(grace.at, "What is kept has no grace; leave “eligibility_grace” out, or say eligibility_lost = \"revoke\".");
            }
            EligibilityLost::Keep
        }
        Some(_) => {
            if let Some(then) = &then {
                fields.reader.fault(then.at, "“eligibility_lost” is \"revoke\" or \"keep\".");
            }
            EligibilityLost::default()
        }
    }
}

fn auto_rules(fields: &Fields<'_, '_>, durations: Option<&Durations>, auto_approve: bool) -> Vec<AutoEntry> {
    let mut rules: Vec<AutoEntry> = Vec::new();
    let tables = fields.tables("auto", "An auto rule");
    if tables.len() > 50 {
        fields.reader.fault(fields.at, "A policy may have 50 auto rules.");
    }
    for inner in tables {
        let at = inner.at;
        let name = inner.needed("name");
        let then = inner.needed("then");
        let verdict = match then.value.as_str() {
            "approve" => Some(Verdict::Approve),
            "deny" => Some(Verdict::Deny),
            "" => None,
            other => {
                inner.reader.fault(then.at, format!("“{other}” is nothing that a rule does; say \"approve\" or \"deny\"."));
                None
            }
        };
        let (all, risks) = (conditions(&inner, "all"), risks(&inner));
        let (at_most, longer_than) = (inner.duration("at_most"), inner.duration("longer_than"));
        never(&inner, at_most.as_ref(), longer_than.as_ref(), durations);
        let unlimited = all.is_empty() && !inner.has("risk") && at_most.is_none() && longer_than.is_none();
        let unlimited = unlimited && !inner.is_broken() && inner.list("all").is_none_or(<[_]>::is_empty);
        match verdict {
            Some(Verdict::Approve) if auto_approve => inner.reader.fault(at, "This policy asks nobody anyway; only rules that deny make a difference."),
            Some(Verdict::Approve) if unlimited => inner.reader.fault(at, "This rule approves everything; say auto_approve = true instead, or limit it."),
            Some(Verdict::Deny) if unlimited => inner.reader.fault(at, "This rule denies everything; limit it by “all”, “risk”, “at_most” or “longer_than”."),
            _ => {}
        }
        if rules.iter().any(|other| other.name == name.value) && !name.value.is_empty() {
            inner.reader.fault(name.at, format!("There is another rule “{}” in this policy; decisions cite rules by name.", name.value));
        }
        inner.end();
        rules.push(AutoEntry {
            name: name.value,
            verdict: verdict.unwrap_or(Verdict::Deny),
            conditions: all,
            risks,
            at_most: at_most.map(|most| most.value),
            longer_than: longer_than.map(|least| least.value),
        });
    }
    rules
}

/// Reports limits of a rule between which no ask can lie.
fn never(rule: &Fields<'_, '_>, at_most: Option<&Placed<Seconds>>, longer_than: Option<&Placed<Seconds>>, durations: Option<&Durations>) {
    let fault = |of: &Placed<Seconds>, sentence: String| rule.reader.fault(of.at, format!("This rule never applies: {sentence}."));
    if let (Some(most), Some(least)) = (at_most, longer_than)
        && most.value <= least.value
    {
        fault(most, format!("nothing is longer than {} and at most {}", least.value, most.value));
    }
    let Some(limits) = durations else { return };
    if let Some(most) = at_most.filter(|most| most.value < limits.minimum) {
        fault(most, format!("the shortest that can be asked for is {}", limits.minimum));
    }
    if let Some(least) = longer_than.filter(|least| least.value >= limits.maximum && !limits.indefinite) {
        fault(least, format!("the longest that can be asked for is {}", limits.maximum));
    }
}

fn custom_fields(fields: &Fields<'_, '_>) -> Vec<CustomField> {
    let mut all: Vec<CustomField> = Vec::new();
    let tables = fields.tables("field", "A field");
    if tables.len() > 30 {
        fields.reader.fault(fields.at, "A policy may have 30 fields.");
    }
    for inner in tables {
        let key = field_key(&inner);
        if all.iter().any(|other| other.key == key.value) && !key.value.is_empty() {
            inner.reader.fault(key.at, format!("There is another field “{}” in this policy; keys are used once.", key.value));
        }
        let field = CustomField {
            label: inner.needed("label").value,
            help: inner.text("help").map(|help| help.value).filter(|help| !help.is_empty()),
            required: inner.flag("required", false),
            kind: field_kind(&inner).unwrap_or(FieldKind::Date),
            key: key.value,
        };
        inner.end();
        all.push(field);
    }
    all
}

fn field_key(fields: &Fields<'_, '_>) -> Placed<String> {
    let mut key = fields.needed("key");
    let good = key.value.len() <= 63 && !key.value.starts_with('_') && key.value.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if !good {
        fields.reader.fault(
            key.at,
            format!("“{}” cannot be the key of a field; use up to 63 lower-case letters, digits and underscores, beginning with a letter or digit.", key.value),
        );
        key.value.clear();
    }
    key
}

fn field_kind(fields: &Fields<'_, '_>) -> Option<FieldKind> {
    let kind = fields.needed("type");
    let taken: &[&str] = match kind.value.as_str() {
        "text" => &["maximum"],
        "choice" => &["choices"],
        "number" => &["minimum", "maximum"],
        _ => &[],
    };
    let fits = |key: &'static str| taken.contains(&key);
    for key in ["choices", "minimum", "maximum"] {
        if !fits(key)
            && let Some(value) = fields.value(key).filter(|_| ["text", "choice", "date", "number", "yes_no"].contains(&kind.value.as_str()))
        {
            fields.reader.fault(fields.reader.place_of(value), format!("A field of type “{}” has no “{key}”.", kind.value));
        }
    }
    match kind.value.as_str() {
        "text" => Some(FieldKind::Text { maximum: fields.number("maximum", 1, LONGEST_TEXT as i64).map_or(FIELD_TEXT, |number| number.value as u32) }),
        "choice" => Some(FieldKind::Choice { choices: choices(fields, kind.at) }),
        "date" => Some(FieldKind::Date),
        "number" => {
            let (minimum, maximum) = (fields.number("minimum", -EXACT, EXACT), fields.number("maximum", -EXACT, EXACT));
            if let (Some(least), Some(most)) = (&minimum, &maximum)
                && least.value > most.value
            {
                fields.reader.fault(least.at, format!("The minimum, {}, is above the maximum, {}.", least.value, most.value));
            }
            Some(FieldKind::Number { minimum: minimum.map(|least| least.value), maximum: maximum.map(|most| most.value) })
        }
        "yes_no" => Some(FieldKind::YesNo),
        "" => None,
        other => {
            fields.reader.fault(kind.at, format!("“{other}” is no type of a field; say \"text\", \"choice\", \"date\", \"number\" or \"yes_no\"."));
            None
        }
    }
}

fn choices(fields: &Fields<'_, '_>, at: super::places::Place) -> Vec<String> {
    let listed = fields.texts("choices");
    for (i, choice) in listed.iter().enumerate() {
        if listed[..i].iter().any(|other| other.value == choice.value) {
            fields.reader.fault(choice.at, format!("“{}” is listed twice.", choice.value));
        }
    }
    if listed.len() < 2 && !fields.is_broken() {
        fields.reader.fault(listed.first().map_or(at, |only| only.at), "A choice needs at least two “choices”.");
    }
    if listed.len() > 50 {
        fields.reader.fault(at, "At most 50 choices can be offered.");
    }
    listed.into_iter().map(|choice| choice.value).collect()
}
