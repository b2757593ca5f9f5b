//! Verify: checkpoint, key, how to, and a check.

use std::path::Path;

use askama::Template;
use axum::extract::{Multipart, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::io::AsyncWriteExt;

use crate::service::look::verify::{self, Files, Verify};
use crate::web::error::{self, Failure};
use crate::web::flash::page_of;
use crate::web::form::{failed, slowly};
use crate::web::guard::Auditor;
use crate::web::state::App;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The largest upload that is checked here, in bytes; more is for the command line.
pub const LARGEST: usize = 256 << 20;
/// The most files of an upload.
const MOST: usize = 40;

/// The sealed log, and a check.
#[derive(Template)]
#[template(path = "pages/verify.html")]
pub struct VerifyPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub verify: Verify,
}

/// `GET /verify`
pub async fn get(State(app): State<App>, viewer: Auditor) -> Result<Response, Response> {
    let verify = verify::verify(&app.ctx).await.map_err(failed)?;
    Ok(page_of(&VerifyPage { frame: error::frame(&app, Some(&viewer.0), "verify"), verify }))
}

/// `POST /verify`: checks a bundle, or files of one or of an event list.
pub async fn post(State(app): State<App>, viewer: Auditor, form: Multipart) -> Result<Response, Response> {
    slowly(&app, &app.limits.export, &viewer.by())?;
    let folder = tempfile::tempdir().map_err(|error| failed(unkept(&error)))?;
    let files = received(form, folder.path()).await.map_err(failed)?;
    let checked = Some(verify::check(&app.ctx, files).await.map_err(failed)?);
    let verify = Verify { checked, ..verify::verify(&app.ctx).await.map_err(failed)? };
    Ok(page_of(&VerifyPage { frame: error::frame(&app, Some(&viewer.0), "verify"), verify }))
}

/// Puts what was sent into files in `folder`, piece by piece: it may be larger than what the server should hold.
async fn received(mut form: Multipart, folder: &Path) -> Result<Files, Failure> {
    let broken = |error: axum::extract::multipart::MultipartError| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::of_status(StatusCode::PAYLOAD_TOO_LARGE),
        _ => Failure::bad_input("What the form sent cannot be read, or broke off; choose the files again."),
    };
    let (mut names, mut kept) = (Vec::new(), String::new());
    while let Some(mut field) = form.next_field().await.map_err(broken)? {
        let name = field.file_name().unwrap_or_default().to_owned();
        let is_kept = field.name() == Some("kept");
        if name.is_empty() {
            // Nothing was chosen there.
            continue;
        }
        if !is_kept && !fits(&name) {
            return Err(Failure::bad_input("Only a bundle, and files as they are in one, can be checked; choose them by the names that they had."));
        }
        if names.len() >= MOST || names.contains(&name) {
            return Err(Failure::bad_input("These are too many files, or one of them twice; choose those of one bundle."));
        }
        let path = folder.join(if is_kept { "-kept" } else { name.as_str() });
        let mut file = tokio::fs::OpenOptions::new().write(true).create_new(true).open(&path).await.map_err(|error| unkept(&error))?;
        while let Some(piece) = field.chunk().await.map_err(broken)? {
            file.write_all(&piece).await.map_err(|error| unkept(&error))?;
        }
        file.flush().await.map_err(|error| unkept(&error))?;
        if is_kept {
            let read = tokio::fs::read(&path).await.map_err(|error| unkept(&error))?;
            kept = String::from_utf8(read).map_err(|_| Failure::bad_input("The checkpoint that you kept is no text."))?;
            tokio::fs::remove_file(&path).await.map_err(|error| unkept(&error))?;
        } else {
            names.push(name);
        }
    }
    Ok(Files { folder: folder.to_owned(), names, kept })
}

