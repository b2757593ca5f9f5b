//! Evidence by the clock: due once, sent once, always told.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use chrono::{DateTime, Datelike, Duration, Utc};
use countersign::clock::new_id;
use countersign::directory::plain_hook::is_signed;
use countersign::domain::refusal::Refusal;
use countersign::domain::schedule::Written;
use countersign::domain::secret::Secret;
use countersign::notify::mail::{Mailer, Secrecy};
use countersign::service::ctx::{By, Ctx};
use countersign::service::error::ServiceError;
use countersign::service::export::{File, Mode, Taking, export};
use countersign::service::look::schedule as look;
use countersign::service::schedule::due::{due, note};
use countersign::service::schedule::make::{self, Declared, declare, run_now, switch};
use countersign::service::schedule::places::Places;
use countersign::service::schedule::send;
use countersign::service::witness::{self, Witnesses};
use countersign::store::schedule;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use uuid::Uuid;

use crate::api::{ALL, Site};
use crate::scripted::{Reply, Scripted};
use crate::sealed::{Sealed, key_of_these};
use crate::server::Town;
use crate::smtp::Smtp;

const SECRET: &str = "a secret of some twenty-four";

/// A sealed world that may send evidence somewhere.
struct Office {
    sealed: Sealed,
    ctx: Ctx,
    share: TempDir,
    administrator: By,
}

fn written(name: &str, what: &str, place: &str, to: &str) -> Written {
    let text = |text: &str| text.to_owned();
    Written {
        name: text(name),
        what: text(what),
        mode: text("raw"),
        whose: text("organisation"),
        of: String::new(),
        period: text("week"),
        every: text("week"),
        day: text("Monday"),
        at: text("06:00"),
        place: text(place),
        to: text(to),
    }
}

impl Office {
    async fn new(places: impl FnOnce(Places) -> Places) -> Self {
        let (sealed, share) = (Sealed::new().await, TempDir::new().unwrap());
        let places = places(Places { public_url: "https://access.example.com".into(), ..Places::default() }.with_folder(share.path()));
        let ctx = Ctx { places: Arc::new(places), ..sealed.ctx.clone() };
        let administrator = sealed.world.by("sofia.marin").await;
        sealed.live().await;
        Self { sealed, ctx, share, administrator }
    }

    async fn make(&self, written: &Written) -> Uuid {
        make::make(&self.ctx, &self.administrator, written, true).await.unwrap()
    }

    async fn advance(&self, by: Duration) {
        self.sealed.world.advance(by).await;
    }

    /// To the first time at which a schedule is due, and a little on.
    async fn until_due(&self, id: Uuid) {
        let next = look::one(&self.ctx, &self.administrator, id).await.unwrap().next_at.unwrap();
        self.advance(next - self.ctx.clock.now() + Duration::seconds(1)).await;
    }

    async fn runs(&self, id: Uuid) -> Vec<look::Run> {
        look::runs(&self.ctx, &self.administrator, id, None, 200).await.unwrap().rows
    }

    async fn told(&self, kind: &str) -> i64 {
        sqlx::query_scalar("select count(*) from audit_event where kind = $1").bind(kind).fetch_one(&self.sealed.world.root).await.unwrap()
    }

    fn files(&self, folder: &str) -> Vec<PathBuf> {
        let Ok(found) = std::fs::read_dir(self.share.path().join(folder)) else { return vec![] };
        let mut files: Vec<PathBuf> = found.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn verify(path: &Path) -> (bool, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_countersign")).arg("verify").arg(path).output().unwrap();
    (done.status.success(), format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)))
}

fn faults(outcome: Result<Uuid, ServiceError>) -> String {
    match outcome {
        Err(ServiceError::Refused(Refusal::Faults(faults))) => faults.iter().map(|fault| format!("{}: {}\n", fault.field, fault.sentence)).collect(),
        other => panic!("{other:?}"),
    }
}

