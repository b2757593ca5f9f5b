//! Take evidence away, streamed, with the taking on record.

use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::{Stream, stream};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use crate::domain::event::{Actor, Channel, Event, Fact, Subject};
use crate::domain::id::{ApplicationId, PersonId, RoleId};
use crate::domain::policy::FieldFault;
use crate::domain::refusal::Refusal;
use crate::evidence::csv::{Reshape, record};
use crate::store::error::StoreError;
use crate::store::event;
use crate::store::export::{self, Narrow, Population, Rows};

// What a file and a mode are, for the floor above.
pub use crate::evidence::columns::File;
pub use crate::evidence::csv::Mode;

use super::commit::commit;
use super::ctx::{By, Ctx};
use super::error::ServiceError;

/// Each export holds a connection for as long as its reader takes.
static SEATS: Semaphore = Semaphore::const_new(4);

/// Which file, of what.
#[derive(Clone, Copy, Debug)]
pub struct Taking {
    /// Which file.
    pub file: File,
    /// As it is, or safe for spreadsheets.
    pub mode: Mode,
    /// From this time on.
    pub from: Option<DateTime<Utc>>,
    /// Before this time. What is as of a moment is as of this one; of now when there is none.
    pub to: Option<DateTime<Utc>>,
    /// Only of this application.
    pub application: Option<ApplicationId>,
    /// Only of this role.
    pub role: Option<RoleId>,
    /// Only where this person is requester, beneficiary or actor.
    pub person: Option<PersonId>,
}

/// A file on its way.
#[derive(Debug)]
pub struct Download {
    /// A name for it, in plain ASCII, for example `requests_2026-01-01_2026-04-01_safe.csv`.
    pub name: String,
    /// Its media type.
    pub media: &'static str,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// A table, as it comes from the database.
    Table { first: Option<Vec<u8>>, rows: Rows, reshape: Reshape, _seat: SemaphorePermit<'static> },
    /// A bundle, as it is made.
    Pieces(mpsc::Receiver<Result<Vec<u8>, ServiceError>>),
}

impl Download {
    /// The next piece; `None` at the end. After an error the file is not whole.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, ServiceError>> {
        let (first, rows, reshape) = match &mut self.source {
            Source::Pieces(pieces) => return pieces.recv().await,
            Source::Table { first, rows, reshape, .. } => (first, rows, reshape),
        };
        if let Some(header) = first.take() {
            return Some(Ok(header));
        }
        let piece = match rows.next().await? {
            Ok(piece) => piece,
            Err(error) => return Some(Err(error.into())),
        };
        let mut out = Vec::new();
        reshape.push(&piece, &mut out);
        Some(Ok(out))
    }

    /// A bundle on its way.
    pub(super) fn of_pieces(name: String, pieces: mpsc::Receiver<Result<Vec<u8>, ServiceError>>) -> Self {
        Self { name, media: "application/zip", source: Source::Pieces(pieces) }
    }

    /// The pieces as a stream, for the body of an answer.
    pub fn into_stream(self) -> impl Stream<Item = Result<Vec<u8>, ServiceError>> + Send {
        stream::unfold(Some(self), |download| async {
            let mut download = download?;
            match download.next().await? {
                Ok(piece) => Some((Ok(piece), Some(download))),
                Err(error) => {
                    tracing::error!(%error, "an export broke off; its reader sees the connection break");
                    Some((Err(error), None))
                }
            }
        })
    }

    /// Writes the file to `path` and returns how many bytes it has. It appears there only when it is whole.
    ///
    /// # Errors
    /// [`ServiceError::Unavailable`] when the file cannot be written, or the rows break off.
    pub async fn save(mut self, path: &Path) -> Result<u64, ServiceError> {
        let unwritable = |error: std::io::Error| ServiceError::Unavailable(format!("{} cannot be written: {error}.", path.display()));
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let mut file = tokio::fs::File::create(&part).await.map_err(unwritable)?;
        let mut bytes = 0;
        while let Some(piece) = self.next().await {
            let written = match piece {
                Ok(piece) => file.write_all(&piece).await.map(|()| piece.len() as u64).map_err(unwritable),
                Err(error) => Err(error),
            };
            match written {
                Ok(count) => bytes += count,
                Err(error) => {
                    let _ = tokio::fs::remove_file(&part).await;
                    return Err(error);
                }
            }
        }
        file.sync_all().await.map_err(unwritable)?;
        tokio::fs::rename(&part, path).await.map_err(unwritable)?;
        Ok(bytes)
    }
}

