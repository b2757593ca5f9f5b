//! A catalog with a policy for each way of asking.

use std::collections::BTreeMap;

use countersign::domain::id::{PersonId, RequestId, RoleId};
use countersign::domain::refusal::Refusal;
use countersign::domain::span::Seconds;
use countersign::service::ask::{AskFor, Asked, ask};
use countersign::service::error::ServiceError;

use crate::world::World;

/// The catalog.
pub const LAB: &str = r#"
default_policies = ["plain"]

[[application]]
key = "lab"
name = "Lab"
description = "Where asking is tried."
owner = "arjun.mehta"

[[application]]
key = "pay"
name = "Payments"
description = "Money leaves here."
owner = "grace.mbeki"

[[role]]
application = "lab"
key = "form"
name = "Form"
description = "Asks for a lot."
risk = "low"
group = "orders-db-readers"
policy = "form"

[[role]]
application = "lab"
key = "others"
name = "Others"
description = "May be asked for others."
risk = "low"
group = "orders-db-writers"
policy = "others"

[[role]]
application = "lab"
key = "at-once"
name = "At once"
description = "May be asked for others, and asks nobody."
risk = "low"
group = "warehouse-analysts"
policy = "others-at-once"

[[role]]
application = "lab"
key = "hot"
name = "Hot"
description = "Has an emergency path."
risk = "elevated"
group = "dba"
policy = "hot"

[[role]]
application = "lab"
key = "hot-too"
name = "Hot too"
description = "Has an emergency path."
risk = "elevated"
group = "prod-deploy"
policy = "hot"

[[role]]
application = "lab"
key = "books"
name = "Books"
description = "Only for Finance."
risk = "low"
group = "finance-ledger"
policy = "finance"

[[role]]
application = "pay"
key = "books-too"
name = "Books too"
description = "The same group, for everybody."
risk = "low"
group = "finance-ledger"
policy = "plain"

[[role]]
application = "pay"
key = "make"
name = "Make payments"
description = "One half."
risk = "elevated"
group = "support-console"
policy = "plain"

[[role]]
application = "pay"
key = "release"
name = "Release payments"
description = "The other half."
risk = "elevated"
group = "security"
policy = "plain"

[[role]]
application = "pay"
key = "read"
name = "Read payments"
description = "A half that may be held with an exception."
risk = "low"
group = "orders-db-writers"
policy = "plain"

[[profile]]
key = "everybody"
name = "Everybody"
[[profile.allow]]
all = []

[[profile]]
key = "finance"
name = "Finance"
[[profile.allow]]
all = ["department is Finance", "cost_code exists"]

[[procedure]]
key = "manager"
name = "Your manager"
[[procedure.step]]
name = "Manager"
time_limit = "2d"
slots = [{ approvals = 1, from = "manager", fallback = "application_owner" }]

[[procedure]]
key = "owner"
name = "The owner"
[[procedure.step]]
name = "Owner"
slots = [{ approvals = 1, from = "application_owner", fallback = "person:tomas.reyes" }]

[[procedure]]
key = "exception"
name = "Auditors"
[[procedure.step]]
name = "Exception"
slots = [{ approvals = 1, from = "person:wei.zhang" }]

[[policy]]
key = "plain"
name = "Plain"
profile = "everybody"
procedure = "manager"
durations = { recommended = "1h", minimum = "15m", maximum = "8h", choices = ["1h", "8h"] }
justification = { required = false }
future_start = false

