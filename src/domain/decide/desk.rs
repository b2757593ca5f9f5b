//! How rules are combined, with a line for each.

use chrono::{DateTime, Utc};

use super::super::condition::{Checked, Condition, Looked};
use super::super::id::PolicyVersionId;
use super::super::person::PersonSnapshot;
use super::super::policy::{AccessPolicy, ApprovalProcedure, AutoRule, Effect, Step, Verdict, When};
use super::super::separation::SeparationRule;
use super::{Ask, Decision, Outcome, PlannedStep, Rules, TraceLine};

/// Why it is refused: the policy that governs, if one does, and the rule.
type Refused = (Option<PolicyVersionId>, String);

pub(super) struct Desk<'a> {
    person: &'a PersonSnapshot,
    trace: Vec<TraceLine>,
    conflicts: Vec<String>,
    steps: Vec<PlannedStep>,
}

impl<'a> Desk<'a> {
    pub(super) fn of(person: &'a PersonSnapshot) -> Self {
        Self { person, trace: Vec::new(), conflicts: Vec::new(), steps: Vec::new() }
    }

    pub(super) fn close(self, outcome: Outcome, policy: Option<PolicyVersionId>, deciding_rule: String) -> Decision {
        let steps = if outcome == Outcome::Refused { Vec::new() } else { self.steps };
        Decision { outcome, policy, deciding_rule, steps, conflicts: self.conflicts, trace: self.trace }
    }