/// Starts a download for `by`: auditors and administrators may take everything, owners what is about their role or application,
/// everybody what is about themselves. The taking is in the log before the first row leaves.
///
/// # Errors
/// [`ServiceError::Missing`] when something named is not there or not theirs to take; a fault when the period ends before it
/// begins; [`ServiceError::Unavailable`] when too many are under way.
pub async fn export(ctx: &Ctx, by: &By, taking: &Taking) -> Result<Download, ServiceError> {
    let reach = export::reach(&ctx.db, narrow(taking), Some(by.person.0)).await?;
    if taking.file.is_about_everything() && !by.reads_everything() {
        return Err(ServiceError::Missing);
    }
    let theirs = by.reads_everything() || reach.owned || taking.person == Some(by.person);
    if !theirs || !reach.known {
        return Err(ServiceError::Missing);
    }
    let rows = match population(taking.file) {
        Population::Events if !by.reads_everything() => Population::OwnEvents,
        rows => rows,
    };
    start(ctx, (by.actor(), by.channel), taking, rows).await
}

/// Starts a download for the operator at the command line, who may take everything.
///
/// # Errors
/// As [`export()`].
pub async fn export_by_operator(ctx: &Ctx, taking: &Taking) -> Result<Download, ServiceError> {
    known(ctx, taking).await?;
    start(ctx, (Actor::System, Channel::Cli), taking, population(taking.file)).await
}

/// Starts a download for a schedule, which an administrator or operator made.
///
/// # Errors
/// As [`export()`].
pub async fn export_by_schedule(ctx: &Ctx, taking: &Taking) -> Result<Download, ServiceError> {
    known(ctx, taking).await?;
    start(ctx, (Actor::System, Channel::System), taking, population(taking.file)).await
}

/// Refuses what names something that is not there.
///
/// # Errors
/// [`ServiceError::Missing`].
pub(super) async fn known(ctx: &Ctx, taking: &Taking) -> Result<(), ServiceError> {
    if export::reach(&ctx.db, narrow(taking), None).await?.known { Ok(()) } else { Err(ServiceError::Missing) }
}

/// A seat.
///
/// # Errors
/// [`ServiceError::Unavailable`] when too many are under way.
pub(super) fn seat() -> Result<SemaphorePermit<'static>, ServiceError> {
    SEATS.try_acquire().map_err(|_| ServiceError::Unavailable("Several exports are under way; try again when one has finished.".into()))
}

/// Takes a seat and writes that a file is taken (`fact`), before its first row leaves. The seat is kept for as long as the file is on
/// its way; beside it the event.
///
/// # Errors
/// [`ServiceError::Unavailable`] when too many are under way; when the database fails.
pub async fn taking(ctx: &Ctx, (actor, channel): (Actor, Channel), subject: Subject, fact: Fact) -> Result<(SemaphorePermit<'static>, i64), ServiceError> {
    let seat = seat()?;
    let mut tx = ctx.db.begin().await?;
    let written = event::append(&mut tx, &[Event { actor, channel, subject, fact }]).await?;
    commit(tx).await?;
    Ok((seat, written.last().copied().unwrap_or_default()))
}

async fn start(ctx: &Ctx, by: (Actor, Channel), taking: &Taking, rows: Population) -> Result<Download, ServiceError> {
    ends_after_it_begins(taking)?;
    let fact = Fact::EvidenceExported { file: taking.file.name(), mode: taking.mode.word().into(), filters: filters(taking) };
    let (seat, _) = self::taking(ctx, by, subject(taking), fact).await?;
    let rows = export::stream(&ctx.db, rows, narrow(taking)).await.map_err(|error: StoreError| ServiceError::from(error))?;
    Ok(of_rows(name(taking.file.word(), taking) + ".csv", taking, rows, seat))
}

