//! Reproducible samples.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::service::export::{File, Mode, Taking};
use crate::service::sample::{self, Drawing, Item, POPULATIONS, Sample};
use crate::web::api::body::Query;
use crate::web::api::caller::{ExportsRead, May};
use crate::web::api::exports::{in_earnest, stream};
use crate::web::api::fields::Fields;
use crate::web::api::problem::{Problem, ProblemBody};
use crate::web::error::Failure;
use crate::web::rate_limit::Caller;
use crate::web::state::App;

/// A sample.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sample)]
pub struct SampleOut {
    /// Of which file's rows.
    pub population: String,
    /// By what it was drawn.
    pub seed: String,
    /// How many were to be drawn.
    pub size: i64,
    /// How many items there are to draw from.
    pub count: i64,
    /// Which cells of the file the id of an item is made of, joined by `|`.
    pub id_of: Vec<String>,
    /// The items, in the order of their digests.
    pub items: Vec<ItemOut>,
}

/// An item of a sample.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SampleItem)]
pub struct ItemOut {
    /// Which it is, from 1.
    pub no: usize,
    /// Its id.
    pub id: String,
    /// SHA-256 of the seed, a zero byte and the id, hex.
    pub digest: String,
    /// Its rows of the file, a member for each column.
    #[schema(value_type = Vec<Object>)]
    pub rows: Vec<Value>,
}

impl From<Item> for ItemOut {
    fn from(item: Item) -> Self {
        let row = |row: Vec<(&'static str, String)>| {
            Value::Object(row.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect::<Map<_, _>>())
        };
        Self { no: item.no, id: item.id, digest: item.digest, rows: item.rows.into_iter().map(row).collect() }
    }
}

impl From<Sample> for SampleOut {
    fn from(sample: Sample) -> Self {
        let file = sample.drawing.taking.file;
        Self {
            population: file.word().into(),
            seed: sample.drawing.seed,
            size: sample.drawing.size,
            count: sample.count,
            id_of: sample::id_of(file).iter().map(|cell| (*cell).to_owned()).collect(),
            items: sample.items.into_iter().map(ItemOut::from).collect(),
        }
    }
}

/// What to draw.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by name; here for the API's document")]
pub struct What {
    /// `requests`, `approvals`, `grants`, `leavers`, `movers`, `provisioning`, `drift` or `policy_changes`.
    population: String,
    /// From this time on: RFC 3339, or a day.
    from: String,
    /// Before this time: RFC 3339, or a day.
    to: String,
    /// How many, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    size: i64,
    /// Any line of text, 1 to 100 characters. The same seed draws the same items.
    seed: String,
    /// Only of this application.
    application: Option<Uuid>,
    /// Only of this role.
    role: Option<Uuid>,
    /// Only where this person is requester, beneficiary or approver.
    person: Option<Uuid>,
}

fn drawing(mut query: Fields, with_mode: bool) -> Result<Drawing, Problem> {
    let words: Vec<&'static str> = POPULATIONS.iter().map(|file| file.word()).collect();
    let mode = if with_mode { query.word("mode", &[Mode::Raw.word(), Mode::Safe.word()]).and_then(Mode::parse).unwrap_or_default() } else { Mode::Raw };
    let missing: Vec<&str> = ["population", "from", "to", "size", "seed"].into_iter().filter(|field| !query.has(field)).collect();
    for field in missing {
        query.fault(field, "Must be given.");
    }
    let file = query.word("population", &words).and_then(File::parse).unwrap_or(File::Requests);
    let taking = Taking {
        file,
        mode,
        from: query.time("from"),
        to: query.time("to"),
        application: query.id("application").map(Into::into),
        role: query.id("role").map(Into::into),
        person: query.id("person").map(Into::into),
    };
    let (size, seed) = (query.number("size", 1, sample::MOST).unwrap_or_default(), query.text("seed").unwrap_or_default());
    query.done(Drawing { taking, seed, size })
}

/// Draw a sample
///
/// The items of a population whose digests come first: SHA-256 over the seed, a zero byte and the item's id, which is made of cells of the file (`docs/sampling.md`). The same seed, size, population and period always draw the same items. For auditors and administrators. The drawing is an event of the log.
#[utoipa::path(get, path = "/api/v1/sample", tag = "Evidence", params(What), security(("token" = ["exports:read"])),
    responses((status = 200, description = "The sample.", body = SampleOut), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json"), (status = 503, description = "Too much is under way.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn get(
    State(app): State<App>,
    caller: May<ExportsRead>,
    method: Method,
    headers: HeaderMap,
    Query(query): Query,
) -> Result<Json<SampleOut>, Problem> {
    in_earnest(&method, &headers)?;
    if !caller.by.reads_everything() {
        return Err(Failure::missing().into());
    }
    let drawing = drawing(query, false)?;
    app.limits.search.take(Caller::Person(caller.by.person), app.ctx.clock.now()).map_err(Failure::too_many)?;
    Ok(Json(sample::draw(&app.ctx, &caller.by, &drawing).await?.into()))
}

/// Download a sample
///
/// The rows of the items of a sample, in the columns of the file they are from and in the order they were drawn. For auditors and administrators. The download is an event of the log.
#[utoipa::path(get, path = "/api/v1/sample.csv", tag = "Evidence", params(What, ("mode" = Option<String>, Query, description = "`raw`, or `safe` for spreadsheets.")), security(("token" = ["exports:read"])),
    responses((status = 200, description = "The file.", body = String, content_type = "text/csv"), (status = "4XX", description = "A problem.", body = ProblemBody, content_type = "application/problem+json"), (status = 503, description = "Too much is under way.", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn file(State(app): State<App>, caller: May<ExportsRead>, method: Method, headers: HeaderMap, Query(query): Query) -> Result<Response, Problem> {
    in_earnest(&method, &headers)?;
    if !caller.by.reads_everything() {
        return Err(Failure::missing().into());
    }
    let drawing = drawing(query, true)?;
    app.limits.export.take(Caller::Person(caller.by.person), app.ctx.clock.now()).map_err(Failure::too_many)?;
    Ok(stream(sample::file(&app.ctx, &caller.by, &drawing).await?))
}
