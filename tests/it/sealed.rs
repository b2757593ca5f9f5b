//! The sealed log: complete, signed, and proof against its owner.

use std::path::Path;
use std::process::Command;

use chrono::Duration;
use countersign::domain::approval::Answer;
use countersign::domain::event::{Actor, Channel};
use countersign::evidence::note::{Checkpoint, PrivateKey, PublicKey};
use countersign::evidence::verify::{self, Finding, Proof, Verified};
use countersign::service::ctx::Ctx;
use countersign::service::error::ServiceError;
use countersign::service::event_list::{self, List};
use countersign::service::seal::{self, Sealer};
use tempfile::TempDir;

use crate::world::World;

const HOUR: i64 = 3_600;

/// A world whose log is sealed with a key in a folder of its own.
pub struct Sealed {
    /// The world, whose own services seal nothing.
    pub world: World,
    /// The services that seal.
    pub ctx: Ctx,
    /// Where the last checkpoint is kept.
    pub folder: TempDir,
}

fn sealer(folder: &Path) -> Sealer {
    let key = PrivateKey::new("access.example.com/log", [3; 32]).unwrap();
    Sealer::open(key, &folder.join("signing.checkpoint")).unwrap()
}

/// The key that verifies in these tests.
pub fn key_of_these() -> PublicKey {
    whole_key()
}

/// The same, as others here call it.
pub fn whole_key() -> PublicKey {
    PrivateKey::new("access.example.com/log", [3; 32]).unwrap().public()
}

impl Sealed {
    /// A fresh one, with the demo's catalog.
    pub async fn new() -> Self {
        let world = World::new().await;
        let folder = TempDir::new().unwrap();
        let ctx = Ctx { sealer: Some(sealer(folder.path())), ..world.ctx.clone() };
        Self { world, ctx, folder }
    }

    /// The sealer as a process that begins now has it.
    pub fn sealer_anew(&self) -> Sealer {
        sealer(self.folder.path())
    }

    /// A life of one access, so that the log has something to tell.
    pub async fn live(&self) {
        let asked = self.world.ask("bo.lind", "orders-db", "writer", 4 * HOUR).await.unwrap();
        self.world.answer("mara.voss", asked.id, Answer::Approve { granted: None }).await.unwrap();
        self.world.turn().await;
    }

    /// The whole event list.
    pub async fn list(&self) -> (List, String) {
        let list = event_list::prepare(&self.ctx, None, None, Actor::System, Channel::Cli).await.unwrap();
        let text = self.lines(&list).await;
        (list, text)
    }

    async fn lines(&self, list: &List) -> String {
        self.lines_of(&self.ctx, list).await
    }

    /// The lines of a list of these services.
    pub async fn lines_of(&self, ctx: &Ctx, list: &List) -> String {
        let (mut text, mut at) = (String::new(), list.first);
        while let Some((more, next)) = event_list::lines(ctx, list, at).await.unwrap() {
            text.push_str(&more);
            at = next;
        }
        text
    }

