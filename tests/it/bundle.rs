//! A bundle: whole, consistent, and proof against whoever holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::evidence::bundle::{Checked, Fault, Source, check, check_file};
use countersign::evidence::columns::File;
use countersign::evidence::csv::Mode;
use countersign::evidence::manifest::Manifest;
use countersign::evidence::note::PrivateKey;
use countersign::service::bundle::{bundle, bundle_by_operator, under_way};
use countersign::service::error::ServiceError;
use countersign::service::export::Taking;

use crate::export::{Row, parsed, taking};
use crate::sealed::{Sealed, whole_key};
use crate::server::Town;

const HOUR: i64 = 3_600;
const YES: Answer = Answer::Approve { granted: None };

impl Sealed {
    /// Somebody gets in, and somebody does not.
    async fn one_of_each(&self) {
        let asked = self.world.ask("bo.lind", "orders-db", "reader", HOUR).await.unwrap();
        self.world.answer("mara.voss", asked.id, YES).await.unwrap();
        let denied = self.world.ask("yusuf.demir", "orders-db", "reader", HOUR).await.unwrap();
        self.world.answer("mara.voss", denied.id, Answer::Deny).await.unwrap();
        self.world.ask("bo.lind", "warehouse", "analyst", HOUR).await.unwrap();
        self.world.turn().await;
    }

    /// What was granted is over.
    async fn over(&self) {
        self.world.advance(Duration::hours(3)).await;
        self.world.turn().await;
    }

    pub async fn taken(&self, taking: &Taking, name: &str) -> PathBuf {
        let (download, _) = bundle_by_operator(&self.ctx, taking).await.unwrap();
        let path = self.folder.path().join(name);
        assert!(download.name.starts_with("countersign") && download.name.ends_with(".zip"));
        download.save(&path).await.unwrap();
        path
    }

    /// The bundle as a folder.
    fn unpacked(&self, zip: &Path, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        let done = Command::new("python3").args(["-m", "zipfile", "-e"]).arg(zip).arg(&folder).output().unwrap();
        assert!(done.status.success(), "another program unpacks it: {}", String::from_utf8_lossy(&done.stderr));
        folder
    }
}

/// All that a bundle can hold.
pub fn everything() -> Taking {
    taking(File::Requests)
}

fn checked(path: &Path) -> Result<Checked, Fault> {
    check(&Source::open(path)?, &[whole_key().into()], None, |_, _| {})
}

/// The program of another hand.
fn other(path: &Path) -> (bool, String) {
    let verifier = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/verify.py");
    let done = Command::new("python3").arg(verifier).arg(path).output().unwrap();
    (done.status.success(), format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)))
}

fn ours(arguments: &[&Path]) -> (bool, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_countersign")).arg("verify").args(arguments).output().unwrap();
    (done.status.success(), format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)))
}

fn table(folder: &Path, name: &str) -> Vec<Row> {
    parsed(&std::fs::read_to_string(folder.join(name)).unwrap())
}

