//! `countersign key`, and the key's file.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use countersign::config::Settings;
use countersign::evidence::note::PrivateKey;
use countersign::service::seal::{self, Keys, Sealer};

use super::failure::Failure;
use super::wire::{self, Chosen};

/// The key that signs the log: show its public half, or change it.
#[derive(Args)]
pub struct Key {
    #[command(subcommand)]
    act: Act,
}

#[derive(Subcommand)]
enum Act {
    /// Print the key that verifies, to hand to auditors.
    Show,
    /// Make a new key. The log names it, the first checkpoint is signed with both, and then the old one is gone.
    Rotate {
        /// Why, for the log.
        #[arg(long)]
        reason: String,
    },
}

impl Key {
    /// Does what was asked; a change is an event.
    pub async fn run(&self, chosen: &Chosen) -> Result<ExitCode, Failure> {
        wire::with(chosen, async |ctx| {
            let Some(sealer) = &ctx.sealer else { return Err(Failure("there is no key yet; the first start of the server makes one".into())) };
            match &self.act {
                Act::Show => println!("{}", sealer.public()),
                Act::Rotate { reason } => {
                    let fresh = PrivateKey::new(sealer.public().name(), rand::random()).map_err(|error| Failure(error.to_string()))?;
                    println!("{}", seal::rotate(ctx, fresh, reason).await?);
                    eprintln!("This key signs from now on. Hand it to whoever verifies; who keeps the old one can go on from it.");
                }
            }
            Ok(ExitCode::SUCCESS)
        })
        .await
    }
}

/// The key's file: the configured one, else `signing.key` in the data folder.
pub fn file(settings: &Settings) -> Option<PathBuf> {
    let folder = &settings.data.folder;
    settings.evidence.signing_key_file.clone().or_else(|| (!folder.as_os_str().is_empty()).then(|| folder.join("signing.key")))
}

/// The sealer with the key in its file. With `make`, one is made where there is none.
///
/// # Errors
/// When the file is no key, or cannot be read or made.
pub fn sealer(settings: &Settings, make: bool) -> Result<Option<Sealer>, Failure> {
    let Some(path) = file(settings) else { return Ok(None) };
    let failed = |what: &str, error: &dyn std::fmt::Display| Failure(format!("the signing key {} {what}: {error}", path.display()));
    let keys = match std::fs::read_to_string(&path) {
        Ok(text) => Keys::parse(&text).map_err(|error| failed("cannot be used", &error))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && make => {
            let key = PrivateKey::new(&settings.evidence.log_name(&settings.server), rand::random()).map_err(|error| failed("cannot be made", &error))?;
            write(&path, &key.secret()).map_err(|error| failed("cannot be written", &error))?;
            Keys { key, previous: None }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("cannot be read", &error)),
    };
    Sealer::of_file(keys, &path).map(Some).map_err(|error| Failure(format!("the last checkpoint beside {} cannot be read: {error}", path.display())))
}

/// Writes a new file that only its owner reads; never over one that is there.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}
