//! Style, script and icons, compiled in.
//!
//! Each is addressed by the digest of its content, so a browser may keep it for good and never shows an old one.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::web::error::Failure;

/// A file served under `/static/`.
#[derive(Debug)]
pub struct Asset {
    /// Its name, without folder.
    pub name: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// Its content.
    pub body: &'static str,
}

/// All of them.
pub static ASSETS: [Asset; 4] = [
    Asset { name: "app.css", media_type: "text/css; charset=utf-8", body: include_str!("../../static/app.css") },
    Asset { name: "app.js", media_type: "text/javascript; charset=utf-8", body: include_str!("../../static/app.js") },
    Asset { name: "icons.svg", media_type: "image/svg+xml", body: include_str!("../../static/icons.svg") },
    Asset { name: "mark.svg", media_type: "image/svg+xml", body: include_str!("../../static/mark.svg") },
];

static DIGEST: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for asset in &ASSETS {
        hash.update(asset.body.as_bytes());
    }
    hash.finalize().iter().take(6).map(|b| format!("{b:02x}")).collect()
});

/// Twelve hex digits that change when any asset does; the `v` of their addresses.
pub fn digest() -> &'static str {
    &DIGEST
}

/// The asset of that name, if there is one.
pub fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|a| a.name == name)
}

/// `GET /static/{name}`: kept by browsers for good, since the address changes with the content.
pub async fn serve(Path(name): Path<String>) -> Response {
    match find(&name) {
        Some(asset) => ([(header::CONTENT_TYPE, asset.media_type), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")], asset.body).into_response(),
        None => Failure::missing().into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_asset_is_found_by_its_name_only() {
        assert!(ASSETS.iter().all(|a| find(a.name).is_some_and(|found| std::ptr::eq(found, a))));
        assert!(find("../Cargo.toml").is_none());
        assert_eq!(digest().len(), 12);
    }
}