[[policy]]
key = "form"
name = "Form"
profile = "everybody"
procedure = "manager"
durations = { recommended = "2h", minimum = "1h", maximum = "30d", choices = ["1h", "2h", "1d"], indefinite = true }
justification = { required = true, minimum = 10, pattern = ".*because.*", says = "Say because of what." }
ticket = { required = false, pattern = "LAB-[0-9]+", says = "A ticket is LAB- and a number." }
future_start = "7d"
extension = { maximum = "1d", last_percent = 25, most = 1, procedure = "owner" }
[[policy.field]]
key = "case"
label = "Case"
help = "As on the letter."
type = "text"
maximum = 12
required = true
[[policy.field]]
key = "region"
label = "Region"
type = "choice"
choices = ["north", "south"]
[[policy.field]]
key = "since"
label = "Since"
type = "date"
[[policy.field]]
key = "rows"
label = "Rows"
type = "number"
minimum = 1
maximum = 500
[[policy.field]]
key = "personal"
label = "Personal data"
type = "yes_no"

[[policy]]
key = "others"
name = "Others"
profile = "everybody"
procedure = "owner"
durations = { recommended = "1h", maximum = "8h" }
justification = { required = false }
on_behalf = { manager = true, owner = true, confirm = true }
extension = true

[[policy]]
key = "others-at-once"
name = "Others at once"
profile = "everybody"
auto_approve = true
durations = { recommended = "1h", maximum = "8h" }
justification = { required = false }
on_behalf = { manager = true, confirm = true }

[[policy]]
key = "hot"
name = "Hot"
profile = "everybody"
procedure = "manager"
durations = { recommended = "4h", maximum = "8h", choices = ["1h", "4h", "8h"] }
justification = { required = false }
emergency = { maximum = "1h", review_within = "1d" }

[[policy]]
key = "finance"
name = "Finance only"
profile = "finance"
procedure = "manager"
durations = { maximum = "8h" }
justification = { required = false }

[[separation]]
key = "four-eyes"
name = "Make and release"
a = ["pay/make"]
b = ["pay/release"]

[[separation]]
key = "look"
name = "Make and read"
a = ["pay/make"]
b = ["pay/read"]
procedure = "exception"
"#;

/// What stands in a good form.
pub fn good_form() -> BTreeMap<String, String> {
    [("case", "C-4711"), ("region", "north"), ("since", "2026-03-31"), ("rows", "12"), ("personal", "no")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

impl World {
    /// A fresh world with the lab's catalog.
    pub async fn lab() -> Self {
        let world = Self::empty().await;
        world.turn().await;
        world.apply(LAB).await;
        world
    }

    /// Applies the lab's catalog with something replaced.
    pub async fn lab_but(&self, from: &str, to: &str) {
        assert!(LAB.contains(from), "{from}");
        self.apply(&LAB.replace(from, to)).await;
    }

    /// An ask for an hour of a role of the lab.
    pub async fn wish(&self, application: &str, role: &str) -> AskFor {
        let role: RoleId = self.role(application, role).await;
        AskFor { duration: Some(Seconds(3_600)), ..AskFor::new(role) }
    }

    /// Asks.
    pub async fn asks(&self, who: &str, wish: AskFor) -> Result<Asked, ServiceError> {
        ask(&self.ctx, &self.by(who).await, wish).await
    }

    /// What a person was told last.
    pub async fn notices_of(&self, who: &str) -> Vec<String> {
        let id: PersonId = self.person(who).await;
        sqlx::query_scalar("select kind from countersign.notice where person_id = $1 order by id").bind(id.0).fetch_all(&self.root).await.unwrap()
    }

    /// Where a request stands.
    pub async fn stands(&self, request: RequestId) -> String {
        sqlx::query_scalar("select status from countersign.request where id = $1").bind(request.0).fetch_one(&self.root).await.unwrap()
    }
}

/// The refusal of an act that was refused.
#[track_caller]
pub fn refusal<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> Refusal {
    match outcome {
        Err(ServiceError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// The names of the fields of a fault.
#[track_caller]
pub fn fields<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> Vec<(String, String)> {
    match refusal(outcome) {
        Refusal::Faults(faults) => faults.into_iter().map(|fault| (fault.field, fault.sentence)).collect(),
        other => panic!("no fault of a field: {other:?}"),
    }
}
