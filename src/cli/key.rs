//! The key that signs the log, in its file.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use countersign::config::Settings;
use countersign::evidence::note::PrivateKey;
use countersign::service::seal::Sealer;

use super::failure::Failure;

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
    let key = match std::fs::read_to_string(&path) {
        Ok(text) => PrivateKey::parse(&text).map_err(|error| failed("cannot be used", &error))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && make => {
            let key = PrivateKey::new(&settings.evidence.log_name(&settings.server), rand::random()).map_err(|error| failed("cannot be made", &error))?;
            write(&path, &key.secret()).map_err(|error| failed("cannot be written", &error))?;
            key
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("cannot be read", &error)),
    };
    let kept = path.with_extension("checkpoint");
    Sealer::open(key, &kept).map(Some).map_err(|error| Failure(format!("the last checkpoint {} cannot be read: {error}", kept.display())))
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
