//! Hands checkpoints to witnesses whom the administrator does not control.
//!
//! Whoever keeps a checkpoint can see later that nothing before it was rewritten. So one goes out by the timetable, whether or not the log has
//! grown. A time that was missed is caught up once, by the newest checkpoint: it holds all that was missed.

use std::path::Path;

use chrono::Duration;

use crate::clock::new_id;
use crate::domain::event::{Fact, Subject};
use crate::domain::secret::Secret;
use crate::evidence::canonical::hex;
use crate::evidence::note::Checkpoint;
use crate::notify::folder::Folder;
use crate::notify::mail::{Letter, Mailer};
use crate::notify::post::Post;
use crate::store::{event, timetable};

use super::commit::{by_system, commit};
use super::ctx::Ctx;
use super::error::ServiceError;
use super::{heartbeat, seal};

/// The shortest wait before what went wrong is tried again.
const AGAIN: Duration = Duration::minutes(1);

/// Where checkpoints go.
#[derive(Clone, Debug)]
enum Place {
    Folder(Folder),
    Webhook(Box<Post>),
    Mail(Box<Mailer>, Vec<String>),
}

/// Where checkpoints go, and how often.
#[derive(Clone, Debug)]
pub struct Witnesses {
    every: Duration,
    places: Vec<Place>,
}

impl Default for Witnesses {
    fn default() -> Self {
        Self { every: Duration::hours(1), places: vec![] }
    }
}

impl Witnesses {
    /// Every so often, to this folder and this address, where there are such.
    ///
    /// # Errors
    /// A sentence on what is wrong with the address.
    pub fn new(every: Duration, folder: Option<&Path>, webhook: Option<(&str, Option<Secret>)>) -> Result<Self, String> {
        let mut places: Vec<Place> = folder.into_iter().map(|path| Place::Folder(Folder::new(path))).collect();
        if let Some((url, secret)) = webhook {
            places.push(Place::Webhook(Box::new(Post::new(url, secret)?)));
        }
        Ok(Self { every, places })
    }

    /// And by mail to these addresses.
    pub fn and_mail(mut self, mailer: Mailer, addresses: &[String]) -> Self {
        self.places.push(Place::Mail(Box::new(mailer), addresses.to_vec()));
        self
    }
}

impl Place {
    fn word(&self) -> &'static str {
        match self {
            Self::Folder(_) => "folder",
            Self::Webhook(_) => "webhook",
            Self::Mail(..) => "mail",
        }
    }
}

/// Hands the newest checkpoint to every witness that is due. Returns how many received it.
///
/// # Errors
/// The first failure of the database or of sealing, after every other witness had its turn. A witness that does not answer is none: it is
/// told by the timetable, by an event, and tried again.
pub async fn due(ctx: &Ctx) -> Result<usize, ServiceError> {
    if ctx.sealer.is_none() {
        return Ok(0);
    }
    let (mut sent, mut first) = (0, None);
    for place in &ctx.witnesses.places {
        match one(ctx, place).await {
            Ok(did) => sent += usize::from(did),
            Err(error) => drop(first.get_or_insert(error)),
        }
    }
    first.map_or(Ok(sent), Err)
}

async fn one(ctx: &Ctx, place: &Place) -> Result<bool, ServiceError> {
    let (name, token) = (format!("witness-{}", place.word()), new_id());
    if !heartbeat::claim(ctx, &name, token, Duration::minutes(5)).await? {
        return Ok(false);
    }
    let note = seal::sign(ctx, true).await;
    let outcome = match &note {
        Ok(note) => hand(place, note.as_deref().unwrap_or_default()).await,
        Err(error) => Err(error.to_string()),
    };
    let (now, every) = (ctx.clock.now(), ctx.witnesses.every);
    // The longer it has gone wrong, the longer until the next try.
    let wait = match timetable::last_ok(&ctx.db, &name).await? {
        Some(last) => ((now - last - every) / 4).clamp(AGAIN, every.max(AGAIN)),
        None => (AGAIN * 5).min(every),
    };
    let news = match &outcome {
        Ok(_) => true,
        // Once for each new error: an outage must not fill the log.
        Err(error) => timetable::last_error(&ctx.db, &name).await?.as_ref() != Some(error),
    };
    if news {
        let (size, error) = (outcome.as_ref().ok().copied(), outcome.as_ref().err().cloned());
        let mut tx = ctx.db.begin().await?;
        event::append(&mut tx, &[by_system(Subject::default(), Fact::CheckpointWitnessed { witness: place.word().into(), size, error })]).await?;
        commit(tx).await?;
    }
    let detail = outcome.as_ref().map(|size| format!("a checkpoint of {size} events")).map_err(String::as_str);
    let next = now + if outcome.is_ok() { every } else { wait };
    timetable::done(&ctx.db, &name, token, now, next, detail.as_deref().map_err(|error| *error)).await?;
    if let Err(error) = &outcome {
        tracing::warn!(witness = place.word(), %error, "a checkpoint could not be handed to its witness; it is tried again");
    }
    Ok(outcome.is_ok())
}

/// Hands over one note; how many events it is about.
async fn hand(place: &Place, note: &str) -> Result<u64, String> {
    let text = note.split("\n\n").next().unwrap_or_default();
    let signed = Checkpoint::parse(&format!("{text}\n")).map_err(|error| error.to_string())?;
    match place {
        // Named so that they stand in order.
        Place::Folder(folder) => folder.leave(&format!("{}_{}.checkpoint", signed.at.format("%Y%m%dT%H%M%SZ"), signed.size), note).await?,
        Place::Webhook(post) => post.send(note).await?,
        Place::Mail(mailer, addresses) => {
            let subject = format!("Checkpoint of {}: {} events", signed.origin, signed.size);
            let text = format!(
                "The log {} had {} events at {}. The checkpoint in this mail is signed by the log's key.\n\n\
                 Keep it where those who run Countersign cannot change it. Later, countersign verify --checkpoint FILE says whether the log still goes on from it.\n",
                signed.origin,
                signed.size,
                signed.at.format("%Y-%m-%d %H:%M:%S UTC"),
            );
            let name = format!("{}_{}.checkpoint", signed.at.format("%Y%m%dT%H%M%SZ"), signed.size);
            let id = format!("{}.{}", signed.at.format("%Y%m%dT%H%M%SZ"), hex(&signed.root));
            let file = Some((name.as_str(), "application/octet-stream", note.as_bytes().to_vec()));
            mailer.send(Letter { to: addresses, subject: &subject, text, id, file }).await?;
        }
    }
    Ok(signed.size)
}