fn manifest_of(folder: &Path) -> Manifest {
    serde_json::from_str(&std::fs::read_to_string(folder.join("manifest.json")).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_holds_every_file_and_is_verified_here_and_by_a_program_of_another_hand() {
    let sealed = Sealed::new().await;
    sealed.one_of_each().await;
    let zip = sealed.taken(&everything(), "all.zip").await;
    let all = checked(&zip).unwrap_or_else(|fault| panic!("{fault}"));
    let folder = sealed.unpacked(&zip, "all");
    assert_eq!(checked(&folder).unwrap(), all);

    let manifest = manifest_of(&folder);
    let mut names: Vec<String> = File::of_bundle().map(File::name).collect();
    names.extend(["VERIFY.md", "checkpoint", "proof.json", "replay.csv", "events.jsonl"].map(String::from));
    let told: BTreeSet<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(told, names.iter().map(String::as_str).collect());
    assert_eq!(manifest.files.len(), 18);
    for file in File::of_bundle() {
        let text = std::fs::read_to_string(folder.join(file.name())).unwrap();
        let header = text.lines().next().unwrap();
        assert_eq!(header, file.header().collect::<Vec<_>>().join(","), "{file:?}");
        let entry = manifest.files.iter().find(|entry| entry.name == file.name()).unwrap();
        assert_eq!(entry.rows as usize, parsed(&text).len(), "{file:?}");
        assert!(entry.query.as_ref().unwrap().starts_with(['s', 'w']) && !entry.query.as_ref().unwrap().contains("$1"));
    }
    assert_eq!((table(&folder, "requests.csv").len(), table(&folder, "grants.csv").len(), table(&folder, "replay.csv").len()), (3, 2, 3));
    assert!(table(&folder, "replay.csv").iter().all(|row| row["equal"] == "true"));
    assert_eq!(manifest.replayed, (3, 0));
    assert_eq!((manifest.exported_by.as_str(), manifest.channel.as_str(), manifest.from.as_ref()), ("operator", "cli", None));
    assert_eq!((&manifest.to, &manifest.as_of), (&manifest.frozen_at, &manifest.frozen_at));
    assert_eq!(manifest.controls.len(), 9);
    let directory = &manifest.directories[0];
    assert!(directory.directory == "main" && directory.sync_id.is_some() && directory.synced_at.is_some() && directory.compared_at.is_some());
    let events = std::fs::read_to_string(folder.join("events.jsonl")).unwrap();
    assert_eq!(events.lines().count().to_string(), manifest.checkpoint_size);
    let last: serde_json::Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    assert_eq!((last["kind"].as_str(), last["event_id"].as_str()), (Some("evidence.exported"), manifest.export_event.as_deref()), "that it was taken is in it");
    assert_eq!(table(&folder, "admin_activity.csv").last().unwrap()["object"], "bundle.zip");

    for path in [&zip, &folder] {
        assert_eq!(other(path), (true, format!("verified {}\n", events.lines().count())));
        let (well, said) = ours(&[path]);
        assert!(well && said.contains("Verified: 18 files") && said.contains("Verified: ") && said.contains("Give --key"), "{said}");
    }
    let (well, said) = ours(&[&folder.join("grants.csv")]);
    assert!(well && said.contains("Verified: 1 file, 2 rows") && said.contains("Only this file"), "{said}");
    assert!(ours(&[&folder.join("events.jsonl")]).0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_to_a_bundle_is_found_and_named() {
    let sealed = Sealed::new().await;
    sealed.one_of_each().await;
    let first = sealed.taken(&everything(), "first.zip").await;
    let first = sealed.unpacked(&first, "first");
    sealed.world.advance(Duration::days(2)).await;
    let from = sealed.world.now();
    sealed.world.turn().await;
    sealed.one_of_each().await;
    sealed.over().await;
    sealed.one_of_each().await;
    let later = sealed.taken(&Taking { from: Some(from), ..everything() }, "later.zip").await;
    let later = sealed.unpacked(&later, "later");

    type Tampering<'a> = &'a dyn Fn(&Path);
    let read = |folder: &Path, name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let rewrite = |folder: &Path, name: &str, change: &dyn Fn(String) -> String| {
        let (before, path) = (read(folder, name), folder.join(name));
        let after = change(before.clone());
        assert_ne!(before, after, "{name} was to be changed");
        std::fs::write(path, after).unwrap();
    };
    let rows = |folder: &Path, name: &str, change: &dyn Fn(&mut Vec<String>)| {
        rewrite(folder, name, &|text| {
            let mut rows: Vec<String> = text.split_inclusive("\r\n").map(String::from).collect();
            change(&mut rows);
            rows.concat()
        });
    };
    let lines = |folder: &Path, change: &dyn Fn(&mut Vec<String>)| {
        rewrite(folder, "events.jsonl", &|text| {
            let mut lines: Vec<String> = text.split_inclusive('\n').map(String::from).collect();
            change(&mut lines);
            lines.concat()
        });
    };
    let stranger = PrivateKey::new("access.example.com/log", [9; 32]).unwrap();
    let cases: &[(Tampering, &str, &str)] = &[
        (&|folder| rows(folder, "requests.csv", &|rows| rows[2] = rows[2].replace("denied", "approved")), "requests.csv", "changed: Row 2 was changed."),
        (&|folder| rows(folder, "requests.csv", &|rows| drop(rows.remove(2))), "requests.csv", "dropped: Row 2 is missing."),
        (&|folder| rows(folder, "requests.csv", &|rows| rows.truncate(3)), "requests.csv", "dropped: Row 3 is missing, and all that follows it."),
        (&|folder| rows(folder, "grants.csv", &|rows| rows.insert(1, rows[1].replace("-", "+"))), "grants.csv", "inserted: Row 1 was added."),
        (&|folder| rows(folder, "grants.csv", &|rows| rows.insert(1, rows[1].clone())), "grants.csv", "duplicated: Row 2 stands there twice."),
        (&|folder| rows(folder, "grants.csv", &|rows| rows.swap(1, 2)), "grants.csv", "reordered: Row 2 stands where row 1 belongs."),
        (&|folder| rows(folder, "sod.csv", &|rows| rows.push(rows[0].clone())), "sod.csv", "duplicated: Row 1 stands there twice."),
        (&|folder| rows(folder, "access.csv", &|rows| rows[0] = rows[0].replace("until", "since")), "access.csv", "changed: The header was changed."),
        (
            &|folder| drop(std::fs::copy(later.join("requests.csv"), folder.join("requests.csv"))),
            "requests.csv",
            "wrong_period: None of its rows is one of this bundle's: it is of another period, or of another bundle.",
        ),
        (&|folder| std::fs::remove_file(folder.join("leavers.csv")).unwrap(), "leavers.csv", "dropped: The file is missing."),
        (&|folder| std::fs::write(folder.join("grants-2.csv"), "grant_id\r\n").unwrap(), "grants-2.csv", "inserted: The manifest knows of no such file."),
        (&|folder| rewrite(folder, "VERIFY.md", &|text| text + "Trust us.\n"), "VERIFY.md", "inserted: "),
        (&|folder| rewrite(folder, "manifest.json", &|text| text.replace("\"operator\"", "\"nobody\"")), "manifest.json", "changed: "),
        (
            &|folder| {
                // A manifest that fits the changed file needs another signature.
                rows(folder, "requests.csv", &|rows| drop(rows.remove(2)));
                let mut manifest = manifest_of(folder);
                manifest.files.retain(|file| file.name != "requests.csv");
                let text = serde_json::to_string_pretty(&manifest).unwrap();
                let hash = countersign::evidence::canonical::digest(&text);
                std::fs::write(folder.join("manifest.json"), &text).unwrap();
                std::fs::write(folder.join("manifest.note"), stranger.sign(&countersign::evidence::manifest::statement(&hash))).unwrap();
            },
            "manifest.note",
            "wrong_key: ",
        ),
        (&|folder| drop(std::fs::copy(later.join("checkpoint"), folder.join("checkpoint"))), "checkpoint", "wrong_checkpoint: "),
        (
            &|folder| {
                for name in ["events.jsonl", "proof.json", "checkpoint"] {
                    std::fs::copy(later.join(name), folder.join(name)).unwrap();
                }
            },
            "checkpoint",
            "wrong_checkpoint: ",
        ),
        (&|folder| drop(std::fs::copy(later.join("proof.json"), folder.join("proof.json"))), "proof.json", "wrong_period: "),
        (&|folder| drop(std::fs::copy(later.join("events.jsonl"), folder.join("events.jsonl"))), "events.jsonl", "inserted: "),
        (&|folder| lines(folder, &|lines| lines[3] = lines[3].replacen("\"channel\":\"", "\"channel\":\"x", 1)), "events.jsonl", "changed: Leaf 3 was changed"),
        (&|folder| lines(folder, &|lines| drop(lines.remove(3))), "events.jsonl", "dropped: Leaf 3 is missing"),
        (&|folder| lines(folder, &|lines| lines.insert(4, lines[3].clone())), "events.jsonl", "duplicated: Leaf 3 is there twice"),
        (&|folder| lines(folder, &|lines| lines.swap(3, 4)), "events.jsonl", "dropped: Leaf 3 is missing, or stands elsewhere"),
        (&|folder| lines(folder, &|lines| lines.truncate(9)), "events.jsonl", "dropped: Leaves 9 to"),
    ];
    assert!(checked(&first).is_ok() && other(&first).0);
    for (number, &(tamper, file, said)) in cases.iter().enumerate() {
        let folder = sealed.folder.path().join(format!("tampered-{number}"));
        std::fs::create_dir(&folder).unwrap();
        for entry in std::fs::read_dir(&first).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
        tamper(&folder);
        let fault = checked(&folder).unwrap_err();
        assert_eq!(fault.file, file, "{number}: {fault}");
        let found = format!("{}: {}", fault.finding.kind, fault.finding.sentence);
        assert!(found.starts_with(said), "{number}: {found} is not {said}");
        assert!(!other(&folder).0, "{number}: {said}");
        if number < 9 {
            // A table alone is told of just as well.
            assert_eq!(check_file(&Source::open(&folder).unwrap(), file, &[whole_key().into()], |_, _| {}), Err(fault));
            assert!(!ours(&[&folder.join(file)]).0);
        }
    }
    let mut key = whole_key().to_string();
    key.push('\n');
    std::fs::write(sealed.folder.path().join("right"), key).unwrap();
    std::fs::write(sealed.folder.path().join("wrong"), stranger.public().to_string()).unwrap();
    let with = |name: &str| ours(&[&first, Path::new("--key"), &sealed.folder.path().join(name)]);
    assert!(with("right").0 && !with("right").1.contains("Give --key"));
    assert!(!with("wrong").0 && with("wrong").1.contains("(wrong_key)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_of_a_role_or_a_person_holds_only_what_is_about_it_and_is_verified_all_the_same() {
    let sealed = Sealed::new().await;
    sealed.one_of_each().await;
    sealed.over().await;
    sealed.one_of_each().await;
    let role = sealed.world.role("orders-db", "reader").await;
    let yusuf = sealed.world.person("yusuf.demir").await;
    for (name, narrow) in [("role", Taking { role: Some(role), ..everything() }), ("person", Taking { person: Some(yusuf), ..everything() })] {
        let zip = sealed.taken(&narrow, &format!("{name}.zip")).await;
        let all = checked(&zip).unwrap_or_else(|fault| panic!("{fault}"));
        let folder = sealed.unpacked(&zip, name);
        let events = all.events.unwrap();
        assert!(events.withheld > 5 && events.events > 5);
        let text = std::fs::read_to_string(folder.join("events.jsonl")).unwrap();
        assert_eq!(other(&zip), (true, format!("verified {}\n", events.events)), "{text}");
        assert!(ours(&[&zip]).1.contains("the list is narrowed"));
        if name == "role" {
            assert!(table(&folder, "requests.csv").iter().all(|row| row["role_id"] == role.to_string()));
            assert!(!text.contains("Warehouse") && text.contains("Orders DB"));
            assert_eq!(table(&folder, "replay.csv").len(), table(&folder, "requests.csv").len());
            assert_eq!(table(&folder, "control_totals.csv").iter().filter(|row| row["reason"].is_empty()).count(), 1);
        } else {
            assert!(table(&folder, "requests.csv").iter().all(|row| row["beneficiary_name"] == "Yusuf Demir"));
            assert!(table(&folder, "grants.csv").is_empty() && !text.contains("Bo Lind"));
        }
        // Outside of a bundle nothing is ever withheld.
        let bare = sealed.folder.path().join(format!("{name}-bare"));
        std::fs::create_dir(&bare).unwrap();
        for file in ["events.jsonl", "proof.json", "checkpoint", "key"] {
            std::fs::copy(folder.join(file), bare.join(file)).unwrap();
        }
        assert!(!other(&bare).0 && ours(&[&bare]).1.contains("there are only hashes"));
        assert!(ours(&[&folder.join("events.jsonl")]).1.contains("the list is narrowed"));
        // Neither a hash nor the place of what is withheld can be changed.
        let line = text.lines().find(|line| line.contains("withheld")).unwrap();
        let hash = line.split("withheld\":[\"").nth(1).unwrap().split('"').next().unwrap();
        for (from, to) in [(hash, "00".repeat(32)), (line, line.replacen("\"end\":\"", "\"end\":\"1", 1)), (&*format!("{line}\n"), String::new())] {
            std::fs::write(folder.join("events.jsonl"), text.replacen(from, &to, 1)).unwrap();
            let fault = checked(&folder).unwrap_err();
            assert_eq!(fault.file, "events.jsonl", "{fault}");
            assert!(!other(&folder).0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_whole_bundle_no_event_can_be_hidden_behind_its_hash() {
    let sealed = Sealed::new().await;
    sealed.one_of_each().await;
    let folder = sealed.unpacked(&sealed.taken(&everything(), "whole.zip").await, "whole");
    assert!(ours(&[&folder.join("events.jsonl")]).0);
    let text = std::fs::read_to_string(folder.join("events.jsonl")).unwrap();
    let line = text.lines().nth(7).unwrap();
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    let hidden = serde_json::json!({"end": "8", "first": "7", "withheld": [event["leaf_hash"]]}).to_string();
    std::fs::write(folder.join("events.jsonl"), text.replacen(line, &hidden, 1)).unwrap();
    for path in [&folder, &folder.join("events.jsonl")] {
        let (good, says) = ours(&[path]);
        assert!(!good && says.contains("events.jsonl"), "{says}");
    }
    assert!(!other(&folder).0);
    // Nor by a manifest that nobody signed, nor by one that says of itself that it is narrowed.
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
    std::fs::write(folder.join("manifest.json"), manifest.replacen('{', "{\"role\":\"11111111-1111-4111-8111-111111111111\",", 1)).unwrap();
    let (good, says) = ours(&[&folder.join("events.jsonl")]);
    assert!(!good && says.contains("not the one that was signed"), "{says}");
    std::fs::write(folder.join("manifest.json"), "{}").unwrap();
    assert!(!ours(&[&folder.join("events.jsonl")]).0);
    std::fs::remove_file(folder.join("manifest.note")).unwrap();
    assert!(!ours(&[&folder.join("events.jsonl")]).0);
    std::fs::remove_file(folder.join("manifest.json")).unwrap();
    assert!(ours(&[&folder.join("events.jsonl")]).1.contains("there are only hashes"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_is_of_one_moment_whatever_happens_meanwhile() {
    let sealed = Sealed::new().await;
    sealed.one_of_each().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let load = async {
        let mut rounds = 0;
        while !*stopped.borrow() {
            let asked = sealed.world.ask("bo.lind", "warehouse", "analyst", HOUR).await;
            if let Ok(asked) = asked {
                let (grant, _) = sealed.world.grant(asked.id).await;
                sealed.world.turn().await;
                countersign::service::end::end(&sealed.ctx, &sealed.world.by("bo.lind").await, grant, false, None).await.unwrap();
            }
            sealed.world.turn().await;
            rounds += 1;
        }
        rounds
    };
    let take = async {
        let mut folders = Vec::new();
        for number in 0..5 {
            let zip = sealed.taken(&everything(), &format!("{number}.zip")).await;
            checked(&zip).unwrap_or_else(|fault| panic!("{fault}"));
            folders.push(sealed.unpacked(&zip, &number.to_string()));
        }
        stop.send(true).unwrap();
        folders
    };
    let (rounds, folders) = tokio::join!(load, take);
    assert!(rounds > 2, "something happened meanwhile");
    for folder in folders {
        let ids = |name: &str, column: &str| table(&folder, name).into_iter().map(|mut row| row.remove(column).unwrap()).collect::<Vec<_>>();
        let requests: BTreeMap<String, Row> = table(&folder, "requests.csv").into_iter().map(|row| (row["request_id"].clone(), row)).collect();
        let grants = table(&folder, "grants.csv");
        for grant in &grants {
            assert_eq!(requests[&grant["request_id"]]["status"], "approved");
        }
        assert_eq!(requests.values().filter(|row| row["status"] == "approved").count(), grants.len(), "each approved request has its grant");
        assert_eq!(ids("replay.csv", "request_id").into_iter().collect::<BTreeSet<_>>(), requests.keys().cloned().collect());
        let grant_ids: BTreeSet<String> = grants.iter().map(|row| row["grant_id"].clone()).collect();
        assert!(ids("access.csv", "grant_id").iter().filter(|id| !id.is_empty()).all(|id| grant_ids.contains(id)));
        // Whatever a row cites is in the list.
        let events: BTreeSet<String> = std::fs::read_to_string(folder.join("events.jsonl"))
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["event_id"].as_str().unwrap().to_owned())
            .collect();
        for file in File::of_bundle() {
            for row in table(&folder, &file.name()) {
                for cited in ["event_seq_first", "event_seq_last"].map(|column| row[column].clone()).iter().filter(|cited| !cited.is_empty()) {
                    assert!(events.contains(cited), "{file:?} cites {cited}");
                }
            }
        }
        let total = |column: &str| table(&folder, "control_totals.csv").iter().filter_map(|row| row[column].parse::<usize>().ok()).sum::<usize>();
        let verified = grants.iter().filter(|row| !row["verified_at"].is_empty()).count();
        assert_eq!(total("granted"), verified);
        assert_eq!(total("closing_active"), grants.iter().filter(|row| !row["verified_at"].is_empty() && row["end_verified_at"].is_empty()).count());
        assert!(table(&folder, "control_totals.csv").iter().all(|row| row["reason"] != "does_not_add_up"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_that_breaks_off_frees_everything_and_is_simply_made_again() {
    let sealed = Sealed::new().await;
    sealed.one_of_each().await;
    // Enough that it does not fit into what is on its way.
    sqlx::query("insert into countersign.audit_event (kind, actor_kind, channel, data) select 'test.many', 'system', 'system', jsonb_build_object('x', (select string_agg(md5(i::text || j::text), '') from generate_series(1, 16) j)) from generate_series(1, 6000) i")
        .execute(&sealed.world.root)
        .await
        .unwrap();
    for _ in 0..6 {
        // Four at a time: what was given up makes room.
        let again = tokio::time::timeout(std::time::Duration::from_secs(120), async {
            loop {
                match bundle_by_operator(&sealed.ctx, &everything()).await {
                    Ok(begun) => return begun,
                    Err(ServiceError::Unavailable(why)) if why.contains("under way") => tokio::task::yield_now().await,
                    Err(other) => panic!("{other}"),
                }
            }
        });
        let (mut download, progress) = again.await.expect("a place becomes free");
        assert!(download.next().await.unwrap().is_ok());
        assert!(progress.seen().nth <= progress.seen().of && progress.seen().to == "the command line");
        drop(download);
    }
    tokio::time::timeout(std::time::Duration::from_secs(120), async {
        while under_way().iter().any(|step| step.to == "the command line") {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("nothing is under way any more");
    let zip = sealed.taken(&everything(), "whole.zip").await;
    assert!(checked(&zip).is_ok());
    assert_eq!(
        std::fs::read_dir(sealed.folder.path()).unwrap().filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "part")).count(),
        0
    );
    let bytes = std::fs::read(&zip).unwrap();
    std::fs::write(&zip, &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(checked(&zip).unwrap_err().finding.kind, "unreadable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_auditors_and_administrators_take_bundles_and_the_log_says_who() {
    let sealed = Sealed::new().await;
    sealed.one_of_each().await;
    for who in ["bo.lind", "arjun.mehta", "mara.voss"] {
        assert!(matches!(bundle(&sealed.ctx, &sealed.world.by(who).await, &everything()).await, Err(ServiceError::Missing)), "{who}");
    }
    let events = async || sealed.world.one::<i64>("select count(*) from countersign.audit_event where kind = 'evidence.exported'").await;
    assert_eq!(events().await, 0);
    let nobody = Taking { person: Some(countersign::domain::id::PersonId(uuid::Uuid::nil())), ..everything() };
    let auditor = sealed.world.by("wei.zhang").await;
    assert!(matches!(bundle(&sealed.ctx, &auditor, &nobody).await, Err(ServiceError::Missing)));
    let backwards = Taking { from: Some(sealed.world.now()), to: Some(sealed.world.now() - Duration::days(1)), ..everything() };
    assert!(matches!(bundle(&sealed.ctx, &auditor, &backwards).await, Err(ServiceError::Refused(_))));
    assert!(bundle(&sealed.world.ctx, &auditor, &everything()).await.is_err(), "without a key there is no bundle");
    assert_eq!(events().await, 0);
    let safe = Taking { mode: Mode::Safe, ..everything() };
    let (download, _) = bundle(&sealed.ctx, &auditor, &safe).await.unwrap();
    assert!(download.name.ends_with("_safe.zip"));
    let path = sealed.folder.path().join("safe.zip");
    download.save(&path).await.unwrap();
    assert_eq!(events().await, 1);
    let all = checked(&path).unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!((all.manifest.exported_by, all.manifest.mode.as_str()), (auditor.person.to_string(), "safe"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_and_the_page_give_bundles_that_another_machine_verifies() {
    let town = Town::new().await;
    let asked = town.world.ask("bo.lind", "orders-db", "reader", HOUR).await.unwrap();
    town.world.answer("mara.voss", asked.id, YES).await.unwrap();
    town.grant_is(asked.id.0, "active").await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("role.zip");
    let path = out.to_str().unwrap();
    let said = town.server.beside(&["export", "bundle", "--from", "2020-01-01", "--role", "orders-db/reader", "--out", path]);
    assert!(said.status.success(), "{said:?}");
    let (well, text) = ours(&[&out]);
    assert!(well && text.contains("Period: 2020-01-01T00:00:00.000000Z to ") && text.contains("Only of the role"), "{text}");
    assert!(other(&out).0);
    for (wrong, why) in [
        (&["export", "bundle", "--out", path, "--person", "nobody"][..], "there is nobody who signs in as nobody"),
        (&["export", "bundle"], "say which with --out"),
        (&["export", "everything"], "and bundle"),
        (&["export", "bundle", "--out", path, "--from", "2026-02-01", "--to", "2026-01-01"], "must end after it begins"),
    ] {
        let said = town.server.beside(wrong);
        assert!(!said.status.success() && String::from_utf8_lossy(&said.stderr).contains(why), "{said:?}");
    }
    let access = town.server.beside(&["export", "access", "--as-of", "2020-01-01", "--person", "bo.lind"]);
    assert_eq!(parsed(&String::from_utf8(access.stdout).unwrap()).len(), 0, "then there was nothing");
    let access = town.server.beside(&["export", "access", "--person", "bo.lind"]);
    assert_eq!(parsed(&String::from_utf8(access.stdout).unwrap()).iter().filter(|row| row["source"] == "request").count(), 1);

    let auditor = town.visitor("wei.zhang").await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let cookie = format!("countersign={}", auditor.session().unwrap());
    let answer = client.get(format!("{}/evidence/bundle.zip?days=30", town.server.url)).header("cookie", cookie).send().await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!((answer.status().as_u16(), header("content-type").as_str()), (200, "application/zip"));
    assert!(header("content-disposition").starts_with("attachment; filename=\"countersign_") && header("content-disposition").ends_with(".zip\""));
    let taken = folder.path().join("page.zip");
    std::fs::write(&taken, answer.bytes().await.unwrap()).unwrap();
    assert!(ours(&[&taken]).0 && other(&taken).0);
}
