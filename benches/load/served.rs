//! The whole server over HTTP, beside what Postgres alone does.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::Outcome;
use crate::database::{self, MEASURED};
use crate::floor;
use crate::http::{self, Connection};
use crate::measure::{Figures, load};
use crate::report::{Export, Report, Row};
use crate::seed;
use crate::server::Server;
use crate::work::{Act, to_answer, to_ask};

const CONCURRENCY: [usize; 3] = [1, 16, 64];

/// The cookie of a person's session; the database has its SHA-256.
fn cookie(person: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("bench {person}")))
}

/// Signs everybody in, as the identity provider would have.
pub async fn sign_in() -> Outcome<()> {
    let mut connection = database::connect(MEASURED).await?;
    let people: Vec<Uuid> = sqlx::query_scalar("select id from person").fetch_all(&mut connection).await?;
    let hashes: Vec<Vec<u8>> = people.iter().map(|person| Sha256::digest(cookie(*person)).to_vec()).collect();
    sqlx::query(
        "insert into session (id, token_hash, person_id, issuer, subject, auth_time, created_at, seen_at, idle_until, expires_at)
         select gen_random_uuid(), h, p, 'bench', p::text, now(), now(), now(), now() + interval '1 hour', now() + interval '11 hours' from unnest($1::uuid[], $2::bytea[]) t(p, h)",
    )
    .bind(&people)
    .bind(&hashes)
    .execute(&mut connection)
    .await?;
    Ok(())
}

/// What is measured: the server, where, and whose processor time counts.
struct Bench<'a> {
    only: String,
    server: &'a Server,
    postmaster: u32,
    seconds: f64,
}

impl Bench<'_> {
    fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Loads the server with `next`'s requests at each concurrency, until it has no more.
    async fn run(
        &self,
        report: &mut Report,
        name: &'static str,
        wanted: &'static [u16],
        next: impl Fn() -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Outcome<()> {
        if !name.contains(&self.only) {
            return Ok(());
        }
        let next = Arc::new(next);
        // Unmeasured at first: sixteen connections have plans to make and caches to fill.
        let warm_up = (self.seconds / 2.0).min(3.0);
        for (concurrency, seconds, counts) in [(16, warm_up, false)].into_iter().chain(CONCURRENCY.map(|at_once| (at_once, self.seconds, true))) {
            let before = (crate::cpu::of(self.server.pid()), crate::cpu::of_children(self.postmaster));
            let address = self.address();
            let figures: Figures = load(concurrency, seconds, |_| {
                let next = next.clone();
                let connection = Arc::new(tokio::sync::Mutex::new(Connection::new(address)));
                move || {
                    let (next, connection) = (next.clone(), connection.clone());
                    async move {
                        let Some(request) = next() else { return Ok(false) };
                        let answer = connection.lock().await.call(&request).await?;
                        if wanted.contains(&answer.status) {
                            return Ok(true);
                        }
                        let path = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
                        Err(format!("{path}: {} {}", answer.status, answer.text().split_whitespace().take(200).collect::<Vec<_>>().join(" ")).into())
                    }
                }
            })
            .await?;
            if !counts {
                report.warmed_up(name, figures.good);
                continue;
            }
            let each = |used: std::time::Duration| used.as_secs_f64() * 1000.0 / figures.good.max(1) as f64;
            let ours = each(crate::cpu::of(self.server.pid()).saturating_sub(before.0));
            let theirs = each(crate::cpu::of_children(self.postmaster).saturating_sub(before.1));
            report.add(Row { name, figures, ours, theirs, memory: crate::cpu::memory(self.server.pid()).map_or(f64::NAN, |(now, _)| now) });
        }
        Ok(())
    }

    /// Loads the server with `requests` over and over.
    async fn pages(&self, report: &mut Report, name: &'static str, requests: Vec<Vec<u8>>) -> Outcome<()> {
        if requests.is_empty() {
            return Err(format!("{name}: nothing to ask").into());
        }
        let first = Connection::new(self.address()).call(&requests[0]).await?;
        if first.status == 404 {
            println!("{name}: this server has no such page");
            return Ok(());
        }
        let at = AtomicUsize::new(0);
        self.run(report, name, &[200], move || requests.get(at.fetch_add(1, Ordering::Relaxed) % requests.len()).cloned()).await
    }

    /// Loads the server with one act after the other, each once.
    async fn acts(&self, report: &mut Report, name: &'static str, acts: Vec<Act>, request: impl Fn(&Act) -> Vec<u8> + Send + Sync + 'static) -> Outcome<usize> {
        let done = Arc::new(AtomicUsize::new(0));
        let at = done.clone();
        self.run(report, name, &[201, 303], move || acts.get(at.fetch_add(1, Ordering::Relaxed)).map(&request)).await?;
        Ok(report.good(name))
    }
}

