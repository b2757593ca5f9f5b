//! Makes what a run sends, and hands it over.

use chrono::{DateTime, Days, NaiveTime, Utc};

use crate::domain::schedule::{BUNDLE, Place, Whose};
use crate::evidence::columns::File;
use crate::evidence::csv::Mode;
use crate::notify::mail::Letter;
use crate::notify::share::Share;
use crate::notify::spool::{Receipt, Spool, Spooled};
use crate::notify::upload::{Parcel, Uploads};
use crate::service::bundle::bundle_by_schedule;
use crate::service::ctx::Ctx;
use crate::service::error::ServiceError;
use crate::service::export::{self, Download, Taking, export_by_schedule};
use crate::store::schedule::{Outcome, RunRow, ScheduleRow};

use super::make::{none_of, place, taking, whose};
use super::places::Mails;

/// Why something was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It may go better another time.
    Again(String),
    /// It will not.
    Final(String),
}

impl From<ServiceError> for Trouble {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Unavailable(sentence) => Self::Again(sentence),
            ServiceError::Refused(refusal) => Self::Final(refusal.to_string()),
            ServiceError::Missing => Self::Final("What it is about is no longer there.".into()),
            ServiceError::Broken(error) => {
                tracing::error!(%error, "what a schedule sends could not be made");
                Self::Again("It could not be made; the server's own log says why.".into())
            }
        }
    }
}

/// Makes and hands over what `run` of the schedule `row` is to send.
///
/// # Errors
/// Why it was not sent.
pub async fn send(ctx: &Ctx, row: &ScheduleRow, run: &RunRow) -> Result<Outcome, Trouble> {
    let place = place(row);
    // The settings may have become narrower since it was made.
    ctx.places.check(&place).map_err(Trouble::Final)?;
    let parcel = Making { ctx, row, run, taking: of(ctx, row, run).await? };
    match place {
        Place::Folder(path) => match &ctx.places.share {
            Some(share) => parcel.to_folder(share, path).await,
            None => Err(closed()),
        },
        Place::Webhook(url) => match &ctx.places.uploads {
            Some(uploads) => parcel.to_webhook(uploads, url).await,
            None => Err(closed()),
        },
        Place::Mail(addresses) => match &ctx.places.mails {
            Some(mails) => parcel.to_mail(mails, &addresses).await,
            None => Err(closed()),
        },
    }
}

fn closed() -> Trouble {
    Trouble::Final("The settings no longer let schedules send there.".into())
}

/// What is taken.
async fn of(ctx: &Ctx, row: &ScheduleRow, run: &RunRow) -> Result<Taking, Trouble> {
    let whose_it_is = Whose::parse(&row.whose).unwrap_or(Whose::Organisation);
    let ids = match &row.whose_key {
        Some(key) => whose(ctx, whose_it_is, key).await?.ok_or_else(|| Trouble::Final(none_of(whose_it_is)))?,
        None => (row.application_id, row.role_id, row.person_id),
    };
    let file = if row.what == BUNDLE { Some(File::Requests) } else { File::parse(&row.what) };
    match (file, Mode::parse(&row.mode)) {
        (Some(file), Some(mode)) => Ok(taking(file, mode, (run.period_from, Some(run.period_to)), ids)),
        _ => Err(Trouble::Final(format!("There is no file {}.", row.what))),
    }
}

/// A run that is being sent.
struct Making<'a> {
    ctx: &'a Ctx,
    row: &'a ScheduleRow,
    run: &'a RunRow,
    taking: Taking,
}

