//! Writes versions of profiles, procedures, policies and separation rules.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::catalog::Risk;
use crate::domain::condition::Condition;
use crate::domain::id::{PersonId, RoleId};
use crate::domain::policy::{AccessPolicy, AccessProfile, ApprovalProcedure, ApproverSource, CustomField, Effect, FieldKind, Verdict};
use crate::domain::separation::SeparationRule;
use crate::domain::span::Seconds;

use super::catalog::Parts;
use super::db::Tx;
use super::error::StoreError;

/// Conditions as rows of one statement: those of rule (or step) 1, of 2, and so on from `first`.
fn condition_rows<'a>(rules: impl Iterator<Item = &'a [Condition]>, first: i32) -> Vec<Value> {
    rules
        .zip(first..)
        .flat_map(|(conditions, rule)| {
            conditions.iter().zip(1..).map(move |(condition, position): (&Condition, i32)| {
                json!({ "rule": rule, "position": position, "attribute": condition.attribute, "operator": condition.operator.word(), "values": condition.values, "called": condition.called })
            })
        })
        .collect()
}

fn risk_words(risks: &[Risk]) -> Vec<&'static str> {
    risks.iter().map(|risk| risk.word()).collect()
}

/// A new version of a profile, with all its parts; what it is a version of is made if it is not there, and restored if it was retired.
///
/// # Errors
/// When the database refuses a row.
pub(super) async fn profile(tx: &mut Tx, id: Uuid, version_id: Uuid, body: &AccessProfile, digest: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("insert into access_profile (id, key) values ($1, $2) on conflict (id) do update set retired_at = null")
        .bind(id)
        .bind(&body.key)
        .execute(&mut **tx)
        .await?;
    sqlx::query("insert into access_profile_version (id, profile_id, version, name, digest, created_at) values ($1, $2, $3, $4, $5, $6)")
        .bind(version_id)
        .bind(id)
        .bind(body.version)
        .bind(&body.name)
        .bind(digest)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    let effects: Vec<&str> = body.rules.iter().map(|rule| if rule.effect == Effect::Allow { "allow" } else { "deny" }).collect();
    sqlx::query(
        "insert into access_profile_rule (profile_version_id, position, effect)
         select $1, r.position, r.effect from unnest($2::text[]) with ordinality as r(effect, position)",
    )
    .bind(version_id)
    .bind(effects)
    .execute(&mut **tx)
    .await?;
    let conditions = condition_rows(body.rules.iter().map(|rule| rule.conditions.as_slice()), 1);
    sqlx::query(
        "insert into access_profile_condition (profile_version_id, rule, position, attribute, operator, \"values\", called)
         select $1, c.rule, c.position, c.attribute, c.operator, c.\"values\", c.called
         from jsonb_to_recordset($2) as c(rule int, position int, attribute text, operator text, \"values\" text[], called text[])",
    )
    .bind(version_id)
    .bind(Json(conditions))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// A new version of a procedure, with all its parts; what it is a version of is made if it is not there, and restored if it was retired.
///
/// # Errors
/// When the database refuses a row.
pub(super) async fn procedure(tx: &mut Tx, id: Uuid, version_id: Uuid, body: &ApprovalProcedure, digest: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("insert into approval_procedure (id, key) values ($1, $2) on conflict (id) do update set retired_at = null")
        .bind(id)
        .bind(&body.key)
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "insert into approval_procedure_version (id, procedure_id, version, name, distinct_people, reassign, digest, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(version_id)
    .bind(id)
    .bind(body.version)
    .bind(&body.name)
    .bind(body.distinct_people)
    .bind(body.reassign)
    .bind(digest)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    let (mut steps, mut slots, mut sources) = (Vec::new(), Vec::new(), Vec::new());
    for (step, number) in body.steps.iter().zip(1i32..) {
        steps.push(json!({
            "position": number, "name": step.name, "risks": risk_words(&step.when.risks), "longer_than_s": step.when.longer_than,
            "conditional": !step.when.is_always(), "time_limit_s": step.time_limit, "remind_every_s": step.remind_every,
            "escalates": step.escalation.is_some(), "escalation_limit_s": step.escalation.as_ref().and_then(|to| to.time_limit),
        }));
        // Slot 0 is whom the step escalates to.
        let to = step.escalation.iter().map(|to| (0, to.sources.as_slice()));
        for (slot, asked) in to.chain((1i32..).zip(step.slots.iter().map(|slot| slot.sources.as_slice()))) {
            for (source, position) in asked.iter().zip(1i32..) {
                let (value, name) = source_columns(source);
                sources.push(json!({
                    "step": number, "slot": slot, "position": position, "source": source.word(), "source_value": value, "source_name": name,
                }));
            }
        }
        slots.extend(step.slots.iter().zip(1i32..).map(|(slot, position)| json!({ "step": number, "position": position, "approvals": slot.approvals })));
    }
    sqlx::query(
        "insert into approval_procedure_step (procedure_version_id, position, name, risks, longer_than_s, conditional, time_limit_s, remind_every_s,
           escalates, escalation_limit_s)
         select $1, s.position, s.name, s.risks, s.longer_than_s, s.conditional, s.time_limit_s, s.remind_every_s, s.escalates, s.escalation_limit_s
         from jsonb_to_recordset($2) as s(position int, name text, risks text[], longer_than_s bigint, conditional boolean, time_limit_s bigint,
           remind_every_s bigint, escalates boolean, escalation_limit_s bigint)",
    )
    .bind(version_id)
    .bind(Json(steps))
    .execute(&mut **tx)
    .await?;
    let conditions = condition_rows(body.steps.iter().map(|step| step.when.conditions.as_slice()), 1);
    sqlx::query(
        "insert into approval_procedure_condition (procedure_version_id, step, position, attribute, operator, \"values\", called)
         select $1, c.rule, c.position, c.attribute, c.operator, c.\"values\", c.called
         from jsonb_to_recordset($2) as c(rule int, position int, attribute text, operator text, \"values\" text[], called text[])",
    )
    .bind(version_id)
    .bind(Json(conditions))
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "insert into approval_procedure_slot (procedure_version_id, step, position, approvals)
         select $1, s.step, s.position, s.approvals from jsonb_to_recordset($2) as s(step int, position int, approvals int)",
    )
    .bind(version_id)
    .bind(Json(slots))
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "insert into approval_procedure_source (procedure_version_id, step, slot, position, source, source_value, source_name)
         select $1, s.step, s.slot, s.position, s.source, s.source_value, s.source_name
         from jsonb_to_recordset($2) as s(step int, slot int, position int, source text, source_value text, source_name text)",
    )
    .bind(version_id)
    .bind(Json(sources))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Value and name of a source, as the table keeps them.
fn source_columns(source: &ApproverSource) -> (Option<String>, Option<String>) {
    match source {
        ApproverSource::Person { id, name } => (Some(id.to_string()), Some(name.clone())),
        ApproverSource::Group { reference, name } => (Some(reference.clone()), Some(name.clone())),
        _ => (None, None),
    }
}

/// A new version of a policy, with all its parts; what it is a version of is made if it is not there, and restored if it was retired.
///
/// # Errors
/// When the database refuses a row.
pub(super) async fn policy(tx: &mut Tx, id: Uuid, parts: Parts, body: &AccessPolicy, by: Option<PersonId>, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("insert into access_policy (id, key) values ($1, $2) on conflict (id) do update set retired_at = null")
        .bind(id)
        .bind(&body.key)
        .execute(&mut **tx)
        .await?;
    let whole = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let seconds = |duration: Option<Seconds>| duration.map(|duration| duration.0);
    let limits = &body.durations;
    let choices: Vec<i64> = limits.choices.iter().map(|choice| choice.0).collect();
    let (justification, ticket, extension, emergency) = (&body.justification, &body.ticket, body.extension.as_ref(), body.emergency.as_ref());
    sqlx::query(
        "insert into access_policy_version (id, policy_id, version, name, profile_version_id, procedure_version_id, recommended_s, minimum_s, maximum_s, choices_s,
           indefinite, justification_required, justification_minimum, justification_pattern, justification_says,
           ticket_required, ticket_minimum, ticket_pattern, ticket_says, future_start_s,
           extension, extension_maximum_s, extension_last_percent, extension_most, extension_procedure_version_id,
           behalf_manager, behalf_owner, behalf_confirm, emergency_maximum_s, emergency_review_s, comment_to_deny, eligibility_grace_s, digest, created_at, created_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30,
           $31, $32, $33, $34, $35)",
    )
    .bind(body.id.0)
    .bind(id)
    .bind(body.version)
    .bind(&body.name)
    .bind(parts.profile)
    .bind(parts.procedure)
    .bind(seconds(limits.recommended))
    .bind(limits.minimum.0)
    .bind(limits.maximum.0)
    .bind(choices)
    .bind(limits.indefinite)
    .bind(justification.required)
    .bind(whole(justification.minimum))
    .bind(justification.pattern.as_ref().map(|pattern| &pattern.expression))
    .bind(justification.pattern.as_ref().map(|pattern| &pattern.says))
    .bind(ticket.required)
    .bind(whole(ticket.minimum))
    .bind(ticket.pattern.as_ref().map(|pattern| &pattern.expression))
    .bind(ticket.pattern.as_ref().map(|pattern| &pattern.says))
    .bind(seconds(body.future_start))
    .bind(extension.is_some())
    .bind(extension.and_then(|rules| seconds(rules.maximum)))
    .bind(extension.map_or(100, |rules| whole(rules.last_percent)))
    .bind(extension.and_then(|rules| rules.most).map(whole))
    .bind(parts.extension)
    .bind(body.on_behalf.manager)
    .bind(body.on_behalf.owner)
    .bind(body.on_behalf.confirm)
    .bind(emergency.map(|path| path.maximum.0))
    .bind(emergency.map(|path| path.review_within.0))
    .bind(body.comment_to_deny)
    .bind(seconds(body.eligibility_lost.grace()))
    .bind(&body.digest)
    .bind(now)
    .bind(by.map(|person| person.0))
    .execute(&mut **tx)
    .await?;
    // Rule 0 says for whom it is; the others are those of its auto rules.
    let conditions = condition_rows(std::iter::once(body.applies_to.as_slice()).chain(body.auto_rules.iter().map(|rule| rule.conditions.as_slice())), 0);
    sqlx::query(
        "insert into access_policy_condition (policy_version_id, rule, position, attribute, operator, \"values\", called)
         select $1, c.rule, c.position, c.attribute, c.operator, c.\"values\", c.called
         from jsonb_to_recordset($2) as c(rule int, position int, attribute text, operator text, \"values\" text[], called text[])",
    )
    .bind(body.id.0)
    .bind(Json(conditions))
    .execute(&mut **tx)
    .await?;
    let autos: Vec<Value> = body
        .auto_rules
        .iter()
        .zip(1i32..)
        .map(|(rule, position)| {
            let verdict = if rule.verdict == Verdict::Approve { "approve" } else { "deny" };
            let risks = risk_words(&rule.risks);
            json!({ "position": position, "name": rule.name, "verdict": verdict, "risks": risks, "at_most_s": rule.at_most, "longer_than_s": rule.longer_than })
        })
        .collect();
    if !autos.is_empty() {
        sqlx::query(
            "insert into access_policy_rule (policy_version_id, position, name, verdict, risks, at_most_s, longer_than_s)
             select $1, r.position, r.name, r.verdict, r.risks, r.at_most_s, r.longer_than_s
             from jsonb_to_recordset($2) as r(position int, name text, verdict text, risks text[], at_most_s bigint, longer_than_s bigint)",
        )
        .bind(body.id.0)
        .bind(Json(autos))
        .execute(&mut **tx)
        .await?;
    }
    let fields: Vec<Value> = body.fields.iter().zip(1i32..).map(|(field, position)| field_row(field, position)).collect();
    if !fields.is_empty() {
        sqlx::query(
            "insert into access_policy_field (policy_version_id, position, key, label, help, required, type, choices, minimum, maximum)
             select $1, f.position, f.key, f.label, f.help, f.required, f.type, f.choices, f.minimum, f.maximum
             from jsonb_to_recordset($2) as f(position int, key text, label text, help text, required boolean, type text, choices text[], minimum bigint, maximum bigint)",
        )
        .bind(body.id.0)
        .bind(Json(fields))
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

fn field_row(field: &CustomField, position: i32) -> Value {
    let (choices, minimum, maximum) = match &field.kind {
        FieldKind::Text { maximum } => (&[][..], None, Some(i64::from(*maximum))),
        FieldKind::Choice { choices } => (choices.as_slice(), None, None),
        FieldKind::Number { minimum, maximum } => (&[][..], *minimum, *maximum),
        FieldKind::Date | FieldKind::YesNo => (&[][..], None, None),
    };
    json!({
        "position": position, "key": field.key, "label": field.label, "help": field.help, "required": field.required, "type": field.kind.word(),
        "choices": choices, "minimum": minimum, "maximum": maximum,
    })
}

/// A new version of a separation rule, with all its parts; what it is a version of is made if it is not there, and restored if it was retired.
///
/// # Errors
/// When the database refuses a row.
pub(super) async fn separation(tx: &mut Tx, id: Uuid, procedure_version: Option<Uuid>, body: &SeparationRule, now: DateTime<Utc>) -> Result<(), StoreError> {
    sqlx::query("insert into separation_rule (id, key) values ($1, $2) on conflict (id) do update set retired_at = null")
        .bind(id)
        .bind(&body.key)
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "insert into separation_rule_version (id, rule_id, version, name, procedure_version_id, digest, created_at) values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(body.id)
    .bind(id)
    .bind(body.version)
    .bind(&body.name)
    .bind(procedure_version)
    .bind(&body.digest)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    let ids = |side: &[RoleId]| side.iter().map(|role| role.0).collect::<Vec<Uuid>>();
    sqlx::query(
        "insert into separation_rule_role (rule_version_id, side, role_id)
         select $1::uuid, 'a', a from unnest($2::uuid[]) a union all select $1::uuid, 'b', b from unnest($3::uuid[]) b",
    )
    .bind(body.id)
    .bind(ids(&body.a))
    .bind(ids(&body.b))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
