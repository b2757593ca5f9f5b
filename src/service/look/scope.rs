//! What evidence is narrowed to: application, role, person.

use uuid::Uuid;

use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::store::look_names;
use crate::store::look_scope::{self, MeantRow};

use super::log::choices;
use super::shared::Choice;

/// How many of each a search shows.
const MEANT: i64 = 10;

/// What somebody chose and typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Only of this application.
    pub application: Option<Uuid>,
    /// Only of this role.
    pub role: Option<Uuid>,
    /// Only of this person.
    pub person: Option<Uuid>,
    /// A name of any of these; an id.
    pub q: String,
}

/// What it comes to, with what can be chosen.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// What is narrowed to. What was typed is empty once it is known who or what is meant.
    pub wanted: Wanted,
    /// The name of the person.
    pub person: Option<String>,
    /// The name of the role, with its application.
    pub role: Option<String>,
    /// The name of the application.
    pub application: Option<String>,
    /// Applications to choose from.
    pub applications: Vec<Choice>,
    /// Roles of the chosen application to choose from.
    pub roles: Vec<Choice>,
    /// What the text can mean, where that is more than one.
    pub meant: Vec<Meant>,
    /// More can be meant than is shown.
    pub more: bool,
    /// Nothing is called so.
    pub nobody: bool,
}

/// Something that a text can mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meant {
    /// `person`, `role` or `application`: the name of its field.
    pub what: String,
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What tells it from others of that name.
    pub beside: Option<String>,
}

impl Scope {
    /// Whether it is known of what: nothing was typed that means nothing, or several things.
    pub fn is_known(&self) -> bool {
        self.wanted.q.is_empty()
    }

    /// Of what, in words.
    pub fn words(&self) -> String {
        let person = self.person.as_ref().map(|name| format!("for {name}"));
        let of = self.role.as_ref().or(self.application.as_ref()).map(|name| format!("of {name}"));
        let words: Vec<String> = [of, person].into_iter().flatten().collect();
        if words.is_empty() { "of everything".into() } else { words.join(" ") }
    }
}

/// What `wanted` comes to, for who reads everything.
///
/// # Errors
/// [`ServiceError::Missing`] when something named is not there.
pub async fn scope(ctx: &Ctx, mut wanted: Wanted) -> Result<Scope, ServiceError> {
    let text = wanted.q.trim().to_lowercase();
    let (mut meant, mut nobody, mut more) = (Vec::new(), false, false);
    if !text.is_empty() {
        let found = look_scope::meant(&ctx.db, &text, MEANT + 1).await?;
        match found.as_slice() {
            [] => nobody = true,
            [only] => {
                choose(&mut wanted, only);
                wanted.q.clear();
            }
            _ => {
                more = found.len() as i64 > MEANT
                    && ["person", "role", "application"].iter().any(|what| found.iter().filter(|m| m.what == *what).count() as i64 > MEANT);
                meant = found
                    .into_iter()
                    .map(|row| Meant { what: row.what, id: row.id, name: row.name, beside: row.beside.filter(|text| !text.is_empty()) })
                    .collect();
            }
        }
    } else {
        wanted.q.clear();
    }
    let names = look_scope::names(&ctx.db, wanted.application, wanted.role, wanted.person).await?;
    let missing = wanted.application.is_some() && names.application.is_none()
        || wanted.role.is_some() && names.role.is_none()
        || wanted.person.is_some() && names.person.is_none();
    if missing {
        return Err(ServiceError::Missing);
    }
    let mut scope = Scope { person: names.person, role: names.role, application: names.application, meant, more, nobody, ..Scope::default() };
    match (wanted.application, names.role_application) {
        // Another application was chosen than the one whose role stood there.
        (Some(chosen), Some(of)) if chosen != of => {
            wanted.role = None;
            scope.role = None;
        }
        _ => {}
    }
    let of = wanted.application.or(names.role_application.filter(|_| wanted.role.is_some()));
    let (applications, roles) = tokio::try_join!(look_names::applications(&ctx.db, None), async {
        match of {
            Some(application) => look_names::roles(&ctx.db, application, None).await,
            None => Ok(Vec::new()),
        }
    })?;
    scope.applications = choices(applications);
    scope.roles = choices(roles);
    scope.wanted = wanted;
    Ok(scope)
}

fn choose(wanted: &mut Wanted, found: &MeantRow) {
    match found.what.as_str() {
        "person" => wanted.person = Some(found.id),
        "role" => (wanted.role, wanted.application) = (Some(found.id), None),
        _ => (wanted.application, wanted.role) = (Some(found.id), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_takes_the_place_of_what_was_chosen() {
        let found = |what: &str| MeantRow { what: what.into(), id: Uuid::from_u128(7), name: "x".into(), beside: None };
        let mut wanted = Wanted { application: Some(Uuid::from_u128(1)), role: Some(Uuid::from_u128(2)), ..Wanted::default() };
        choose(&mut wanted, &found("person"));
        assert_eq!((wanted.person, wanted.role), (Some(Uuid::from_u128(7)), Some(Uuid::from_u128(2))));
        choose(&mut wanted, &found("role"));
        assert_eq!((wanted.role, wanted.application), (Some(Uuid::from_u128(7)), None));
        choose(&mut wanted, &found("application"));
        assert_eq!((wanted.role, wanted.application), (None, Some(Uuid::from_u128(7))));
    }

    #[test]
    fn a_scope_reads_as_words() {
        let mut scope = Scope::default();
        assert_eq!(scope.words(), "of everything");
        scope.application = Some("Orders DB".into());
        scope.person = Some("Bo Lind".into());
        assert_eq!(scope.words(), "of Orders DB for Bo Lind");
        scope.role = Some("Orders DB Read-only".into());
        assert_eq!(scope.words(), "of Orders DB Read-only for Bo Lind");
    }
}