/// A table on its way, in the columns of the file.
pub(super) fn of_rows(name: String, taking: &Taking, rows: Rows, seat: SemaphorePermit<'static>) -> Download {
    let source = Source::Table { first: Some(header(taking.file, taking.mode)), rows, reshape: Reshape::new(taking.mode), _seat: seat };
    Download { name, media: "text/csv; charset=utf-8; header=present", source }
}

/// Refuses a period that ends before it begins.
///
/// # Errors
/// A fault of `to`.
pub(super) fn ends_after_it_begins(taking: &Taking) -> Result<(), Refusal> {
    match (taking.from, taking.to) {
        (Some(from), Some(to)) if from >= to => {
            let sentence = "The period must end after it begins; its end is not part of it.".into();
            Err(Refusal::Faults(vec![FieldFault { field: "to".into(), sentence }]))
        }
        _ => Ok(()),
    }
}

/// What the event of a taking is searched by.
pub(super) fn subject(taking: &Taking) -> Subject {
    Subject { person: taking.person, role: taking.role, application: taking.application, ..Subject::default() }
}

/// The first line of a file.
pub(super) fn header(file: File, mode: Mode) -> Vec<u8> {
    let mut header = Vec::new();
    record(file.header().map(Some), mode, &mut header);
    header
}

/// The rows of a file.
pub(super) fn population(file: File) -> Population {
    match file {
        File::Requests => Population::Requests,
        File::Approvals => Population::Approvals,
        File::Grants => Population::Grants,
        File::Events => Population::Events,
        File::PolicyChanges => Population::PolicyChanges,
        File::Sod => Population::SeparationOfDuties,
        File::Leavers => Population::Leavers,
        File::Movers => Population::Movers,
        File::Provisioning => Population::Provisioning,
        File::Drift => Population::Drift,
        File::Access => Population::Access,
        File::Reviews => Population::Reviews,
        File::AdminActivity => Population::AdminActivity,
        File::ControlTotals => Population::ControlTotals,
    }
}

/// What the rows are narrowed to.
pub(super) fn narrow(taking: &Taking) -> Narrow {
    Narrow {
        from: taking.from,
        to: taking.to,
        application: taking.application.map(|id| id.0),
        role: taking.role.map(|id| id.0),
        person: taking.person.map(|id| id.0),
    }
}

/// The filters in words, for the log.
pub(super) fn filters(taking: &Taking) -> String {
    let stamp = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let parts: Vec<String> = [
        taking.from.map(|at| format!("from {}", stamp(at))),
        taking.to.map(|at| format!("to {}", stamp(at))),
        taking.application.map(|id| format!("application {id}")),
        taking.role.map(|id| format!("role {id}")),
        taking.person.map(|id| format!("person {id}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() { "everything".into() } else { parts.join(", ") }
}

/// `what`, the days of the period, and whether it is safe.
pub(super) fn name(what: &str, taking: &Taking) -> String {
    let mut name = what.to_owned();
    for at in [taking.from, taking.to].into_iter().flatten() {
        name.push_str(&at.format("_%Y-%m-%d").to_string());
    }
    if taking.mode == Mode::Safe {
        name.push_str("_safe");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_is_named_by_what_it_holds() {
        let mut taking = Taking { file: File::Grants, mode: Mode::Raw, from: None, to: None, application: None, role: None, person: None };
        assert_eq!((name("grants", &taking).as_str(), filters(&taking).as_str()), ("grants", "everything"));
        taking.mode = Mode::Safe;
        taking.from = Some(DateTime::UNIX_EPOCH);
        assert_eq!((name("grants", &taking).as_str(), filters(&taking).as_str()), ("grants_1970-01-01_safe", "from 1970-01-01T00:00:00Z"));
    }
}
