//! What the Sessions page shows.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The viewer's own sessions.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// Latest use first.
    pub rows: Vec<SessionRow>,
    /// Ends after this long without use.
    pub idle_s: i64,
    /// Ends after this long in any case.
    pub absolute_s: i64,
}

/// A session.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// Its id (not its token).
    pub id: Uuid,
    /// Whether it is the one in use.
    pub current: bool,
    /// The browser, as far as it says: `Firefox on Windows`.
    pub browser: String,
    /// The address it was last used from.
    pub address: Option<String>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was last used.
    pub last_seen_at: DateTime<Utc>,
    /// When it ends in any case.
    pub ends_at: DateTime<Utc>,
}

/// A browser's name out of what it says of itself (RFC 9110 §10.1.5): `Firefox on Windows`; its own words when they name none that is
/// known here. Nothing rests on it: whoever asks may say anything.
pub fn browser(user_agent: Option<&str>) -> String {
    let Some(said) = user_agent.filter(|said| !said.trim().is_empty()) else { return "Unknown".into() };
    let first = |known: &[(&str, &'static str)]| known.iter().find(|(mark, _)| said.contains(mark)).map(|(_, name)| *name);
    // Each pretends to be those after it.
    let name = first(&[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser/", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("CriOS/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (name, system) {
        (Some(name), Some(system)) => format!("{name} on {system}"),
        (Some(name), None) => name.into(),
        (None, _) => said.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::browser;

    #[test]
    fn a_browser_is_called_what_people_call_it() {
        let said = |text| browser(Some(text));
        assert_eq!(said("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0"), "Firefox on Windows");
        assert_eq!(said("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0"), "Edge on Windows");
        assert_eq!(said("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Safari/604.1"), "Safari on iPhone");
        assert_eq!(said("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36"), "Chrome on Android");
    }

    #[test]
    fn what_is_not_known_is_shown_as_it_is() {
        assert_eq!(browser(Some("curl/8.1")), "curl/8.1");
        assert_eq!(browser(Some("  ")), "Unknown");
        assert_eq!(browser(None), "Unknown");
    }
}
