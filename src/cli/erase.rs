//! `countersign erase` and `countersign hold`: personal data, erased or kept.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use countersign::domain::event::{Actor, Channel};
use countersign::domain::id::PersonId;
use countersign::service::ctx::Ctx;
use countersign::service::erase::{self, Held};
use uuid::Uuid;

use super::failure::Failure;
use super::wire::{self, Chosen};

/// Erase what identifies a person who has left, from the database and from the log, which stays provable. It cannot be undone.
#[derive(Args)]
pub struct Erase {
    /// Login name or id of the person.
    #[arg(long)]
    person: String,
    /// Why, for the log.
    #[arg(long)]
    reason: String,
}

/// Keep a person or a request from being erased.
#[derive(Args)]
pub struct Hold {
    #[command(subcommand)]
    act: Act,
}

#[derive(Subcommand)]
enum Act {
    /// Place a hold on a person with all their requests, or on a request with its people.
    Place {
        /// Login name or id of the person.
        #[arg(long, required_unless_present = "request", conflicts_with = "request")]
        person: Option<String>,
        /// Id of the request.
        #[arg(long)]
        request: Option<Uuid>,
        /// Why, for the log.
        #[arg(long)]
        reason: String,
    },
    /// Lift a hold by its id.
    Lift {
        /// The hold's id, as `list` shows it.
        id: Uuid,
        /// Why, for the log.
        #[arg(long)]
        reason: String,
    },
    /// List the holds in force.
    List,
}

const OPERATOR: (Actor, Channel) = (Actor::System, Channel::Cli);

impl Erase {
    /// Erases, or says why not.
    pub async fn run(&self, chosen: &Chosen) -> Result<ExitCode, Failure> {
        wire::with(chosen, async |ctx| {
            let person = person(ctx, &self.person).await?;
            let erased = erase::erase(ctx, OPERATOR, person, &self.reason).await?;
            eprintln!("Erased {person}: {} events lost a name or a text; their leaves stay. Backups from before still hold them.", erased.events);
            for kept in &erased.stays {
                eprintln!("Stays: {kept}.");
            }
            Ok(ExitCode::SUCCESS)
        })
        .await
    }
}

impl Hold {
    /// Does what was asked; each act is an event.
    pub async fn run(&self, chosen: &Chosen) -> Result<ExitCode, Failure> {
        wire::with(chosen, async |ctx| {
            match &self.act {
                Act::Place { person: Some(text), reason, .. } => {
                    let of = Held::Person(person(ctx, text).await?);
                    println!("{}", erase::hold(ctx, OPERATOR, of, reason).await?);
                }
                Act::Place { request, reason, .. } => {
                    let of = Held::Request(request.unwrap_or_default());
                    println!("{}", erase::hold(ctx, OPERATOR, of, reason).await?);
                }
                Act::Lift { id, reason } => {
                    erase::lift(ctx, OPERATOR, *id, reason).await?;
                    eprintln!("The hold {id} is lifted.");
                }
                Act::List => {
                    let mut after = None;
                    loop {
                        let page = erase::holds(ctx, after, 100).await?;
                        for hold in &page {
                            let of = hold.person_id.map(|id| format!("person {id}")).or(hold.request_id.map(|id| format!("request {id}"))).unwrap_or_default();
                            println!("{}  {of}  since {}  {}", hold.id, hold.placed_at.format("%Y-%m-%d"), hold.reason);
                        }
                        after = page.last().map(|hold| hold.id);
                        if page.len() < 100 {
                            break;
                        }
                    }
                }
            }
            Ok(ExitCode::SUCCESS)
        })
        .await
    }
}

async fn person(ctx: &Ctx, text: &str) -> Result<PersonId, Failure> {
    erase::find(ctx, text).await?.ok_or_else(|| Failure(format!("there is nobody, or not only one person, with the login name or id {text}")))
}