    /// Owner's SQL that no guard stops: they are switched off first, as an owner can.
    async fn as_owner(&self, sql: &'static str) {
        self.world.tampered("an owner rewrites the log to see that it is found");
        let mut tx = self.world.root.begin().await.unwrap();
        sqlx::query("set local session_replication_role = replica").execute(&mut *tx).await.unwrap();
        for table in ["audit_event", "audit_leaf", "audit_node", "audit_checkpoint", "audit_unsealed"] {
            sqlx::query(sqlx::AssertSqlSafe(format!("alter table countersign.{table} disable trigger user"))).execute(&mut *tx).await.unwrap();
        }
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
        for table in ["audit_event", "audit_leaf", "audit_node", "audit_checkpoint", "audit_unsealed"] {
            sqlx::query(sqlx::AssertSqlSafe(format!("alter table countersign.{table} enable trigger user"))).execute(&mut *tx).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
}

/// Checks it with the key of these tests.
pub fn check(list: &List, text: &str) -> Result<Verified, Finding> {
    verify::checkpoint(&list.note, &whole_key()).and_then(|signed| verify::events(text.as_bytes(), &list.proof, signed, None, |_| {}))
}

/// Writes the list into a folder, as `countersign log` does.
pub fn written(out: &Path, list: &List, text: &str) {
    std::fs::create_dir(out).unwrap();
    for (name, content) in
        [("events.jsonl", text), ("checkpoint", &list.note), ("key", &list.key), ("proof.json", &serde_json::to_string(&list.proof).unwrap())]
    {
        std::fs::write(out.join(name), content).unwrap();
    }
}

/// What the verifier in Python says of a folder.
pub fn program(arguments: &[&str]) -> (bool, String) {
    let verifier = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/verify.py");
    let done = Command::new("python3").arg(verifier).args(arguments).output().unwrap();
    (done.status.success(), format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_has_its_leaf_and_the_list_is_verified_here_and_by_a_program_of_another_hand() {
    let sealed = Sealed::new().await;
    sealed.live().await;
    let (list, text) = sealed.list().await;
    let events: i64 = sealed.world.one("select count(*) from countersign.audit_event").await;
    assert_eq!((list.first, list.end), (0, events as u64));
    assert_eq!(check(&list, &text).unwrap().events, events as u64);
    assert_eq!(sealed.world.one::<i64>("select count(*) from countersign.audit_unsealed").await, 0);
    assert!(text.lines().last().unwrap().contains("evidence.exported"), "that it was taken is the last of it");

    let out = sealed.folder.path().join("list");
    written(&out, &list, &text);
    let ours = || Command::new(env!("CARGO_BIN_EXE_countersign")).arg("verify").arg(&out).output().unwrap();
    let folder = out.to_str().unwrap();
    assert_eq!(program(&[folder]), (true, format!("verified {events}\n")));
    assert!(ours().status.success(), "{:?}", ours());
    let forged = text.replacen("Bo Lind", "Bo Lund", 1);
    assert_ne!(forged, text);
    std::fs::write(out.join("events.jsonl"), forged).unwrap();
    assert!(!program(&[folder]).0 && !ours().status.success());
    assert!(String::from_utf8_lossy(&ours().stdout).contains("(changed)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_period_is_verified_without_the_rest_of_the_log() {
    let sealed = Sealed::new().await;
    sealed.live().await;
    sealed.world.advance(Duration::days(2)).await;
    let from = sealed.world.now();
    sealed.live_again().await;
    sealed.world.advance(Duration::days(2)).await;
    let to = sealed.world.now();
    sealed.world.turn().await;
    let list = event_list::prepare(&sealed.ctx, Some((from, to)), None, Actor::System, Channel::Cli).await.unwrap();
    let text = sealed.lines(&list).await;
    assert!(list.first > 0 && check(&list, &text).unwrap().events == list.end - list.first);
    assert!(text.contains("grant.expired") || text.contains("request.submitted"));
    let nothing = event_list::prepare(&sealed.ctx, Some((to + Duration::days(50), to + Duration::days(51))), None, Actor::System, Channel::Cli).await.unwrap();
    assert_eq!(check(&nothing, "").unwrap().events, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_goes_on_from_a_checkpoint_that_somebody_kept_or_it_is_told() {
    let sealed = Sealed::new().await;
    sealed.live().await;
    let (old, _) = sealed.list().await;
    sealed.world.advance(Duration::days(2)).await;
    sealed.live_again().await;
    sealed.world.advance(Duration::days(2)).await;
    let from = sealed.world.now();
    sealed.live().await;
    let kept = verify::checkpoint(&old.note, &whole_key()).unwrap();
    let check = |list: &List, text: &str, kept: &Checkpoint| {
        let signed = verify::checkpoint(&list.note, &whole_key()).unwrap();
        verify::events(text.as_bytes(), &list.proof, signed, Some(kept), |_| {}).map(drop).map_err(|finding| finding.kind)
    };
    // The whole log shows it by its leaves.
    let (list, text) = sealed.list().await;
    assert!(list.end > kept.size && list.proof.consistency.is_empty());
    assert_eq!(check(&list, &text, &kept), Ok(()));
    let mut forged = kept.clone();
    forged.root[0] ^= 1;
    assert_eq!(check(&list, &text, &forged), Err("rewritten"));
    assert_eq!(check(&list, &text, &Checkpoint { size: list.end + 1, ..kept.clone() }), Err("rewritten"), "it was cut");
    assert_eq!(check(&list, &text, &Checkpoint { origin: "elsewhere".into(), ..kept.clone() }), Err("rewritten"));
    // A period after it by a path, if the list was taken with one.
    let period = Some((from, sealed.world.now() + Duration::days(1)));
    let list = event_list::prepare(&sealed.ctx, period, None, Actor::System, Channel::Cli).await.unwrap();
    let text = sealed.lines(&list).await;
    assert!(list.first > kept.size, "the period begins after it");
    assert_eq!(check(&list, &text, &kept), Err("unproved"));
    let list = event_list::prepare(&sealed.ctx, period, Some(&old.note), Actor::System, Channel::Cli).await.unwrap();
    let text = sealed.lines(&list).await;
    assert_eq!(check(&list, &text, &kept), Ok(()));
    assert_eq!(check(&list, &text, &forged), Err("rewritten"));
    // What is no checkpoint of this log is not taken for one.
    let other = PrivateKey::new("access.example.com/log", [4; 32]).unwrap();
    for bad in ["", "nothing\n", &other.sign(&format!("{}\n", old.note.split("\n\n").next().unwrap()))] {
        assert!(event_list::prepare(&sealed.ctx, None, Some(bad), Actor::System, Channel::Cli).await.is_err(), "{bad}");
    }
}

impl Sealed {
    /// Something more for the log to tell.
    pub async fn live_again(&self) {
        self.world.turn().await;
        let asked = self.world.ask("bo.lind", "orders-db", "reader", HOUR).await.unwrap();
        self.world.answer("mara.voss", asked.id, Answer::Deny).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_owner_rewrites_in_the_database_is_found() {
    for (sql, kind) in [
        ("update countersign.audit_event set actor_name = 'Mallory' where actor_name is not null", "changed"),
        ("update countersign.audit_event set occurred_at = occurred_at - interval '1 day' where id = (select min(id) from countersign.audit_event)", "changed"),
        ("update countersign.audit_event set data = data || '{\"extra\": 1}' where kind = 'request.submitted'", "changed"),
        ("update countersign.audit_leaf set event_id = -event_id where leaf_index = 3", "dropped"),
        ("delete from countersign.audit_leaf where leaf_index = (select max(leaf_index) from countersign.audit_leaf)", "dropped"),
    ] {
        let sealed = Sealed::new().await;
        sealed.live().await;
        let (list, text) = sealed.list().await;
        assert!(check(&list, &text).is_ok());
        sealed.as_owner(sql).await;
        let mut rewritten = String::new();
        let mut at = list.first;
        // What the server would hand out now, under the checkpoint of then.
        while let Ok(Some((more, next))) = event_list::lines(&sealed.ctx, &list, at).await {
            rewritten.push_str(&more);
            at = next;
        }
        assert_eq!(check(&list, &rewritten).unwrap_err().kind, kind, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_begins_otherwise_than_what_was_signed_is_not_sealed_until_somebody_says_why() {
    let sealed = Sealed::new().await;
    sealed.live().await;
    seal::seal(&sealed.ctx).await.unwrap();
    let before = seal::sign(&sealed.ctx, true).await.unwrap().unwrap();
    // An older backup: the last events were never there.
    sealed
        .as_owner(
            "with gone as (delete from countersign.audit_leaf where leaf_index >= 5 returning event_id), nodes as (delete from countersign.audit_node),
             signed as (delete from countersign.audit_checkpoint) delete from countersign.audit_event where id in (select event_id from gone)",
        )
        .await;
    // The memory of this process knows more than the database; so does the file, after a restart.
    let again = Ctx { sealer: Some(sealed.sealer_anew()), ..sealed.ctx.clone() };
    for ctx in [&sealed.ctx, &again] {
        let error = seal::seal(ctx).await.unwrap_err();
        assert!(matches!(&error, ServiceError::Unavailable(why) if why.contains("not the one that was signed last")), "{error}");
        assert!(event_list::prepare(ctx, None, None, Actor::System, Channel::Cli).await.is_err(), "and nothing is handed out");
    }
    seal::accept(&again, "the disk broke; restored the backup of last night").await.unwrap();
    let list = event_list::prepare(&again, None, None, Actor::System, Channel::Cli).await.unwrap();
    let text = sealed.lines(&list).await;
    assert!(check(&list, &text).is_ok());
    assert!(text.contains("evidence.log_restored") && text.contains("the disk broke"));
    // Whoever kept the earlier checkpoint sees that it is no longer the beginning.
    let (old, new) = (verify::checkpoint(&before, &whole_key()).unwrap(), verify::checkpoint(&list.note, &whole_key()).unwrap());
    let found = verify::events(text.as_bytes(), &list.proof, new, Some(&old), |_| {});
    assert!(matches!(found, Err(Finding { kind: "rewritten", .. })), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sealers_at_once_give_each_event_one_leaf() {
    let sealed = Sealed::new().await;
    let other = Ctx { sealer: Some(sealed.sealer_anew()), ..sealed.ctx.clone() };
    for _ in 0..3 {
        sealed.live_again().await;
        let (a, b) = tokio::join!(seal::seal(&sealed.ctx), seal::seal(&other));
        a.unwrap();
        b.unwrap();
    }
    let (list, text) = sealed.list().await;
    assert!(check(&list, &text).is_ok());
    assert_eq!(sealed.world.one::<i64>("select count(*) - count(distinct event_id) from countersign.audit_leaf").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grown_log_is_signed_soon_and_a_silent_one_now_and_then() {
    let sealed = Sealed::new().await;
    sealed.live().await;
    let signed = async || sealed.world.one::<i64>("select count(*) from countersign.audit_checkpoint").await;
    seal::seal(&sealed.ctx).await.unwrap();
    let first = signed().await;
    seal::seal(&sealed.ctx).await.unwrap();
    assert_eq!(signed().await, first, "nothing is new");
    sealed.world.advance(Duration::minutes(11)).await;
    seal::seal(&sealed.ctx).await.unwrap();
    assert_eq!(signed().await, first + 1, "silence is signed too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_shows_its_place_and_the_proof_of_it() {
    let sealed = Sealed::new().await;
    sealed.live().await;
    assert!(event_list::place(&sealed.ctx, 1).await.unwrap().is_none(), "not sealed yet");
    seal::seal(&sealed.ctx).await.unwrap();
    seal::sign(&sealed.ctx, true).await.unwrap();
    let ids: Vec<i64> = sqlx::query_scalar("select id from countersign.audit_event order by id").fetch_all(&sealed.world.root).await.unwrap();
    for id in ids {
        let place = event_list::place(&sealed.ctx, id).await.unwrap().unwrap();
        let signed = verify::checkpoint(&place.note, &whole_key()).unwrap();
        let root = countersign::evidence::merkle::root_by_inclusion(place.hash, place.leaf, signed.size, &place.path);
        assert_eq!(root, Some(signed.root), "event {id}");
    }
    assert!(event_list::place(&sealed.ctx, i64::MAX).await.unwrap().is_none());
}

#[test]
fn a_proof_reads_back_as_it_was_written() {
    let proof = Proof { v: "1".into(), first: "0".into(), end: "2".into(), before: vec![], after: vec!["00".into()], ..Proof::default() };
    assert_eq!(serde_json::from_str::<Proof>(&serde_json::to_string(&proof).unwrap()).unwrap(), proof);
}
