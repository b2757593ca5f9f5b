//! Verify: checkpoint, key, how to, and a check.

use askama::Template;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::service::look::verify::{self, Files, Verify};
use crate::web::error::{self, Failure};
use crate::web::flash::page_of;
use crate::web::form::{failed, slowly};
use crate::web::guard::Auditor;
use crate::web::state::App;
use crate::web::upload::Uploaded;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The largest upload that is checked here, in bytes; more is for the command line.
pub const LARGEST: usize = 32 << 20;

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

/// `POST /verify`: checks files of an event list.
pub async fn post(State(app): State<App>, viewer: Auditor, form: Uploaded) -> Result<Response, Response> {
    slowly(&app, &app.limits.export, &viewer.by())?;
    let field = |name: &str| form.field(name).to_owned();
    let files = Files { events: field("events"), proof: field("proof"), checkpoint: field("checkpoint"), rotations: field("rotations"), kept: field("kept") };
    let checked = Some(verify::check(&app.ctx, files).await.map_err(failed)?);
    let verify = Verify { checked, ..verify::verify(&app.ctx).await.map_err(failed)? };
    Ok(page_of(&VerifyPage { frame: error::frame(&app, Some(&viewer.0), "verify"), verify }))
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
    use crate::service::look::verify::{Good, Signed};
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
    fn checkpoint_and_key_are_there_to_keep_and_files_can_be_checked() {
        let mut page = sample();
        let shown = Rendered::of("verify", &page);
        assert!(shown.posts_to("/verify") && shown.says("countersign verify"));
        assert_eq!(shown.all("a[download]").len(), 2);
        page.verify.checked = Some(Ok(Good { events: 120, first: 40, size: 48_031, at: ago(4), erased: 2, continues: true }));
        assert!(Rendered::of("verify-good", &page).says("Verified"));
        page.verify.checked = Some(Err("line 12: Leaf 51 was changed: it does not have the hash that it states. (changed) <img src=x>".into()));
        let bad = Rendered::of("verify-bad", &page);
        assert!(bad.says("Not verified") && bad.all("img").is_empty());
        page.verify = Verify::default();
        assert!(Rendered::of("verify-unsigned", &page).says("Nothing is signed"));
    }
}