/// Whether a file of evidence may have this name; it leads nowhere else.
fn fits(name: &str) -> bool {
    let plain =
        name.len() <= 100 && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "._- ()".contains(letter)) && !name.starts_with(['.', '-', ' ']);
    plain
        && (["checkpoint", "key", "manifest.note", "VERIFY.md"].contains(&name)
            || [".zip", ".csv", ".json", ".jsonl"].iter().any(|ending| name.ends_with(ending)))
}

fn unkept(error: &std::io::Error) -> Failure {
    tracing::error!(%error, "what was sent to be checked cannot be kept");
    Failure::unavailable("What you sent cannot be kept here to be checked. Check it by the command line, and tell an administrator.")
}

/// `GET /verify/checkpoint`: the newest, to keep elsewhere.
pub async fn checkpoint(State(app): State<App>, _viewer: Auditor) -> Result<Response, Response> {
    let verify = verify::verify(&app.ctx).await.map_err(failed)?;
    text("checkpoint", verify.checkpoint.map(|signed| signed.note))
}

/// `GET /verify/key`: the key that verifies.
pub async fn key(State(app): State<App>, _viewer: Auditor) -> Result<Response, Response> {
    text("key", verify::verify(&app.ctx).await.map_err(failed)?.key)
}

fn text(name: &str, text: Option<String>) -> Result<Response, Response> {
    let text = text.ok_or_else(|| failed(Failure::missing()))?;
    let head = [(header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""))];
    Ok((head, text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::verify::{Events, Good, Signed};
    use crate::web::proof::*;

    fn sample() -> VerifyPage {
        VerifyPage {
            frame: frame(Says::Plain, As::Auditor, "verify"),
            verify: Verify {
                key: Some("access.example.com+1f2e3d4c+AQz1J7bW0Gq4".into()),
                checkpoint: Some(Signed {
                    size: 48_031,
                    at: ago(4),
                    note: "access.example.com\n48031\nqqo=\ntime 2026-11-21T09:20:00Z\n\n\u{2014} access.example.com AAAA\n".into(),
                }),
                waiting: 3,
                former: vec![],
                checked: None,
            },
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for name in ["bundle.zip", "evidence (2).zip", "events.jsonl", "grants.csv", "checkpoint", "manifest.note"] {
            assert!(fits(name), "{name}");
        }
        for name in ["", "..", "../key", "/etc/passwd", "a/b.csv", "a\\b.csv", ".csv", "-kept", "x.html", "a\0.csv", &format!("{}.csv", "x".repeat(200))] {
            assert!(!fits(name), "{name}");
        }
    }

    #[test]
    fn checkpoint_and_key_are_there_to_keep_and_files_can_be_checked() {
        let mut page = sample();
        let shown = Rendered::of("verify", &page);
        assert!(shown.posts_to("/verify") && shown.says("countersign verify"));
        assert_eq!(shown.all("a[download]").len(), 2);
        let events = Events { events: 120, first: 40, size: 48_031, at: ago(4), erased: 2, withheld: 0 };
        page.verify.checked = Some(Ok(Good { files: 0, rows: 0, events: Some(events.clone()), continues: true }));
        let good = Rendered::of("verify-good", &page);
        assert!(good.says("Verified") && good.says("120 events") && !good.says("files,"));
        page.verify.checked = Some(Ok(Good { files: 16, rows: 4_200, events: Some(Events { withheld: 7, ..events }), continues: false }));
        let bundle = Rendered::of("verify-bundle", &page);
        assert!(bundle.says("16 files, 4 200 rows") && bundle.says("7 others"));
        page.verify.checked = Some(Ok(Good { files: 1, rows: 1, events: None, continues: false }));
        assert!(Rendered::of("verify-table", &page).says("Only this file was looked at"));
        page.verify.checked = Some(Err("line 12: Leaf 51 was changed: it does not have the hash that it states. (changed) <img src=x>".into()));
        let bad = Rendered::of("verify-bad", &page);
        assert!(bad.says("Not verified") && bad.all("img").is_empty());
        page.verify = Verify::default();
        assert!(Rendered::of("verify-unsigned", &page).says("Nothing is signed"));
    }
}