impl Making<'_> {
    fn is_bundle(&self) -> bool {
        self.row.what == BUNDLE
    }

    /// What it is called where it goes: as the page calls it, and the end of the run's id, so that each has a name of its own.
    fn name(&self) -> String {
        let id = self.run.id.simple().to_string();
        let end = id.get(20..).unwrap_or_default();
        if self.is_bundle() {
            format!("{}_{end}.zip", export::name("countersign", &self.taking))
        } else {
            format!("{}_{end}.csv", export::name(self.taking.file.word(), &self.taking))
        }
    }

    /// The same file that the page would give.
    async fn download(&self) -> Result<Download, Trouble> {
        if self.is_bundle() {
            let (download, _) = bundle_by_schedule(self.ctx, (self.row.id, &self.row.name), &self.taking).await?;
            return Ok(download);
        }
        Ok(export_by_schedule(self.ctx, &self.taking).await?)
    }

    fn sent(&self, file: String, receipt: Receipt, to: String) -> Outcome {
        let bytes = i64::try_from(receipt.bytes).ok();
        Outcome { result: "sent", file: Some(file), bytes, sha256: Some(receipt.sha256), sent_to: to, error: None }
    }

    async fn to_folder(&self, share: &Share, path: String) -> Result<Outcome, Trouble> {
        let name = self.name();
        // A worker that died right after the file had its name has sent it.
        if let Some(receipt) = share.there(&path, &name).await.map_err(Trouble::Again)? {
            return Ok(self.sent(name, receipt, path));
        }
        let mut incoming = share.begin(&path, &name).await.map_err(Trouble::Again)?;
        let mut download = self.download().await?;
        while let Some(piece) = download.next().await {
            incoming.write(&piece?).await.map_err(Trouble::Again)?;
        }
        let receipt = incoming.leave().await.map_err(Trouble::Again)?;
        Ok(self.sent(name, receipt, path))
    }

    /// The file on disk, under no name; none when it is larger than `most`.
    async fn spooled(&self, most: u64) -> Result<Option<(Spooled, Receipt, &'static str)>, Trouble> {
        let mut spool = Spool::new(most).await.map_err(Trouble::Again)?;
        let mut download = self.download().await?;
        while let Some(piece) = download.next().await {
            if !spool.write(&piece?).await.map_err(Trouble::Again)? {
                return Ok(None);
            }
        }
        let (spooled, receipt) = spool.whole().await.map_err(Trouble::Again)?;
        Ok(Some((spooled, receipt, download.media)))
    }

    async fn to_webhook(&self, uploads: &Uploads, address: String) -> Result<Outcome, Trouble> {
        let url = uploads.allowed(&address).map_err(Trouble::Final)?;
        let Some((file, receipt, media)) = self.spooled(uploads.most).await? else {
            let most = uploads.most / (1024 * 1024);
            return Err(Trouble::Final(format!(
                "It is larger than {most} MiB, the most for a webhook (schedules.webhook_max_mib); send it to a folder, or narrow it."
            )));
        };
        let name = self.name();
        let parcel = Parcel { name: &name, media, id: self.run.id.to_string(), at: self.ctx.clock.now().timestamp() };
        uploads.post(url, &parcel, file, &receipt).await.map_err(Trouble::Again)?;
        Ok(self.sent(name, receipt, address))
    }

    async fn to_mail(&self, mails: &Mails, addresses: &[String]) -> Result<Outcome, Trouble> {
        let (name, to) = (self.name(), addresses.join(", "));
        let period = self.period();
        let subject = format!("Countersign: {}, {period}", self.row.name);
        let letter = Letter { to: addresses, subject: &subject, text: String::new(), id: self.run.id.to_string(), file: None };
        match self.spooled(mails.most).await? {
            Some((file, receipt, media)) => {
                let text = self.text(&period, &format!("It is in this mail as {name}, {} bytes, SHA-256\n{}", receipt.bytes, receipt.sha256));
                let content = file.all().await.map_err(Trouble::Again)?;
                mails.mailer.send(Letter { text, file: Some((&name, media, content)), ..letter }).await.map_err(Trouble::Again)?;
                Ok(self.sent(name, receipt, to))
            }
            None => {
                let most = mails.most / (1024 * 1024);
                let text = self.text(&period, &format!("It is larger than {most} MiB and so not in this mail. Sign in and take it here:\n{}", self.link()));
                mails.mailer.send(Letter { text, ..letter }).await.map_err(Trouble::Again)?;
                Ok(Outcome { result: "linked", file: Some(name), sent_to: to, ..Outcome::default() })
            }
        }
    }

    fn text(&self, period: &str, how: &str) -> String {
        let what = if self.is_bundle() { "the bundle of all evidence" } else { self.row.what.as_str() };
        let of = match (&self.row.whose_name, self.row.whose.as_str()) {
            (Some(name), "application" | "role") => format!(" of the {} {name}", self.row.whose),
            (_, "person") => " of one person".to_owned(),
            _ => String::new(),
        };
        let check = if self.is_bundle() { "\nTo check it, on any machine: countersign verify FILE\n" } else { "" };
        format!("The schedule “{}” sends {what}{of}, {period}.\n\n{how}\n{check}\nThis mail was sent by itself; nobody reads answers to it.\n", self.row.name)
    }

    /// The last day, where the period ends at midnight.
    fn last_day(&self) -> DateTime<Utc> {
        let to = self.run.period_to;
        if to.time() == NaiveTime::MIN && self.run.period_from.is_some() { to.checked_sub_days(Days::new(1)).unwrap_or(to) } else { to }
    }

    fn period(&self) -> String {
        match self.run.period_from {
            Some(from) => format!("{} to {} (UTC, both days included)", from.format("%Y-%m-%d"), self.last_day().format("%Y-%m-%d")),
            None => format!("as of {}", self.run.period_to.format("%Y-%m-%d %H:%M UTC")),
        }
    }

    /// Where the same is taken by hand.
    fn link(&self) -> String {
        let base = &self.ctx.places.public_url;
        let from = self.run.period_from.unwrap_or(self.run.period_to).format("%Y-%m-%d");
        let days = format!("from={from}&to={}", self.last_day().format("%Y-%m-%d"));
        let narrow =
            [("application", self.taking.application.map(|id| id.0)), ("role", self.taking.role.map(|id| id.0)), ("person", self.taking.person.map(|id| id.0))];
        let narrow: String = narrow.iter().filter_map(|(key, id)| id.map(|id| format!("&{key}={id}"))).collect();
        match (self.is_bundle(), self.taking.person) {
            (true, _) => format!("{base}/evidence/bundle.zip?{days}&mode={}{narrow}", self.row.mode),
            (false, None) => format!("{base}/log/export/{}?{days}&mode={}{narrow}", self.taking.file.name(), self.row.mode),
            (false, Some(_)) => format!("{base}/evidence?{days}"),
        }
    }
}
