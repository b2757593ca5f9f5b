//! The access matrix: every role, who may ask, who approves.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{Stream, StreamExt, stream};
use uuid::Uuid;

use crate::domain::condition::Condition;
use crate::domain::event::{Fact, Subject};
use crate::domain::policy::{AccessPolicy, Effect, Step};
use crate::evidence::csv::{Mode, record};
use crate::service::ctx::{By, Ctx};
use crate::service::error::ServiceError;
use crate::service::export;
use crate::service::rule_book::{self, RoleRules};
use crate::store::person;

use super::policy::{fits, holds};
use super::steps;

/// How many rows a page has.
const PAGE: usize = 200;
/// The header of the file.
const HEADER: [&str; 15] = [
    "application",
    "role_id",
    "role",
    "role_key",
    "risk",
    "provisioning_method",
    "owner",
    "policy",
    "policy_version",
    "for_whom",
    "who_may_ask",
    "steps",
    "without_asking",
    "durations",
    "policy_digest",
];

/// The matrix, or what a search left of it.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// What was searched for.
    pub q: String,
    /// A row for each role and policy that may govern it, by application and role.
    pub rows: Vec<MatrixRow>,
    /// How many rows there are in all.
    pub all: usize,
    /// Where the next page begins.
    pub next: Option<usize>,
}

/// A role under one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MatrixRow {
    /// The application's name.
    pub application: String,
    /// The role.
    pub role_id: Uuid,
    /// Its name.
    pub role: String,
    /// `application/role`.
    pub key: String,
    /// `low`, `elevated` or `critical`.
    pub risk: String,
    /// How access is given.
    pub method: String,
    /// Who owns it.
    pub owner: String,
    /// The policy; empty: none governs it, so nobody can ask.
    pub policy: String,
    /// Its id and version.
    pub version: i32,
    /// SHA-256 of that version.
    pub digest: String,
    /// For whom the policy is, when a role has several; each a sentence.
    pub for_whom: Vec<String>,
    /// Who may ask, rule by rule.
    pub who: Vec<String>,
    /// Who approves, step by step; empty: nobody is asked.
    pub steps: Vec<String>,
    /// What is decided without asking anybody: automatic rules, the emergency path.
    pub unasked: Vec<String>,
    /// For how long.
    pub durations: String,
}

/// The matrix, for auditors and administrators; only rows that hold every word of `q`. `after` rows are left out at its beginning.
///
/// # Errors
/// [`ServiceError::Missing`] for anybody else.
pub async fn matrix(ctx: &Ctx, by: &By, q: &str, after: usize) -> Result<Matrix, ServiceError> {
    let rows = rows(ctx, by, q).await?;
    let all = rows.len();
    let rows: Vec<MatrixRow> = rows.into_iter().skip(after).take(PAGE).collect();
    let next = Some(after.saturating_add(PAGE)).filter(|next| *next < all);
    Ok(Matrix { q: q.to_owned(), rows, all, next })
}

/// The same as a file, piece by piece; that it is taken is in the log before the first piece leaves.
///
/// # Errors
/// As [`matrix`]; [`ServiceError::Unavailable`] when too many exports are under way.
pub async fn csv(ctx: &Ctx, by: &By, q: &str, mode: Mode) -> Result<impl Stream<Item = Result<Vec<u8>, ServiceError>> + Send + use<>, ServiceError> {
    let rows = rows(ctx, by, q).await?;
    let filters = if q.is_empty() { "everything".to_owned() } else { format!("rows with {q}") };
    let fact = Fact::EvidenceExported { file: "matrix.csv".into(), mode: mode.word().into(), filters };
    let (seat, _) = export::taking(ctx, (by.actor(), by.channel), Subject::default(), fact).await?;
    let mut header = Vec::new();
    record(HEADER.map(Some), mode, &mut header);
    let rows = stream::unfold((rows.into_iter(), seat), move |(mut rows, seat)| async move {
        let mut piece = Vec::new();
        rows.by_ref().take(PAGE).for_each(|row| line(row, mode, &mut piece));
        (!piece.is_empty()).then_some((Ok(piece), (rows, seat)))
    });
    Ok(stream::iter([Ok(header)]).chain(rows))
}

