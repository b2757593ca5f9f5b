//! The key changes; whoever kept the old goes on.

use std::path::{Path, PathBuf};
use std::process::Command;

use countersign::domain::event::{Actor, Channel};
use countersign::evidence::note::{PrivateKey, PublicKey};
use countersign::evidence::rotation;
use countersign::service::ctx::Ctx;
use countersign::service::error::ServiceError;
use countersign::service::event_list;
use countersign::service::look::verify as look;
use countersign::service::seal::{self, Keys, Sealer};

use crate::sealed::{Sealed, written};

fn key(seed: u8) -> PrivateKey {
    PrivateKey::new("access.example.com/log", [seed; 32]).unwrap()
}

/// A server that signs with the key in a file of the world's folder.
fn server(sealed: &Sealed) -> (Ctx, PathBuf) {
    let file = sealed.folder.path().join("server.key");
    if !file.exists() {
        std::fs::write(&file, key(1).secret()).unwrap();
    }
    let keys = Keys::parse(&std::fs::read_to_string(&file).unwrap()).unwrap();
    (Ctx { sealer: Some(Sealer::of_file(keys, &file).unwrap()), ..sealed.world.ctx.clone() }, file)
}

/// Writes the whole list, with what proves which key followed which, as `countersign log` does; and its checkpoint.
async fn listed(ctx: &Ctx, out: &Path) -> String {
    let list = event_list::prepare(ctx, None, None, Actor::System, Channel::Cli).await.unwrap();
    let (mut text, mut at) = (String::new(), list.first);
    while let Some((more, next)) = event_list::lines(ctx, &list, at).await.unwrap() {
        text.push_str(&more);
        at = next;
    }
    written(out, &list, &text);
    std::fs::write(out.join("rotations.json"), serde_json::to_string(&list.rotations).unwrap()).unwrap();
    list.note
}

/// Has the log say that the key of one seed follows that of another.
async fn say(pool: &sqlx::PgPool, from: u8, to: u8, proof: &str) {
    let data = serde_json::json!({ "from": key(from).public().to_string(), "to": key(to).public().to_string(), "reason": "yearly", "proof": proof });
    let sql = "insert into audit_event (kind, actor_kind, channel, data) values ('log.key_rotated', 'system', 'cli', $1)";
    sqlx::query(sql).bind(data).execute(pool).await.unwrap();
}