async fn count(kinds: &[&str]) -> Outcome<i64> {
    let mut connection = database::connect(MEASURED).await?;
    Ok(sqlx::query_scalar("select count(*) from audit_event where kind = any($1)").bind(kinds).fetch_one(&mut connection).await?)
}

/// `[seconds] [only]`: only the loads whose name holds this.
pub async fn run(words: &[String]) -> Outcome<()> {
    let seconds: f64 = words.first().map_or(Ok(10.0), |word| word.parse())?;
    let folder = std::env::var_os("BENCH_FOLDER").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench"), Into::into);
    std::fs::create_dir_all(&folder)?;
    seed::seed().await?;
    database::fresh().await?;
    let company = folder.join("company.toml");
    std::fs::write(&company, seed::company(MEASURED).await?.to_toml()?)?;
    sign_in().await?;
    let postmaster = database::postmaster().await?;
    let mut report = Report::new(seconds).await?;

    let data = folder.join("data");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    for _ in 0..3 {
        let server = Server::start(&data, &company).await?;
        report.starts.push(server.ready_after);
        server.stop()?;
    }
    let server = Server::start(&data, &company).await?;
    let address = server.address;
    report.memory_at_rest = crate::cpu::memory(server.pid()).map_or(f64::NAN, |(now, _)| now);
    let bench = Bench { only: words.get(1).cloned().unwrap_or_default(), server: &server, postmaster, seconds };

    let mut connection = database::connect(MEASURED).await?;
    let everybody: Vec<Uuid> = sqlx::query_scalar("select id from person order by md5(id::text)").fetch_all(&mut connection).await?;
    let approvers: Vec<Uuid> =
        sqlx::query_scalar("select person_id from assignment where open group by 1 order by md5(person_id::text)").fetch_all(&mut connection).await?;
    let auditors: Vec<Uuid> =
        sqlx::query_scalar("select id from person where $1 = any(groups) order by user_name desc").bind(seed::auditors()).fetch_all(&mut connection).await?;
    let as_each = |people: &[Uuid], path: &str| -> Vec<Vec<u8>> { people.iter().map(|person| http::get(address, path, &cookie(*person))).collect() };

    bench.pages(&mut report, "queue page", as_each(&approvers, "/queue")).await?;
    bench.pages(&mut report, "my access page", as_each(&everybody, "/access")).await?;
    let words = ["orders", "read", "console", "payroll+export", "claims", "on+call", "reports", "admin"];
    let searches =
        everybody.iter().zip(words.iter().cycle()).map(|(person, word)| http::get(address, &format!("/catalog?q={word}"), &cookie(*person))).collect();
    bench.pages(&mut report, "catalog search", searches).await?;
    bench.pages(&mut report, "log page, newest", as_each(&auditors, "/log")).await?;
    if let Some(deep) = deep_page(address, &auditors).await? {
        bench.pages(&mut report, "log page, deep", as_each(&auditors, &deep)).await?;
    }
    let names: Vec<String> =
        sqlx::query_scalar("select replace(display_name, ' ', '+') from person order by md5(id::text) limit 200").fetch_all(&mut connection).await?;
    let searches = auditors.iter().cycle().zip(&names).map(|(person, name)| http::get(address, &format!("/log?q={name}"), &cookie(*person))).collect();
    bench.pages(&mut report, "log page, text search", searches).await?;
    if "export".contains(&bench.only) {
        export(&mut report, &server, auditors.first().copied()).await?;
    }

    let ask = move |act: &Act| {
        let form = format!(
            "role={}&key={}&extend=&duration=86400&other_amount=&other_unit=minutes&justification=Needed+for+the+quarterly+close&ticket=&start=",
            act.what,
            Uuid::now_v7()
        );
        http::post(address, "/requests", &cookie(act.person), &form)
    };
    for (name, at_once, kind) in [("submit", false, "request.submitted"), ("submit, approved at once", true, "request.auto_approved")] {
        let before = count(&[kind]).await?;
        let asked = bench.acts(&mut report, name, to_ask(at_once).await?, ask).await?;
        report.held_against(&format!("{name}: answered"), asked, kind, count(&[kind]).await? - before);
        if at_once && asked > 0 {
            report.delivered(asked, delivered().await?);
        }
    }
    let before = count(&["approval.given"]).await?;
    let approved = bench
        .acts(&mut report, "approve", to_answer().await?, move |act| {
            http::post(address, &format!("/requests/{}/approve", act.what), &cookie(act.person), &format!("digest={}&step={}&back=queue", act.digest, act.step))
        })
        .await?;
    report.held_against("approve: answered", approved, "approval.given", count(&["approval.given"]).await? - before);
    report.memory_most = crate::cpu::memory(server.pid()).map_or(f64::NAN, |(_, most)| most);
    let only = bench.only;
    server.stop()?;

    if !only.is_empty() {
        return Ok(());
    }
    report.floors = floor::measure(seconds).await?;
    report.write(&folder.join("report.md"))
}