    /// How `condition` comes out, and whether it is unknown: not met, because the directory says nothing of what it asks.
    fn look<'c>(&'c self, condition: &'c Condition) -> (Looked<'c>, bool) {
        let looked = condition.look(self.person);
        let silent = !looked.met && condition.rests_on_nothing(&looked.seen);
        (looked, silent)
    }

    fn line(&mut self, rule: String, checked: Checked, decisive: bool) {
        self.trace.push(TraceLine {
            rule,
            sentence: checked.sentence,
            attribute: Some(checked.attribute).filter(|a| !a.is_empty()),
            seen: checked.seen,
            source: self.person.directory.clone(),
            fetched_at: self.person.fetched_at,
            passed: checked.met,
            decisive,
        });
    }

    /// A line about something that is no condition.
    fn say(&mut self, rule: String, sentence: &str, passed: bool, decisive: bool) {
        self.line(rule, plain(sentence, passed), decisive);
    }

    pub(super) fn decide<'p>(&mut self, rules: Rules<'p>, ask: &Ask, now: DateTime<Utc>) -> Result<(&'p AccessPolicy, Outcome, String), Refused> {
        let person = self.person;
        let active = Checked {
            attribute: "active".into(),
            seen: vec![person.active.to_string()],
            ..plain("Your account must be active in the directory", person.active)
        };
        self.line("person is active".into(), active, !person.active);
        if !person.active {
            return Err((None, "person is active".into()));
        }
        if let Some(start) = ask.starts_at.filter(|start| *start < now) {
            let past = Checked { seen: vec![start.to_rfc3339()], ..plain("The start must not lie in the past", false) };
            self.line("start is not past".into(), past, true);
            return Err((None, "start is not past".into()));
        }
        let policy = self.governing(rules.policies)?;
        let id = Some(policy.id);
        let allowed = self.profile(policy).map_err(|rule| (id, rule))?;
        self.on_behalf(policy, ask).map_err(|rule| (id, rule))?;
        self.emergency(policy, ask).map_err(|rule| (id, rule))?;
        let separated = self.separation(rules.separation, ask).map_err(|rule| (id, rule))?;
        let auto = self.auto_rules(policy, ask).map_err(|rule| (id, rule))?;

        let extension = policy.extension.as_ref().filter(|_| ask.extension).and_then(|rules| rules.procedure.as_ref());
        let procedure = extension.or(policy.procedure.as_ref());
        if let Some(procedure) = procedure {
            let sure = self.steps(procedure, ask);
            if !sure && auto.is_none() {
                return Err((id, self.no_step(format!("procedure {} v{}", procedure.key, procedure.version))));
            }
        }
        for (rule, procedure) in &separated {
            if !self.steps(procedure, ask) {
                return Err((id, self.no_step(rule.clone())));
            }
        }
        if !separated.is_empty() {
            return Ok((policy, Outcome::NeedsApproval, allowed));
        }
        if ask.emergency {
            return Ok((policy, Outcome::AutoApproved, format!("policy {} v{}: emergency", policy.key, policy.version)));
        }
        if let Some(rule) = auto {
            self.steps.clear();
            return Ok((policy, Outcome::AutoApproved, rule));
        }
        match procedure {
            Some(_) => Ok((policy, Outcome::NeedsApproval, allowed)),
            None => Ok((policy, Outcome::AutoApproved, format!("{allowed}; policy {} v{} asks nobody", policy.key, policy.version))),
        }
    }

    fn governing<'p>(&mut self, policies: &[&'p AccessPolicy]) -> Result<&'p AccessPolicy, Refused> {
        for policy in policies {
            let name = format!("policy {} v{}: for whom", policy.key, policy.version);
            if policy.applies_to.is_empty() {
                self.say(name.clone(), "This policy is for everybody", true, false);
            }
            let (mut all, mut unknown, mut fails) = (true, false, false);
            for (i, condition) in policy.applies_to.iter().enumerate() {
                let (looked, silent) = self.look(condition);
                all &= looked.met;
                unknown |= silent;
                fails |= !looked.met && !silent;
                self.line(numbered(&name, i), looked.said(condition.sentence()), false);
            }
            if all {
                return Ok(policy);
            }
            if unknown && !fails {
                let rule = format!("{name}: cannot be told");
                self.say(rule.clone(), &format!("The directory must say what decides whether policy {} is for you", policy.name), false, true);
                return Err((None, rule));
            }
        }
        self.say("a policy is for you".into(), "A policy of this role must be for you", false, true);
        Err((None, "no policy is for this person".into()))
    }

    /// The allow rule that lets the person in.
    fn profile(&mut self, policy: &AccessPolicy) -> Result<String, String> {
        let profile = &policy.profile;
        let (mut allowed, mut denied): (Option<String>, Option<String>) = (None, None);
        let mut allows = Vec::new();
        for (r, rule) in profile.rules.iter().enumerate() {
            let name = format!("profile {} v{}: {} rule {}", profile.key, profile.version, if rule.effect == Effect::Allow { "allow" } else { "deny" }, r + 1);
            let mut applies = true;
            match rule.effect {
                Effect::Allow if rule.conditions.is_empty() => allows.push((name.clone(), plain("Everybody may ask", true))),
                Effect::Deny if rule.conditions.is_empty() => self.say(name.clone(), "Kept out: everybody", false, false),
                _ => {}
            }
            for (i, condition) in rule.conditions.iter().enumerate() {
                let (looked, silent) = self.look(condition);
                let name = numbered(&name, i);
                match rule.effect {
                    Effect::Allow => {
                        applies &= looked.met;
                        allows.push((name, looked.said(condition.sentence())));
                    }
                    Effect::Deny => {
                        let holds = looked.met || silent;
                        applies &= holds;
                        let mut sentence = condition.kept_out_sentence();
                        if silent {
                            sentence.push_str("; the directory does not say yours");
                        }
                        self.line(name, Checked { met: !holds, ..looked.said(sentence) }, false);
                    }
                }
            }
            if applies {
                let slot = if rule.effect == Effect::Allow { &mut allowed } else { &mut denied };
                slot.get_or_insert(name);
            }
        }
        let name = format!("profile {} v{}", profile.key, profile.version);
        if allows.is_empty() {
            self.say(name.clone(), "An allow rule must let somebody in, and there is none", false, denied.is_none());
        }
        for (name, checked) in allows {
            let decisive = allowed.is_none() && denied.is_none() && !checked.met;
            self.line(name, checked, decisive);
        }
        if let Some(rule) = denied {
            self.say(format!("{rule} applies"), "A deny rule applies; it beats every allow rule", false, true);
            return Err(rule);
        }
        allowed.ok_or_else(|| format!("{name}: no allow rule applies"))
    }

    fn on_behalf(&mut self, policy: &AccessPolicy, ask: &Ask) -> Result<(), String> {
        if ask.requester == ask.beneficiary {
            return Ok(());
        }
        let rule = format!("policy {} v{}: for somebody else", policy.key, policy.version);
        let may = &policy.on_behalf;
        let sentence = match (may.manager, may.owner) {
            (true, true) => "Who asks for somebody else must manage them, or own the role or its application",
            (true, false) => "Who asks for somebody else must manage them",
            (false, true) => "Who asks for somebody else must own the role or its application",
            (false, false) => "Everybody asks for themselves; this policy lets nobody ask for others",
        };
        let met = (may.manager && ask.standing.manages) || (may.owner && ask.standing.owns);
        self.say(rule.clone(), sentence, met, !met);
        if met { Ok(()) } else { Err(rule) }
    }

    fn emergency(&mut self, policy: &AccessPolicy, ask: &Ask) -> Result<(), String> {
        if !ask.emergency {
            return Ok(());
        }
        let rule = format!("policy {} v{}: emergency", policy.key, policy.version);
        for (sentence, met) in [
            ("The policy must have an emergency path", policy.emergency.is_some()),
            ("An emergency is asked for by oneself, and is no extension", ask.requester == ask.beneficiary && !ask.extension),
            ("No review of an earlier emergency may be owed", !ask.review_owed),
        ] {
            self.say(rule.clone(), sentence, met, !met);
            if !met {
                return Err(rule);
            }
        }
        Ok(())
    }

    /// The procedures that separation rules add, each with its rule.
    fn separation<'p>(&mut self, rules: &[&'p SeparationRule], ask: &Ask) -> Result<Vec<(String, &'p ApprovalProcedure)>, String> {
        let mut added = Vec::new();
        let mut blocked = None;
        for rule in rules {
            let name = format!("separation {} v{}", rule.key, rule.version);
            let against = !rule.conflicts(ask.role, &ask.held).is_empty();
            let sentence = match (&rule.procedure, ask.emergency) {
                (None, _) => format!("{}: one person must not hold both", rule.name),
                (Some(_), true) => format!("{}: holding both needs an approval, in an emergency too", rule.name),
                (Some(procedure), false) => format!("{}: holding both needs {}", rule.name, procedure.name),
            };
            let refuses = against && (rule.procedure.is_none() || ask.emergency);
            self.say(name.clone(), &sentence, !against, refuses);
            if against {
                self.conflicts.push(format!("{} v{}", rule.key, rule.version));
                match &rule.procedure {
                    Some(procedure) if !ask.emergency => added.push((name, procedure)),
                    _ => drop(blocked.get_or_insert(name)),
                }
            }
        }
        blocked.map_or(Ok(added), Err)
    }

    /// The auto rule that approves, if one does.
    fn auto_rules(&mut self, policy: &AccessPolicy, ask: &Ask) -> Result<Option<String>, String> {
        let (mut approves, mut denies) = (None, None);
        for rule in &policy.auto_rules {
            let name = format!("policy {} v{}: auto rule {}", policy.key, policy.version, rule.name);
            let applies = self.auto_rule(&name, rule, ask);
            if applies {
                let slot = if rule.verdict == Verdict::Approve { &mut approves } else { &mut denies };
                slot.get_or_insert(name);
            }
        }
        match denies {
            Some(rule) => {
                self.say(format!("{rule} applies"), "A rule of the policy denies this without asking anybody", false, true);
                Err(rule)
            }
            None => Ok(approves),
        }
    }

    fn auto_rule(&mut self, name: &str, rule: &AutoRule, ask: &Ask) -> bool {
        // To approve, everything must be known to hold; to deny, nothing may be known not to.
        let closed = rule.verdict == Verdict::Deny;
        let mut applies = true;
        for (i, condition) in rule.conditions.iter().enumerate() {
            let (looked, silent) = self.look(condition);
            let holds = looked.met || (closed && silent);
            applies &= holds;
            self.line(numbered(name, i), Checked { met: holds != closed, ..looked.said(condition.holds_sentence()) }, false);
        }
        let short = rule.at_most.is_none_or(|most| ask.duration.is_some_and(|d| d <= most));
        let long = rule.longer_than.is_none_or(|least| ask.duration.is_none_or(|d| d > least));
        let risk = rule.risks.is_empty() || rule.risks.contains(&ask.risk);
        applies &= short && long && risk;
        let what = if closed { "Denied" } else { "Approved" };
        self.say(name.into(), &format!("{what} without asking anybody: {}", rule.sentence()), applies != closed, false);
        applies
    }

    /// Adds the steps of `procedure` that are part of this; whether one of them surely is.
    fn steps(&mut self, procedure: &ApprovalProcedure, ask: &Ask) -> bool {
        let mut sure = false;
        for (step, position) in procedure.steps.iter().zip(1..) {
            let (applies, known) = self.step_applies(procedure, step, position, ask);
            sure |= applies && known;
            if applies {
                self.steps.push(PlannedStep { procedure: procedure.key.clone(), version: procedure.version, position });
            }
        }
        sure
    }

    /// Refuses by `rule`, of whose procedure no step surely applies.
    fn no_step(&mut self, rule: String) -> String {
        let rule = format!("{rule}: no step applies");
        self.say(rule.clone(), "A step of the procedure must be sure to apply, and none is", false, true);
        rule
    }

    /// Whether the step is part of this, and whether that is known: a condition on what the directory does not say leaves it open.
    fn step_applies(&mut self, procedure: &ApprovalProcedure, step: &Step, position: usize, ask: &Ask) -> (bool, bool) {
        let When { conditions, risks, longer_than } = &step.when;
        if step.when.is_always() {
            return (true, true);
        }
        let name = format!("procedure {} v{}: step {position}", procedure.key, procedure.version);
        let mut applies = risks.is_empty() || risks.contains(&ask.risk);
        applies &= longer_than.is_none_or(|least| ask.duration.is_none_or(|d| d > least));
        let mut known = true;
        for (i, condition) in conditions.iter().enumerate() {
            let (looked, silent) = self.look(condition);
            let holds = looked.met || silent;
            known &= !silent;
            applies &= holds;
            self.line(numbered(&name, i), Checked { met: holds, ..looked.said(condition.holds_sentence()) }, false);
        }
        let said = if applies { "is part of this" } else { "is left out" };
        self.say(name, &format!("Step {} {said}: {}", step.name, step.when.sentence()), true, false);
        (applies, known)
    }
}

/// "profile staff v2: allow rule 1, condition 2", for the second condition, whose index is 1.
fn numbered(rule: &str, index: usize) -> String {
    const WORDS: &str = ", condition ";
    let mut name = String::with_capacity(rule.len() + WORDS.len() + 3);
    name.push_str(rule);
    name.push_str(WORDS);
    name.push_str(&(index + 1).to_string());
    name
}

fn plain(sentence: &str, met: bool) -> Checked {
    Checked { met, sentence: sentence.into(), attribute: String::new(), seen: Vec::new() }
}
