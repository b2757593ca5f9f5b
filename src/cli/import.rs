//! `countersign import`: groups that are there become roles.

use std::process::ExitCode;

use clap::Args;
use countersign::service::change::submit::Outcome;
use countersign::service::import::choose::{self, Wish};
use countersign::service::import::list;
use countersign::service::plan;

use super::failure::Failure;
use super::wire::{self, Chosen};

/// List the groups of a directory, show what some would become as roles, or make them roles.
#[derive(Args)]
pub struct Import {
    /// Key of the directory.
    #[arg(long, value_name = "KEY")]
    directory: String,
    /// A group, by its name or reference; several times for several. Without any the groups are listed.
    #[arg(long = "group", value_name = "NAME")]
    groups: Vec<String>,
    /// Key of the application that the roles go into.
    #[arg(long, value_name = "KEY", requires = "groups")]
    application: Option<String>,
    /// Name of the application, when it is new.
    #[arg(long, requires = "application")]
    name: Option<String>,
    /// Login of its owner, when it is new.
    #[arg(long, value_name = "LOGIN", requires = "application")]
    owner: Option<String>,
    /// Do it; where a second person is required, propose it. Else it is only shown.
    #[arg(long, requires = "application")]
    apply: bool,
}

impl Import {
    /// Exits with 0 when it was listed, shown or done, else with 1 and nothing changed.
    pub async fn run(&self, chosen: &Chosen) -> Result<ExitCode, Failure> {
        wire::with(chosen, async |ctx| {
            if !ctx.directories.contains_key(&self.directory) {
                let keys: Vec<&str> = ctx.directories.keys().map(String::as_str).collect();
                return Err(Failure(format!("there is no directory {}; connected are: {}", self.directory, keys.join(", "))));
            }
            let all = list::list_groups(ctx, &self.directory).await?;
            if self.groups.is_empty() {
                list::each(ctx, &self.directory, |row| {
                    let why = row.read_only.as_ref().map(|why| format!("  (cannot be chosen: {why})")).unwrap_or_default();
                    let gives = row.role.as_ref().map(|role| format!("  (gives {role})")).unwrap_or_default();
                    println!("{}  {}{why}{gives}", row.reference, plain(&row.name));
                    row.warnings.iter().for_each(|warning| println!("    {}", plain(warning)));
                })
                .await?;
                println!("{all} groups.");
                return Ok(ExitCode::SUCCESS);
            }
            let groups = match choose::named(ctx, &self.directory, &self.groups).await? {
                Ok(groups) => groups,
                Err(faults) => return Err(Failure(faults.join(" "))),
            };
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let wish = Wish { groups, application: text(&self.application), name: text(&self.name), owner: text(&self.owner) };
            let (preview, drafted) = choose::preview_by_operator(ctx, &self.directory, &wish).await?;
            for group in &preview.groups {
                println!("{}: {} members, {} more by {} groups inside", plain(&group.name), group.members, group.inherited, group.nested);
                group.warnings.iter().for_each(|warning| println!("    {}", plain(warning)));
                for member in &group.shown {
                    match &member.person {
                        Some((name, login, ..)) => println!("    {}  {}", plain(login), plain(name)),
                        None => println!("    {}  (not listed among the people)", plain(&member.reference)),
                    }
                }
                if group.members > group.shown.len() {
                    println!("    and {} more", group.members - group.shown.len());
                }
            }
            let Some(drafted) = drafted else { return Err(Failure(choose::refusal(&preview).to_string())) };
            println!("\n{}", drafted.added);
            if !self.apply {
                let plan = plan::run(&ctx.db, &ctx.directories, &drafted.whole).await?;
                println!("{plan}");
                println!("Nothing was changed; --apply does it.");
                return Ok(if plan.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
            let submitted = choose::import_by_operator(ctx, &self.directory, &drafted).await?;
            println!("{}", submitted.plan);
            match submitted.outcome {
                Outcome::Applied { event, .. } => println!("Applied; event {event} of the log."),
                Outcome::Proposed(change) => {
                    println!("Proposed as change {change}. Nothing is changed until an administrator approves it on the page /admin/changes/{change}.");
                }
                Outcome::Faulty | Outcome::Moved | Outcome::Nothing => println!("Nothing was changed."),
            }
            Ok(if submitted.outcome == Outcome::Faulty { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        })
        .await
    }
}

/// Text from a directory as a terminal may be shown it.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') { '\u{fffd}' } else { c }).collect()
}
