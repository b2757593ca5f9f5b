//! Log: every event, searchable, to take away.

use askama::Template;

use crate::service::look::log::Log;
use crate::web::view::{self, Amount as _, Frame, Moment as _, Words as _};

/// The audit log.
#[derive(Template)]
#[template(path = "pages/log.html")]
pub struct LogPage {
    /// What is around it.
    pub frame: Frame,
    /// What it shows.
    pub log: Log,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::look::log::LogFilter;
    use crate::service::look::shared::{Choice, Cursor, Listing};
    use crate::web::proof::*;

    fn sample(says: Says) -> LogPage {
        let choice = |value: &str, label: &str| Choice { value: value.into(), label: says.of(label) };
        let mut helped = event(says, 44, 130, "request.approved", "Cy Okafor", "approved step 2, Data owners, for 2 hours");
        helped.acting_for = Some(says.of("Mina Sato"));
        LogPage {
            frame: frame(says, As::Administrator, "log"),
            log: Log {
                filter: LogFilter {
                    from: chrono::NaiveDate::from_ymd_opt(2026, 11, 1),
                    kind: "request".into(),
                    person: says.of("lind"),
                    older: true,
                    ..LogFilter::default()
                },
                applications: vec![choice("a1", "Orders DB")],
                roles: vec![choice("r1", "read-only")],
                kinds: vec![choice("request", "Requests, all kinds"), choice("request.approved", "request.approved")],
                query: "from=2026-11-01&kind=request".into(),
                events: Listing {
                    rows: vec![
                        event(says, 40, 3, "grant.ended", "Countersign", "ended the access, because its time was up"),
                        event(says, 41, 45, "grant.activated", "Countersign", "read the directory back and found the member"),
                        event(says, 42, 48, "request.approved", "Dana Ruiz", "approved step 1, Manager"),
                        helped,
                        event(says, 43, 200, "request.submitted", "Bo Lind", "asked for Orders DB read-only for 4 hours"),
                    ],
                    next: Some(Cursor("k1".into())),
                },
            },
        }
    }

    #[test]
    fn the_log_is_filtered_paged_and_downloaded_alike() {
        let page = Rendered::of("log", &sample(Says::Plain));
        assert_eq!(page.all("table.log tbody tr").len(), 5);
        assert_eq!(page.one("#from").attr("value"), Some("2026-11-01"));
        assert_eq!(page.one("#kind option[selected]").attr("value"), Some("request"));
        let pages: Vec<_> = page.all(".pager a").iter().map(|a| a.attr("href").unwrap_or_default()).collect();
        assert_eq!(pages, ["/log?from=2026-11-01&kind=request", "/log?from=2026-11-01&kind=request&before=k1"]);
        let files: Vec<_> = page.all("a[download]").iter().map(|a| a.attr("href").unwrap_or_default()).collect();
        assert_eq!(files.len(), 8);
        assert_eq!(files[0], "/log/requests.csv?mode=raw&from=2026-11-01&kind=request");
        assert!(page.says("for Mina Sato"));
    }

    #[test]
    fn a_log_without_a_match_says_so() {
        let mut page = sample(Says::Plain);
        page.log.events = Listing::whole(vec![]);
        assert!(Rendered::of("log-empty", &page).text(".empty").contains("No events match"));
    }

    #[test]
    fn hostile_text_stays_text_in_the_log() {
        assert!(Rendered::of("log-hostile", &sample(Says::Hostile)).all("img").is_empty());
    }
}
