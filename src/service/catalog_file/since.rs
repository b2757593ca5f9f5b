//! What one version of a policy says other than another.

use crate::domain::policy::{AccessPolicy, ApprovalProcedure};

use super::words::{self, Line};

/// A part of a policy that says something else now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which: "policy standard v1 -> v2", in the words of a change.
    pub title: String,
    /// Whether it was not there before.
    pub is_new: bool,
    /// What about it: "maximum: 30 days -> 10 days".
    pub lines: Vec<String>,
}

/// How `new` differs from `old`: the policy itself, its profile, its procedures; each only where it does. Empty when both read the same.
pub fn since(old: &AccessPolicy, new: &AccessPolicy) -> Vec<Part> {
    let extension = |policy: &'_ AccessPolicy| policy.extension.as_ref().and_then(|rules| rules.procedure.clone());
    let mut parts = vec![part("policy", (&old.key, old.version, words::policy(old)), (&new.key, new.version, words::policy(new)))];
    let profile = |policy: &AccessPolicy| words::profile(&policy.profile);
    parts.push(part("profile", (&old.profile.key, old.profile.version, profile(old)), (&new.profile.key, new.profile.version, profile(new))));
    parts.push(procedure(old.procedure.as_ref(), new.procedure.as_ref()));
    let (before, now) = (extension(old), extension(new));
    // Named once, where both ways are approved alike.
    if now != new.procedure || before != old.procedure {
        parts.push(procedure(before.as_ref(), now.as_ref()));
    }
    let mut told: Vec<Part> = Vec::new();
    for part in parts.into_iter().flatten() {
        if !told.contains(&part) {
            told.push(part);
        }
    }
    told
}

fn procedure(old: Option<&ApprovalProcedure>, new: Option<&ApprovalProcedure>) -> Option<Part> {
    let new = new?;
    let lines = words::procedure(new);
    match old {
        Some(old) => part("procedure", (&old.key, old.version, words::procedure(old)), (&new.key, new.version, lines)),
        None => Some(Part { title: format!("procedure {} v{}", new.key, new.version), is_new: true, lines: words::all(&lines) }),
    }
}

type Version<'a> = (&'a str, i32, Vec<Line>);

fn part(what: &str, (old_key, old_version, before): Version<'_>, (key, version, lines): Version<'_>) -> Option<Part> {
    if old_key != key {
        return Some(Part { title: format!("{what} {key} v{version}, no longer {old_key} v{old_version}"), is_new: true, lines: words::all(&lines) });
    }
    let told = words::differences(&before, &lines);
    match (told.is_empty(), old_version == version) {
        (true, true) => None,
        (true, false) if what != "policy" => None,
        (true, false) => Some(Part { title: format!("{what} {key} v{old_version} -> v{version}"), is_new: false, lines: vec!["the same words".into()] }),
        _ => Some(Part { title: format!("{what} {key} v{old_version} -> v{version}"), is_new: false, lines: told }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples::policy;
    use crate::domain::span::Seconds;

    #[test]
    fn a_version_tells_what_it_changed_of_policy_profile_and_procedure() {
        let old = policy("old", vec![], vec![]);
        let mut new = AccessPolicy { version: old.version + 1, ..old.clone() };
        new.durations.maximum = Seconds(old.durations.maximum.0 + 3_600);
        let told = since(&old, &new);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].title.ends_with(&format!("v{} -> v{}", old.version, new.version)) && told[0].lines[0].starts_with("maximum: "), "{told:?}");
        new.profile.key = "others".into();
        new.procedure = new.procedure.map(|procedure| ApprovalProcedure { version: procedure.version + 1, reassign: !procedure.reassign, ..procedure });
        let told = since(&old, &new);
        assert!(told.iter().any(|part| part.is_new && part.title.contains("profile others")), "{told:?}");
        assert!(told.iter().any(|part| part.title.starts_with("procedure ") && part.lines.iter().any(|line| line.starts_with("who is asked: "))), "{told:?}");
        assert_eq!(since(&old, &old), vec![]);
    }
}
