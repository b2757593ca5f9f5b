//! `countersign token`: API tokens, from the command line.

use std::process::ExitCode;

use chrono::Duration;
use clap::{Args, Subcommand};
use countersign::domain::event::{Actor, Channel};
use countersign::domain::id::TokenId;
use countersign::service::api_token::{self, NewToken};
use countersign::service::look::find;

use super::failure::Failure;
use super::wire::{self, Chosen};

/// Make, list and revoke API tokens.
#[derive(Args)]
pub struct Token {
    #[command(subcommand)]
    act: Act,
}

#[derive(Subcommand)]
enum Act {
    /// Make a token for a person; it is shown once.
    Create {
        /// Login name of the person whose rights it has.
        #[arg(long)]
        person: String,
        /// What it is for.
        #[arg(long)]
        name: String,
        /// What it may do, several times if need be: requests:read, exports:read, ...
        #[arg(long = "scope", required = true)]
        scopes: Vec<String>,
        /// Days until it expires, 1 to 366.
        #[arg(long, default_value_t = 90)]
        days: i64,
    },
    /// List every token, newest first.
    List,
    /// Revoke a token by its id.
    Revoke {
        /// The token's id, as `list` shows it.
        id: TokenId,
    },
}

impl Token {
    /// Does what was asked; each act is an event.
    pub async fn run(&self, chosen: &Chosen) -> Result<ExitCode, Failure> {
        wire::with(chosen, async |ctx| {
            match &self.act {
                Act::Create { person, name, scopes, days } => {
                    let person = find::person(ctx, person).await?.ok_or_else(|| Failure(format!("there is nobody with the login name {person}")))?;
                    let new = NewToken {
                        person,
                        name: name.clone(),
                        scopes: scopes.clone(),
                        expires_at: ctx.clock.now() + Duration::days((*days).clamp(-1, 100_000)),
                    };
                    let made = api_token::create(ctx, &Actor::System, Channel::Cli, &new).await?;
                    println!("{}", made.secret);
                    eprintln!("Token {} expires {}. It is not shown again.", made.id, made.expires_at.format("%Y-%m-%d %H:%M UTC"));
                }
                Act::List => {
                    let mut after = None;
                    loop {
                        let page = api_token::list(ctx, None, after, 100).await?;
                        for token in &page {
                            let state = if token.revoked_at.is_some() { "revoked" } else { "" };
                            println!(
                                "{}  {}  {}  [{}]  expires {}  {state}",
                                token.id,
                                token.person_name,
                                token.name,
                                token.scopes.join(" "),
                                token.expires_at.format("%Y-%m-%d")
                            );
                        }
                        after = page.last().map(|token| token.id);
                        if page.len() < 100 {
                            break;
                        }
                    }
                }
                Act::Revoke { id } => {
                    api_token::revoke(ctx, &Actor::System, true, Channel::Cli, *id).await?;
                    eprintln!("Token {id} is revoked.");
                }
            }
            Ok(ExitCode::SUCCESS)
        })
        .await
    }
}