fn line(row: MatrixRow, mode: Mode, out: &mut Vec<u8>) {
    let filled = |text: String| (!text.is_empty()).then_some(text);
    let version = (!row.policy.is_empty()).then(|| row.version.to_string());
    let cells: [Option<String>; 15] = [
        Some(row.application),
        Some(row.role_id.to_string()),
        Some(row.role),
        Some(row.key),
        Some(row.risk),
        Some(row.method),
        filled(row.owner),
        filled(row.policy),
        version,
        filled(row.for_whom.join("; ")),
        filled(row.who.join("; ")),
        filled(row.steps.join("; ")),
        filled(row.unasked.join(" ")),
        filled(row.durations),
        filled(row.digest),
    ];
    record(cells.iter().map(Option::as_deref), mode, out);
}

async fn rows(ctx: &Ctx, by: &By, q: &str) -> Result<Vec<MatrixRow>, ServiceError> {
    if !by.reads_everything() {
        return Err(ServiceError::Missing);
    }
    let book = rule_book::current(ctx).await?;
    let owners: BTreeSet<Uuid> = book.roles.iter().map(|rules| rules.role.owner.0).collect();
    let owners: Vec<Uuid> = owners.into_iter().collect();
    let owners: BTreeMap<Uuid, String> = person::by_ids(&ctx.db, &owners).await?.into_iter().map(|row| (row.id, row.display_name)).collect();
    let words: Vec<String> = q.to_lowercase().split_whitespace().take(8).map(str::to_owned).collect();
    let mut rows: Vec<MatrixRow> =
        book.roles.iter().flat_map(|rules| of_role(rules, owners.get(&rules.role.owner.0))).filter(|row| row.holds(&words)).collect();
    rows.sort_by(|a, b| (&a.application, &a.role, &a.key).cmp(&(&b.application, &b.role, &b.key)));
    Ok(rows)
}

impl MatrixRow {
    fn holds(&self, words: &[String]) -> bool {
        if words.is_empty() {
            return true;
        }
        let lists = [&self.for_whom, &self.who, &self.steps, &self.unasked].map(|list| list.join(" "));
        let texts = [&self.application, &self.role, &self.key, &self.risk, &self.owner, &self.policy, &self.durations];
        let all = texts.into_iter().chain(&lists).fold(String::new(), |all, text| all + " " + &text.to_lowercase());
        words.iter().all(|word| all.contains(word))
    }
}

fn of_role(rules: &RoleRules, owner: Option<&String>) -> Vec<MatrixRow> {
    let role = MatrixRow {
        application: rules.role.application_name.clone(),
        role_id: rules.role.id.0,
        role: rules.role.name.clone(),
        key: rules.key.clone(),
        risk: rules.role.risk.word().into(),
        method: "idp_group".into(),
        owner: owner.cloned().unwrap_or_default(),
        ..MatrixRow::default()
    };
    if rules.policies.is_empty() {
        return vec![role];
    }
    rules.policies.iter().map(|policy| of_policy(&role, policy)).collect()
}

fn of_policy(role: &MatrixRow, policy: &AccessPolicy) -> MatrixRow {
    let all_of = |conditions: &[Condition]| steps::capital(&conditions.iter().map(holds).collect::<Vec<_>>().join(", and "));
    let who = policy.profile.rules.iter().map(|rule| match (rule.effect, rule.conditions.is_empty()) {
        (Effect::Allow, true) => "Everybody".to_owned(),
        (Effect::Allow, false) => all_of(&rule.conditions),
        (Effect::Deny, _) => format!("Never: {}", all_of(&rule.conditions)),
    });
    MatrixRow {
        policy: policy.name.clone(),
        version: policy.version,
        digest: policy.digest.clone(),
        for_whom: policy.applies_to.iter().map(fits).collect(),
        who: who.collect(),
        steps: policy.procedure.iter().flat_map(|procedure| &procedure.steps).map(step).collect(),
        unasked: policy.unasked(),
        durations: steps::capital(&policy.duration_sentence()),
        ..role.clone()
    }
}

fn step(step: &Step) -> String {
    let slots = step.slots.iter().map(steps::counted_slot).collect::<Vec<_>>().join(" and ");
    let when = if step.when.is_always() { String::new() } else { format!(" ({})", step.when.sentence()) };
    format!("{}: {slots}{when}", step.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_by_all_of_its_words_and_no_others() {
        let row = MatrixRow { application: "Orders DB".into(), role: "Reader".into(), who: vec!["Department is Data".into()], ..MatrixRow::default() };
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(row.holds(&[]) && row.holds(&words("orders data")));
        assert!(!row.holds(&words("orders ledger")));
    }
}