/// Waits until no membership is due any more, so that the next figure does not pay for the last; how long that took.
async fn delivered() -> Outcome<Duration> {
    let mut connection = database::connect(MEASURED).await?;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(120) {
        if !sqlx::query_scalar("select exists (select 1 from target where next_at <= clock_timestamp())").fetch_one(&mut connection).await? {
            return Ok(began.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err("the directory was not told of everything within two minutes".into())
}

/// The address of a page two years back, as a reader would come to it: a cursor, not a date.
async fn deep_page(address: SocketAddr, auditors: &[Uuid]) -> Outcome<Option<String>> {
    let Some(auditor) = auditors.first() else { return Ok(None) };
    let mut connection = database::connect(MEASURED).await?;
    let day: String = sqlx::query_scalar("select to_char(min(occurred_at) + interval '30 days', 'YYYY-MM-DD') from audit_event where kind like 'request.%'")
        .fetch_one(&mut connection)
        .await?;
    let page = Connection::new(address).call(&http::get(address, &format!("/log?to={day}"), &cookie(*auditor))).await?;
    let text = page.text();
    let cursor = text.rsplit_once("before=").map(|(_, rest)| rest.split(['"', '&', '#']).next().unwrap_or_default().to_owned());
    Ok(cursor.map(|cursor| format!("/log?before={cursor}")))
}

async fn export(report: &mut Report, server: &Server, auditor: Option<Uuid>) -> Outcome<()> {
    let Some(auditor) = auditor else { return Ok(()) };
    let address = server.address;
    for file in ["events", "requests", "approvals", "grants"] {
        let began = Instant::now();
        let answer = Connection::new(address).call(&http::get(address, &format!("/log/export/{file}.csv?mode=raw"), &cookie(auditor))).await?;
        if answer.status != 200 {
            println!("{file}.csv: {}", answer.status);
            continue;
        }
        let took = began.elapsed();
        let memory = crate::cpu::memory(server.pid()).map_or(f64::NAN, |(now, _)| now);
        report.exports.push(Export { file, rows: answer.lines.saturating_sub(1), bytes: answer.length, took, memory });
    }
    Ok(())
}
