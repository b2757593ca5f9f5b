//! A backup by Postgres' own tools, brought back.

use std::process::Command;

use countersign::domain::event::{Actor, Channel};
use countersign::evidence::verify;
use countersign::service::ctx::Ctx;
use countersign::service::error::ServiceError;
use countersign::service::{event_list, seal};
use countersign::store::db::{self, Db};
use countersign::store::local_binaries;

use crate::sealed::{Sealed, check, key_of_these};
use crate::server::{database_url, fresh_database};
use crate::world::superuser;

/// Runs one of the programs that came with the server, or is on the PATH.
async fn postgres(program: &str, arguments: &[&str]) {
    let known = local_binaries::find(None).await.unwrap();
    let path = known.iter().map(|binaries| binaries.folder.join(program)).find(|path| path.is_file()).unwrap_or_else(|| program.into());
    let done = Command::new(path).args(arguments).output().unwrap();
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
}

impl Sealed {
    /// Backs the database up.
    async fn backed_up(&self, name: &str) -> String {
        let path = self.folder.path().join(name).to_str().unwrap().to_owned();
        postgres("pg_dump", &["--format=custom", "--file", &path, "--dbname", &database_url(&self.world.database)]).await;
        path
    }

    /// The services on a server that was given this backup; the key and what it signed last are as they are.
    async fn restored(&self, backup: &str) -> Ctx {
        let database = fresh_database().await;
        postgres("pg_restore", &["--exit-on-error", "--dbname", &database_url(&database), backup]).await;
        let db = Db::connect(&db::Settings { owner: Some(superuser().database(&database)), app: None, max_connections: 4 }).await.unwrap();
        Ctx { db, sealer: Some(self.sealer_anew()), ..self.ctx.clone() }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_yesterday_is_not_sealed_until_somebody_says_why_and_one_of_this_moment_goes_on() {
    let sealed = Sealed::new().await;
    sealed.live().await;
    seal::seal(&sealed.ctx).await.unwrap();
    seal::sign(&sealed.ctx, true).await.unwrap().unwrap();
    let yesterday = sealed.backed_up("yesterday").await;
    sealed.live_again().await;
    seal::seal(&sealed.ctx).await.unwrap();
    let last = seal::sign(&sealed.ctx, true).await.unwrap().unwrap();
    let today = sealed.backed_up("today").await;

    // Nothing was lost: the log goes on, and what was signed is its beginning.
    let moved = sealed.restored(&today).await;
    seal::seal(&moved).await.unwrap();
    let list = event_list::prepare(&moved, None, Some(&last), Actor::System, Channel::Cli).await.unwrap();
    let (old, new) = (verify::checkpoint(&last, &key_of_these()).unwrap(), verify::checkpoint(&list.note, &key_of_these()).unwrap());
    let text = sealed.lines_of(&moved, &list).await;
    assert!(verify::events(text.as_bytes(), &list.proof, new, Some(&old), |_| {}).is_ok());

    let older = sealed.restored(&yesterday).await;
    let error = seal::seal(&older).await.unwrap_err();
    assert!(matches!(&error, ServiceError::Unavailable(why) if why.contains("not the one that was signed last")), "{error}");
    assert!(event_list::prepare(&older, None, None, Actor::System, Channel::Cli).await.is_err(), "and nothing is handed out");
    seal::accept(&older, "the disk broke; the backup of yesterday was restored").await.unwrap();
    let list = event_list::prepare(&older, None, None, Actor::System, Channel::Cli).await.unwrap();
    let text = sealed.lines_of(&older, &list).await;
    assert!(check(&list, &text).is_ok() && text.contains("evidence.log_restored"));
}