fn verify(arguments: &[&Path]) -> (bool, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_countersign")).arg("verify").args(arguments).output().unwrap();
    (done.status.success(), format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_kept_the_old_key_and_a_checkpoint_goes_on_from_them() {
    let sealed = Sealed::new().await;
    let (ctx, file) = server(&sealed);
    let at = |name: &str| sealed.folder.path().join(name);
    let kept = listed(&ctx, &at("first")).await;
    let (beside, _) = server(&sealed);
    for (seed, why) in [(2, "it is a year old"), (3, "it was on a lost disk")] {
        let named = seal::rotate(&beside, key(seed), why).await.unwrap();
        assert_eq!(named, key(seed).public());
        assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), key(seed).secret(), "the old one is kept nowhere");
        let both: String = sealed.world.one("select note from audit_checkpoint order by id desc limit 1").await;
        assert!(key(seed).public().open(&both).is_ok() && key(seed - 1).public().open(&both).is_ok(), "{both}");
        let (who, role) = [("bo.lind", "reader"), ("bo.lind", "writer")][usize::from(seed) - 2];
        sealed.world.ask(who, "orders-db", role, 3_600).await.unwrap();
        sealed.world.advance(chrono::Duration::hours(9)).await;
        sealed.world.turn().await;
    }
    // The server that ran meanwhile takes the new key by itself.
    let last = listed(&ctx, &at("last")).await;
    assert!(key(3).public().open(&last).is_ok() && key(1).public().open(&last).is_err());

    for (name, text) in [("old", key(1).public().to_string()), ("new", key(3).public().to_string()), ("other", key(9).public().to_string()), ("kept", kept)] {
        std::fs::write(at(name), text).unwrap();
    }
    let folder = at("last");
    let (good, says) = verify(&[&folder, Path::new("--key"), &at("old"), Path::new("--checkpoint"), &at("kept")]);
    assert!(good && says.contains(&format!("named {}", key(3).public())) && says.contains("begins with what your checkpoint signed"), "{says}");
    assert!(verify(&[&folder, Path::new("--key"), &at("new")]).0);
    let (good, says) = verify(&[&folder, Path::new("--key"), &at("other")]);
    assert!(!good && says.contains("wrong_key") && says.contains("rotations.json"), "{says}");
    // Of a folder that does not show the change nothing is believed under the old key.
    std::fs::remove_file(folder.join("rotations.json")).unwrap();
    let (good, says) = verify(&[&folder, Path::new("--key"), &at("old")]);
    assert!(!good && says.contains("wrong_key"), "{says}");
    assert_eq!(sealed.world.one::<i64>("select count(*) from audit_event where kind = 'evidence.key_added'").await, 0);
    seal::announce(&ctx).await.unwrap();
    assert_eq!(sealed.world.one::<i64>("select count(*) from audit_event where kind = 'evidence.key_added'").await, 0, "the log named it before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_key_that_broke_off_anywhere_is_ended_by_the_next_one() {
    // After the new key was written; after the log named it; after it took the old one's place.
    for step in 1..=3 {
        let sealed = Sealed::new().await;
        let (ctx, file) = server(&sealed);
        seal::seal(&ctx).await.unwrap();
        let begun = Keys { key: key(2), previous: Some(key(1)) };
        std::fs::write(if step < 3 { file.with_extension("next") } else { file.clone() }, begun.secret()).unwrap();
        if step > 1 {
            say(&sealed.world.root, 1, 2, &rotation::proof(&key(1), &key(2))).await;
        }
        if step == 2 {
            sealed.world.advance(chrono::Duration::minutes(20)).await;
            let error = seal::seal(&ctx).await.unwrap_err();
            assert!(matches!(&error, ServiceError::Unavailable(why) if why.contains("names another key")), "{error}");
        }
        assert_eq!(seal::rotate(&ctx, key(7), "yearly").await.unwrap(), key(2).public(), "step {step}");
        assert_eq!(sealed.world.one::<i64>("select count(*) from audit_event where kind = 'log.key_rotated'").await, 1, "step {step}");
        let both: String = sealed.world.one("select note from audit_checkpoint order by id desc limit 1").await;
        let signed = |key: PublicKey| key.open(&both).is_ok();
        assert!(signed(key(1).public()) && signed(key(2).public()), "step {step}");
        assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), key(2).secret());
        assert!(!file.with_extension("next").exists());
        let out = sealed.folder.path().join("list");
        listed(&ctx, &out).await;
        std::fs::write(sealed.folder.path().join("old"), key(1).public().to_string()).unwrap();
        let (good, says) = verify(&[&out, Path::new("--key"), &sealed.folder.path().join("old")]);
        assert!(good, "step {step}: {says}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_can_only_write_into_the_log_makes_no_key_believed() {
    let sealed = Sealed::new().await;
    let (ctx, _) = server(&sealed);
    seal::seal(&ctx).await.unwrap();
    let pool = &sealed.world.root;
    // With the database's password and a key of one's own (9).
    say(pool, 1, 9, "").await;
    say(pool, 1, 9, &key(9).sign(key(9).public().open(&rotation::proof(&key(9), &key(1))).unwrap())).await;
    say(pool, 1, 9, &rotation::proof(&key(9), &key(9))).await;
    say(pool, 9, 1, &rotation::proof(&key(9), &key(1)).lines().take(5).collect::<Vec<_>>().join("\n")).await;
    say(pool, 9, 1, &key(9).sign("countersign key rotation v1\n")).await;
    sealed.world.advance(chrono::Duration::minutes(20)).await;
    seal::seal(&ctx).await.unwrap();
    seal::announce(&ctx).await.unwrap();
    let out = sealed.folder.path().join("list");
    let note = listed(&ctx, &out).await;
    assert!(key(1).public().open(&note).is_ok(), "it still signs");
    assert_eq!(std::fs::read_to_string(out.join("rotations.json")).unwrap(), "[]");
    assert!(look::verify(&ctx).await.unwrap().former.is_empty());
    let theirs = key(9).sign(key(1).public().open(&note).unwrap());
    let kept = event_list::prepare(&ctx, None, Some(&theirs), Actor::System, Channel::Cli).await;
    assert!(matches!(&kept, Err(ServiceError::Unavailable(why)) if why.contains("not signed by the key")), "{kept:?}");
    // And it does not keep the key from being changed.
    assert_eq!(seal::rotate(&ctx, key(2), "yearly").await.unwrap(), key(2).public());
    let out = sealed.folder.path().join("again");
    listed(&ctx, &out).await;
    std::fs::write(sealed.folder.path().join("old"), key(1).public().to_string()).unwrap();
    let (good, says) = verify(&[&out, Path::new("--key"), &sealed.folder.path().join("old")]);
    assert!(good && says.contains(&format!("named {}", key(2).public())), "{says}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_another_followed_signs_nothing_that_came_later() {
    let sealed = Sealed::new().await;
    let (ctx, _) = server(&sealed);
    let at = |name: &str| sealed.folder.path().join(name);
    let kept = listed(&ctx, &at("before")).await;
    seal::rotate(&ctx, key(2), "it was on a lost disk").await.unwrap();
    sealed.live().await;
    let note = listed(&ctx, &at("after")).await;
    std::fs::write(at("old"), key(1).public().to_string()).unwrap();
    std::fs::write(at("kept"), &kept).unwrap();
    assert!(verify(&[&at("after"), Path::new("--key"), &at("old"), Path::new("--checkpoint"), &at("kept")]).0);
    // Whoever finds the lost disk signs the log as it is today.
    let found = key(1).sign(key(2).public().open(&note).unwrap());
    std::fs::write(at("after").join("checkpoint"), &found).unwrap();
    let (good, says) = verify(&[&at("after"), Path::new("--key"), &at("old")]);
    assert!(!good && says.contains("(wrong_key)") && says.contains("named another key in the place of"), "{says}");
    let files = |name: &str| {
        let names = ["events.jsonl", "proof.json", "checkpoint", "rotations.json"].map(str::to_owned).to_vec();
        look::Files { folder: at(name), names, kept: String::new() }
    };
    let checked = look::check(&ctx, files("after")).await.unwrap();
    assert!(checked.as_ref().is_err_and(|why| why.contains("(wrong_key)")), "{checked:?}");
    let earlier = event_list::prepare(&ctx, None, Some(&found), Actor::System, Channel::Cli).await;
    assert!(matches!(&earlier, Err(ServiceError::Unavailable(why)) if why.contains("named another key")), "{earlier:?}");
    // What it signed in its time is still good.
    assert!(look::check(&ctx, files("before")).await.unwrap().is_ok());
    event_list::prepare(&ctx, None, Some(&kept), Actor::System, Channel::Cli).await.unwrap();
}