/// The file as the page Evidence gives it.
async fn by_hand(office: &Office, file: File, (from, to): (Option<DateTime<Utc>>, DateTime<Utc>)) -> Vec<u8> {
    let taking = Taking { file, mode: Mode::Raw, from, to: Some(to), application: None, role: None, person: None };
    let mut download = export(&office.ctx, &office.administrator, &taking).await.unwrap();
    let mut all = Vec::new();
    while let Some(piece) = download.next().await {
        all.extend(piece.unwrap());
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weekly_bundle_is_left_in_its_folder_once_by_two_replicas_and_verifies() {
    let office = Office::new(|places| places).await;
    let id = office.make(&written("Weekly", "bundle", "folder", "auditors/weekly")).await;
    assert_eq!(due(&office.ctx).await.unwrap(), 0, "not before its time");
    office.until_due(id).await;
    let other = office.ctx.clone();
    let (one, two, three) = tokio::join!(due(&office.ctx), due(&other), due(&other));
    assert_eq!(one.unwrap() + two.unwrap() + three.unwrap(), 1);
    let files = office.files("auditors/weekly");
    let [file] = files.as_slice() else { panic!("{files:?}") };
    let (well, said) = verify(file);
    assert!(well && said.contains("Verified: 18 files"), "{said}");
    let runs = office.runs(id).await;
    let [run] = runs.as_slice() else { panic!("{runs:?}") };
    let bytes = std::fs::read(file).unwrap();
    assert_eq!((run.result.as_deref(), run.bytes, run.tries), (Some("sent"), Some(bytes.len() as i64), 1));
    assert_eq!((run.sha256.clone(), run.file.clone()), (Some(digest(&bytes)), file.file_name().map(|name| name.to_string_lossy().into_owned())));
    assert_eq!((run.period_from.unwrap().weekday(), run.period_to - run.period_from.unwrap()), (chrono::Weekday::Mon, Duration::days(7)));
    assert_eq!((office.told("evidence.scheduled_sent").await, office.told("evidence.exported").await), (1, 1));

    // Five weeks in which nobody was there are caught up once, by the last of them.
    office.advance(Duration::days(35)).await;
    assert_eq!(due(&office.ctx).await.unwrap(), 1);
    assert_eq!(due(&office.ctx).await.unwrap(), 0);
    let runs = office.runs(id).await;
    assert_eq!((runs.len(), office.files("auditors/weekly").len()), (2, 2));
    assert_eq!(runs[0].due_at - runs[1].due_at, Duration::days(35));

    // And an administrator's acts are rows for auditors.
    switch(&office.ctx, &office.administrator, id, false).await.unwrap();
    let now = office.ctx.clock.now() + Duration::minutes(1);
    let activity = String::from_utf8(by_hand(&office, File::AdminActivity, (None, now)).await).unwrap();
    for kind in ["evidence.schedule_made,Weekly", "evidence.scheduled_sent,Weekly", "evidence.schedule_switched,Weekly"] {
        assert!(activity.contains(kind), "{kind} is missing in\n{activity}");
    }
    office.advance(Duration::days(35)).await;
    assert_eq!(due(&office.ctx).await.unwrap(), 0, "it is off");
    switch(&office.ctx, &office.administrator, id, true).await.unwrap();
    assert_eq!(due(&office.ctx).await.unwrap(), 0, "what was missed while it was off is not caught up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_after_the_file_is_there_has_sent_it_and_one_that_dies_before_sends_it_anew() {
    let office = Office::new(|places| places).await;
    let id = office.make(&written("Weekly", "grants", "folder", "weekly")).await;
    office.until_due(id).await;
    assert_eq!(note(&office.ctx).await.unwrap(), 1);
    let now = office.ctx.clock.now();
    let run = schedule::claim(&office.ctx.db, new_id(), now, now + Duration::minutes(3)).await.unwrap().unwrap();
    let row = schedule::by_id(&office.ctx.db, id).await.unwrap().unwrap();
    // It dies here: nothing says that it was sent, and a half of another is left behind.
    send::send(&office.ctx, &row, &run).await.unwrap();
    let files = office.files("weekly");
    std::fs::write(office.share.path().join("weekly/.other.csv.part"), "half").unwrap();
    assert_eq!((files.len(), due(&office.ctx).await.unwrap()), (1, 0), "its claim holds for a while");
    office.advance(Duration::minutes(4)).await;
    let exported = office.told("evidence.exported").await;
    assert_eq!(due(&office.ctx).await.unwrap(), 1);
    assert_eq!(office.told("evidence.exported").await, exported, "it was not even made again");
    std::fs::remove_file(office.share.path().join("weekly/.other.csv.part")).unwrap();
    assert_eq!(office.files("weekly"), files);
    let run = office.runs(id).await.remove(0);
    assert_eq!((run.result.as_deref(), run.tries, run.sha256), (Some("sent"), 2, Some(digest(&std::fs::read(&files[0]).unwrap()))));

    // One that kills its worker each time is not tried for ever.
    run_now(&office.ctx, &office.administrator, id).await.unwrap();
    for _ in 0..6 {
        let now = office.ctx.clock.now();
        assert!(schedule::claim(&office.ctx.db, new_id(), now, now + Duration::minutes(3)).await.unwrap().is_some());
        office.advance(Duration::minutes(4)).await;
    }
    assert_eq!(due(&office.ctx).await.unwrap(), 1);
    let run = office.runs(id).await.remove(0);
    assert_eq!(run.result.as_deref(), Some("failed"));
    assert!(run.error.unwrap().contains("stopped"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_was_ahead_puts_nothing_off_and_sends_nothing_twice() {
    let office = Office::new(|places| places).await;
    let id = office.make(&written("Weekly", "grants", "folder", "weekly")).await;
    office.until_due(id).await;
    assert_eq!(due(&office.ctx).await.unwrap(), 1);
    // Somebody's clock said 2099 for a while.
    sqlx::query("update evidence_schedule set next_at = '2099-01-05 06:00Z'").execute(&office.sealed.world.root).await.unwrap();
    assert_eq!(due(&office.ctx).await.unwrap(), 0);
    let next = look::one(&office.ctx, &office.administrator, id).await.unwrap().next_at.unwrap();
    assert!(next > office.ctx.clock.now() && next - office.ctx.clock.now() <= Duration::days(7), "{next}");
    // Somebody's clock was behind: the time that was, is due again, and was.
    let was = office.runs(id).await[0].due_at;
    sqlx::query("update evidence_schedule set next_at = $1").bind(was).execute(&office.sealed.world.root).await.unwrap();
    assert_eq!(due(&office.ctx).await.unwrap(), 0);
    assert_eq!((office.runs(id).await.len(), office.files("weekly").len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_gets_the_page_s_own_file_signed_and_is_tried_again_ever_more_rarely_and_then_no_more() {
    let status = Arc::new(AtomicU16::new(200));
    let answers = status.clone();
    let hook = Scripted::start(move |_| Reply::new(answers.load(Ordering::SeqCst), "").with("location", "http://127.0.0.1:1/")).await;
    let host = hook.url.trim_start_matches("http://").to_owned();
    let office = Office::new(|places| places.with_webhooks(&[host], Secret::new(SECRET), 1 << 20).unwrap()).await;
    let id = office.make(&written("Grants", "grants", "webhook", &format!("{}/in", hook.url))).await;
    office.until_due(id).await;
    assert_eq!(due(&office.ctx).await.unwrap(), 1);
    let asked = hook.asked().remove(0);
    let run = office.runs(id).await.remove(0);
    assert_eq!((asked.method.as_str(), asked.target.as_str(), asked.headers["idempotency-key"].clone()), ("POST", "/in", run.id.to_string()));
    assert!(is_signed(asked.headers.get("x-countersign-signature").map(String::as_str), asked.body.as_bytes(), SECRET, office.ctx.clock.now().timestamp()));
    assert_eq!(asked.body.as_bytes(), by_hand(&office, File::Grants, (run.period_from, run.period_to)).await);
    assert_eq!(run.sha256, Some(digest(asked.body.as_bytes())));
    assert!(asked.headers["content-disposition"].contains(run.file.as_deref().unwrap()) && asked.headers["content-type"].starts_with("text/csv"));

    // A redirect is followed nowhere; it is a failure like any other.
    for code in [302, 500] {
        status.store(code, Ordering::SeqCst);
        let (mut tries, mut gaps, mut since) = (hook.asked().len(), vec![], 0);
        run_now(&office.ctx, &office.administrator, id).await.unwrap();
        assert!(faults(run_now(&office.ctx, &office.administrator, id).await).contains("under way"));
        for _ in 0..400 {
            due(&office.ctx).await.unwrap();
            if hook.asked().len() > tries {
                tries = hook.asked().len();
                gaps.push(since);
                since = 0;
            }
            since += 1;
            office.advance(Duration::minutes(1)).await;
        }
        assert_eq!(gaps, [0, 1, 4, 16, 64, 256]);
        let run = office.runs(id).await.remove(0);
        assert_eq!((run.result.as_deref(), run.tries, run.error), (Some("failed"), 6, Some(format!("it answered with status {code}"))));
    }
    assert_eq!(office.told("evidence.scheduled_failed").await, 2, "once for each run");

    // What the settings no longer allow is not sent, whatever was allowed when it was made.
    let narrower =
        Ctx { places: Arc::new(Places::default().with_webhooks(&["audit.example.com".into()], Secret::new(SECRET), 1).unwrap()), ..office.ctx.clone() };
    let before = hook.asked().len();
    run_now(&narrower, &office.administrator, id).await.unwrap();
    assert_eq!(due(&narrower).await.unwrap(), 1);
    let run = office.runs(id).await.remove(0);
    assert!(run.result.as_deref() == Some("failed") && run.error.unwrap().contains("webhook_hosts"));
    assert_eq!((run.tries, hook.asked().len()), (1, before));
    for bad in [
        "https://evil.example.com/",
        "http://audit.example.com/",
        "https://audit.example.com/?a=b",
        "https://u:p@audit.example.com/",
        "file:///etc/passwd",
        "x",
    ] {
        let outcome = make::make(&narrower, &office.administrator, &written("Other", "grants", "webhook", bad), true).await;
        assert!(faults(outcome).starts_with("to: "), "{bad}");
    }
    // Larger than a webhook may get: said, and not tried again.
    let small = Ctx {
        places: Arc::new(Places::default().with_webhooks(&[hook.url.trim_start_matches("http://").into()], Secret::new(SECRET), 10).unwrap()),
        ..office.ctx.clone()
    };
    run_now(&small, &office.administrator, id).await.unwrap();
    assert_eq!(due(&small).await.unwrap(), 1);
    assert!(office.runs(id).await.remove(0).error.unwrap().contains("webhook_max_mib"));
    assert_eq!(hook.asked().len(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_holds_the_bundle_or_says_where_to_take_it() {
    let smtp = Smtp::start().await;
    let mailer = smtp.mailer();
    let office = Office::new(|places| places.with_mail(mailer.clone(), &["example.com".into()], 10 << 20)).await;
    let to = "ana.cruz@example.com, audit@EXAMPLE.com";
    let id = office.make(&written("Weekly: Übersicht", "bundle", "mail", to)).await;
    office.until_due(id).await;
    assert_eq!(due(&office.ctx).await.unwrap(), 1);
    let run = office.runs(id).await.remove(0);
    assert_eq!((run.result.as_deref(), run.error.as_deref()), (Some("sent"), None));
    let mail = smtp.mails().remove(0);
    assert_eq!(mail.to.iter().map(|to| to.split('>').next().unwrap()).collect::<Vec<_>>(), ["<ana.cruz@example.com", "<audit@example.com"]);
    assert_eq!((mail.from.starts_with("<countersign@example.com>"), mail.login.as_str()), (true, "|countersign|pass word"));
    assert_eq!(mail.headers("message-id"), [format!("<{}@example.com>", run.id)]);
    let (name, content) = mail.attached().unwrap();
    assert_eq!((Some(name), Some(digest(&content))), (run.file, run.sha256));
    let path = office.share.path().join("mailed.zip");
    std::fs::write(&path, &content).unwrap();
    let (well, said) = verify(&path);
    assert!(well, "{said}");

    // Too large: it says where to take it, signed in.
    let small = Ctx {
        places: Arc::new(Places { public_url: "https://access.example.com".into(), ..Places::default() }.with_mail(mailer, &["example.com".into()], 100)),
        ..office.ctx.clone()
    };
    run_now(&small, &office.administrator, id).await.unwrap();
    assert_eq!(due(&small).await.unwrap(), 1);
    let run = office.runs(id).await.remove(0);
    assert_eq!((run.result.as_deref(), run.bytes, run.sha256), (Some("linked"), None, None));
    let mail = smtp.mails().remove(1);
    let from = run.period_from.unwrap().format("%Y-%m-%d");
    assert!(mail.attached().is_none() && mail.says().contains(&format!("https://access.example.com/evidence/bundle.zip?from={from}&to=")), "{}", mail.text);

    // A mailbox that is not there: tried again, then told.
    smtp.rcpt.store(550, Ordering::SeqCst);
    run_now(&office.ctx, &office.administrator, id).await.unwrap();
    for _ in 0..7 {
        due(&office.ctx).await.unwrap();
        office.advance(Duration::hours(7)).await;
    }
    let run = office.runs(id).await.into_iter().find(|run| run.result.as_deref() == Some("failed")).unwrap();
    assert!(run.error.as_deref().unwrap().contains("550") && run.tries == 6, "{run:?}");
    assert_eq!(smtp.mails().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_typed_becomes_a_header_or_a_recipient() {
    let smtp = Smtp::start().await;
    let office = Office::new(|places| places.with_mail(smtp.mailer(), &["example.com".into()], 10 << 20)).await;
    for bad in [
        "a@evil.com",
        "a@example.com.evil.com",
        "a@evil.com@example.com",
        "\"a\r\nBcc: x@evil.com\"@example.com",
        "a@example.com\r\nRCPT TO:<x@evil.com>",
        "<a@example.com>",
        "a%evil.com",
        "a@[127.0.0.1]",
        "a@example.com>,<x@evil.com",
        "",
        "a b c",
        "-oX@example.com",
        "a@sub.example.com",
    ] {
        let outcome = make::make(&office.ctx, &office.administrator, &written("Mail", "grants", "mail", bad), true).await;
        assert!(faults(outcome).starts_with("to: "), "{bad:?}");
    }
    for name in ["a\r\nBcc: x@evil.com", "a\u{202e}b", "a\0", "", &"x".repeat(101)] {
        assert!(
            faults(make::make(&office.ctx, &office.administrator, &written(name, "grants", "mail", "a@example.com"), true).await).starts_with("name: "),
            "{name:?}"
        );
    }
    let odd = "Subject: =?utf-8?q?x?= <x@evil.com>, %0d%0aBcc: x@evil.com";
    let id = office.make(&written(odd, "grants", "mail", "a@example.com")).await;
    assert!(
        faults(make::make(&office.ctx, &office.administrator, &written(&odd.to_uppercase(), "grants", "mail", "a@example.com"), true).await)
            .contains("this name")
    );
    run_now(&office.ctx, &office.administrator, id).await.unwrap();
    assert_eq!(due(&office.ctx).await.unwrap(), 1);
    let mail = smtp.mails().remove(0);
    assert_eq!((mail.to.len(), mail.headers("to"), mail.headers("bcc").len(), mail.headers("subject").len()), (1, vec!["a@example.com".to_owned()], 0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_is_spoken_to_in_secret_or_not_at_all() {
    let smtp = Smtp::start().await;
    let to = ["a@example.com".to_owned()];
    let letter = || countersign::notify::mail::Letter { to: &to, subject: "x", text: "y".into(), id: "1".into(), file: None };
    Mailer::new(&smtp.settings(Secrecy::StartTls)).unwrap().send(letter()).await.unwrap();
    assert!(smtp.mails().remove(0).secret);
    // A certificate of nobody's is not believed, and nothing is said.
    let strange = countersign::notify::mail::Settings { extra_roots: None, ..smtp.settings(Secrecy::StartTls) };
    let error = Mailer::new(&strange).unwrap().send(letter()).await.unwrap_err();
    assert!(!error.contains("pass word") && !error.contains('\n'), "{error}");
    assert!(Mailer::new(&smtp.settings(Secrecy::Tls)).unwrap().send(letter()).await.is_err(), "it does not begin with TLS");
    let nobody = countersign::notify::mail::Settings { port: Some(1), ..smtp.settings(Secrecy::None) };
    assert!(Mailer::new(&nobody).unwrap().send(letter()).await.is_err());
    assert_eq!(smtp.mails().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_witnesses_the_log() {
    let smtp = Smtp::start().await;
    let sealed = Sealed::new().await;
    sealed.live().await;
    let witnesses = Witnesses::new(Duration::hours(1), None, None).unwrap().and_mail(smtp.mailer(), &["witness@elsewhere.org".to_owned()]);
    let ctx = Ctx { witnesses: Arc::new(witnesses), ..sealed.ctx.clone() };
    countersign::service::seal::seal(&ctx).await.unwrap();
    assert_eq!((witness::due(&ctx).await.unwrap(), witness::due(&ctx).await.unwrap()), (1, 0));
    let (name, content) = smtp.mails().remove(0).attached().unwrap();
    let checkpoint = countersign::evidence::verify::checkpoint(&String::from_utf8(content).unwrap(), &key_of_these()).unwrap();
    assert!(checkpoint.size > 0);
    assert!(name.ends_with(&format!("_{}.checkpoint", checkpoint.size)), "{name}");
    let told: String = sealed.world.one("select data ->> 'witness' from audit_event where kind = 'evidence.witnessed'").await;
    assert_eq!(told, "mail");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_but_an_administrator_makes_changes_switches_or_runs_a_schedule() {
    let office = Office::new(|places| places).await;
    let id = office.make(&written("Weekly", "grants", "folder", "weekly")).await;
    for who in ["wei.zhang", "bo.lind", "mara.voss", "arjun.mehta"] {
        let by = office.sealed.world.by(who).await;
        let one = written("Other", "grants", "folder", "weekly");
        assert!(matches!(make::make(&office.ctx, &by, &one, true).await, Err(ServiceError::Missing)), "{who}");
        assert!(matches!(make::change(&office.ctx, &by, id, &one).await, Err(ServiceError::Missing)), "{who}");
        assert!(matches!(switch(&office.ctx, &by, id, false).await, Err(ServiceError::Missing)), "{who}");
        assert!(matches!(run_now(&office.ctx, &by, id).await, Err(ServiceError::Missing)), "{who}");
        assert_eq!(look::one(&office.ctx, &by, id).await.is_ok(), who == "wei.zhang", "{who}");
    }
    // The database keeps it so: nothing without its event, and what came of a run is said once.
    let root = &office.sealed.world.root;
    for sql in [
        "update evidence_schedule set sent_to = '{elsewhere}'",
        "update evidence_schedule set is_on = false",
        "delete from evidence_schedule",
        "insert into evidence_run (id, schedule_id, due_at, asked_by, period_to, made_at, next_at) select gen_random_uuid(), s.id, clock(), s.made_by, clock(), clock(), clock() from evidence_schedule s",
    ] {
        assert!(sqlx::query(sql).execute(root).await.is_err(), "{sql}");
    }
    run_now(&office.ctx, &office.administrator, id).await.unwrap();
    assert!(sqlx::query("update evidence_run set finished_at = clock(), result = 'failed', error = 'x', next_at = null").execute(root).await.is_err());
    assert_eq!(due(&office.ctx).await.unwrap(), 1);
    for sql in ["update evidence_run set sha256 = repeat('0', 64)", "delete from evidence_run", "update evidence_run set due_at = clock()"] {
        assert!(sqlx::query(sql).execute(root).await.is_err(), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_settings_schedules_are_made_changed_and_switched_off_by_the_settings_alone() {
    let office = Office::new(|places| places).await;
    let one = |name: &str, to: &str| Declared {
        written: Written { whose: "role".into(), of: "orders-db/writer".into(), ..written(name, "grants", "folder", to) },
        on: true,
    };
    declare(&office.ctx, &[one("A", "a"), one("B", "b")]).await.unwrap();
    declare(&office.ctx, &[one("A", "a"), one("B", "b")]).await.unwrap();
    assert_eq!(office.told("evidence.schedule_made").await, 2, "a second start changes nothing");
    let rows = look::schedules(&office.ctx, &office.administrator, None).await.unwrap().rows.rows;
    let (a, b) = (rows[0].id, rows[1].id);
    assert!(rows.iter().all(|row| row.of_settings && row.is_on && row.of.as_deref() == Some("orders-db/writer")));
    for outcome in
        [make::change(&office.ctx, &office.administrator, a, &one("A", "x").written).await, switch(&office.ctx, &office.administrator, a, false).await]
    {
        assert!(faults(outcome.map(|()| a)).contains("settings file"));
    }
    // It is run by hand all the same, of the role of that key.
    run_now(&office.ctx, &office.administrator, a).await.unwrap();
    assert_eq!(due(&office.ctx).await.unwrap(), 1);
    assert_eq!(office.files("a").len(), 1);
    declare(&office.ctx, &[one("A", "a2")]).await.unwrap();
    let seen = async |id| look::one(&office.ctx, &office.administrator, id).await.unwrap();
    assert_eq!((seen(a).await.sent_to, seen(b).await.is_on), (vec!["a2".to_owned()], false));
    assert_eq!((office.told("evidence.schedule_changed").await, office.told("evidence.schedule_switched").await), (1, 1));
    declare(&office.ctx, &[one("A", "a2"), one("B", "b")]).await.unwrap();
    assert!(seen(b).await.is_on, "back again");
    // A role that is not there is told by the run, and not tried again.
    let gone = Declared { written: Written { of: "orders-db/nobody".into(), ..one("C", "c").written }, on: true };
    declare(&office.ctx, &[one("A", "a2"), one("B", "b"), gone]).await.unwrap();
    let c = look::schedules(&office.ctx, &office.administrator, None).await.unwrap().rows.rows[2].id;
    run_now(&office.ctx, &office.administrator, c).await.unwrap();
    assert_eq!(due(&office.ctx).await.unwrap(), 1);
    assert!(office.runs(c).await.remove(0).error.unwrap().contains("no such role"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_left_by_no_path_and_no_link() {
    let office = Office::new(|places| places).await;
    for bad in ["..", "../x", "/etc", "a/../../b", "a//b", ".ssh", "a\\b", "a\0b", "", " ", "~", "a b"] {
        assert!(faults(make::make(&office.ctx, &office.administrator, &written("F", "grants", "folder", bad), true).await).starts_with("to: "), "{bad:?}");
    }
    let outside = TempDir::new().unwrap();
    std::os::unix::fs::symlink(outside.path(), office.share.path().join("out")).unwrap();
    let id = office.make(&written("F", "grants", "folder", "out")).await;
    run_now(&office.ctx, &office.administrator, id).await.unwrap();
    for _ in 0..7 {
        due(&office.ctx).await.unwrap();
        office.advance(Duration::hours(7)).await;
    }
    let failed = office.runs(id).await.into_iter().rfind(|run| run.result.is_some()).unwrap();
    assert!(failed.result.as_deref() == Some("failed") && failed.error.as_deref().unwrap().contains("link"), "{failed:?}");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_makes_changes_and_runs_schedules_once_for_each_key() {
    let office = Office::new(|places| places).await;
    let api = Site::with(&office.sealed.world, office.ctx.clone());
    let token = api.token(&office.sealed.world, "sofia.marin", &ALL).await;
    let body = serde_json::json!({"name": "Weekly", "what": "grants", "period": "week", "every": "week", "day": "Monday", "at": "06:00", "place": "folder", "to": "weekly"});
    let made = api.post_once(&token, "/api/v1/schedules", body.clone(), "k1").await;
    let again = api.post_once(&token, "/api/v1/schedules", body.clone(), "k1").await;
    assert_eq!((made.status.as_u16(), made.json()["id"].clone()), (201, again.json()["id"].clone()));
    let path = format!("/api/v1/schedules/{}", made.json()["id"].as_str().unwrap());
    let bad = api.post(&token, "/api/v1/schedules", serde_json::json!({"name": "", "what": "x", "colour": "red"})).await;
    let named: Vec<_> = bad.json()["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect();
    assert_eq!((bad.status.as_u16(), named), (422, vec!["colour".to_owned()]), "what is not known here is told first");
    let bad = api.post(&token, "/api/v1/schedules", serde_json::json!({"name": "", "what": "x"})).await;
    assert_eq!((bad.status.as_u16(), bad.json()["errors"].as_array().unwrap().len()), (422, 6), "{}", bad.json());
    let changed = api
        .post(
            &token,
            &format!("{path}/change"),
            serde_json::json!({"name": "Daily", "what": "access", "period": "moment", "every": "day", "at": "23:30", "place": "folder", "to": "daily"}),
        )
        .await;
    assert_eq!((changed.status.as_u16(), changed.json()["every"].as_str(), changed.json()["day"].is_null()), (200, Some("day"), true), "{}", changed.json());
    let run = api.post_once(&token, &format!("{path}/run"), serde_json::json!({}), "k2").await;
    assert_eq!((run.status.as_u16(), run.json()["last_run"]["result"].is_null()), (202, true));
    assert_eq!(due(&office.ctx).await.unwrap(), 1);
    let runs = api.get(&token, &format!("{path}/runs?limit=1")).await.json();
    assert_eq!((runs["items"][0]["result"].as_str(), runs["items"][0]["from"].is_null()), (Some("sent"), true), "{runs}");
    assert_eq!(office.files("daily").len(), 1);
    assert_eq!(api.post(&token, &format!("{path}/switch"), serde_json::json!({"on": false})).await.json()["on"], false);
    assert_eq!(api.get(&token, "/api/v1/schedules?limit=1").await.json()["items"][0]["next_at"], serde_json::Value::Null);
    // A token for less makes none, and an auditor's token either.
    let less = api.token(&office.sealed.world, "sofia.marin", &["exports:read"]).await;
    assert_eq!(
        (api.post(&less, "/api/v1/schedules", body.clone()).await.status.as_u16(), api.get(&less, "/api/v1/schedules").await.status.as_u16()),
        (403, 200)
    );
    let auditor = api.token(&office.sealed.world, "wei.zhang", &ALL).await;
    assert_eq!((api.post(&auditor, "/api/v1/schedules", body).await.status.as_u16(), api.get(&auditor, &path).await.status.as_u16()), (404, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_is_made_on_the_page_with_its_faults_shown_and_what_was_typed_kept() {
    let share = TempDir::new().unwrap();
    let town = Town::of(
        countersign::demo::company::Company::embedded().unwrap(),
        crate::world::Reach::Demo,
        &[("COUNTERSIGN_SCHEDULES__FOLDER", share.path().to_str().unwrap())],
    )
    .await;
    let mut client = town.visitor("sofia.marin").await;
    let form = client.get("/evidence/schedules/new").await;
    let wrong = client.submit(&form, "form[action='/evidence/schedules/new']", &[("name", "Weekly <b>"), ("to", "../up"), ("of", "x")]).await;
    assert!(wrong.status == 422 && wrong.body.contains("Weekly &lt;b&gt;") || wrong.body.contains("Weekly &#60;b&#62;"), "{}", wrong.body);
    assert!(wrong.text().contains("The whole organisation needs none") && wrong.text().contains("folder beneath"), "{}", wrong.text());
    let made = client.submit(&wrong, "form[action='/evidence/schedules/new']", &[("what", "grants"), ("to", "weekly"), ("of", "")]).await;
    assert!(made.text().contains("Made. This page shows"), "{}", made.text());
    let id: Uuid = sqlx::query_scalar("select id from evidence_schedule").fetch_one(&town.world.root).await.unwrap();
    let place = format!("/evidence/schedules/{id}");
    assert!(client.get(&place).await.text().contains("It has not run yet"));
    let ran = client.post(&format!("{place}/run"), &[]).await;
    assert!(ran.status < 400, "{}", ran.text());
    crate::server::eventually("the worker sends it", || async {
        std::fs::read_dir(share.path().join("weekly")).ok().map(|files| files.count()).filter(|count| *count > 0).map(drop)
    })
    .await;
    crate::server::eventually("the page says so", || {
        let mut client = client.clone();
        let place = place.clone();
        async move { client.get(&place).await.text().contains("Sent").then_some(()) }
    })
    .await;
    assert!(client.get("/evidence/schedules").await.text().contains("Weekly <b>"));
    let mut auditor = town.visitor("wei.zhang").await;
    let seen = auditor.get(&place).await;
    assert!(seen.status == 200 && !seen.body.contains("/run\""));
    assert_eq!(auditor.get(&format!("{place}/edit")).await.status, 404);
}
