//! `countersign serve`: the server and the work behind it.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::clock::Clock;
use countersign::config::{Purpose, Settings};
use countersign::service::ctx::Ctx;
use countersign::service::schedule::make::declare;
use countersign::service::seal;
use countersign::service::sign_in::Rules;
use countersign::web::listen;
use countersign::web::metrics::{self, Metrics};
use countersign::web::oidc::{self, Oidc};
use countersign::web::rate_limit::Limits;
use countersign::web::router::router;
use countersign::web::state::{App, Public};
use countersign::worker;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::failure::Failure;
use super::wire::Chosen;
use super::{demo, logs, wire};

/// How long open requests and the worker may take to finish after a signal.
const GRACE: Duration = Duration::from_secs(10);

/// Serves until SIGINT or SIGTERM.
pub async fn run(chosen: &Chosen) -> Result<ExitCode, Failure> {
    let began = Instant::now();
    let purpose = if chosen.demo { Purpose::Demo } else { Purpose::Serve };
    let mut settings = wire::settings(chosen.config.as_deref(), purpose)?;
    logs::start(&settings.log);
    let listener = TcpListener::bind(settings.server.listen)
        .await
        .map_err(|error| Failure(format!("cannot listen on {}: {error}. Set COUNTERSIGN_LISTEN to another address.", settings.server.listen)))?;
    let address = listener.local_addr()?;
    let public = Public::new(&settings.server.public_url(address)).map_err(Failure)?;
    let clock = Clock::system();
    let demo = if chosen.demo { Some(demo::start(&mut settings, &public, clock.clone()).await?) } else { None };

    let (private, database) = wire::database(&settings, false).await?;
    let served = serve(&settings, &database, listener, address, public, clock, demo.as_ref(), began).await;
    if let Some(demo) = demo {
        demo.stop().await;
    }
    if let Some(private) = private {
        private.stop().await?;
    }
    served.map(|()| ExitCode::SUCCESS)
}

#[allow(clippy::too_many_arguments, reason = "the pieces of one server, put together once")]
async fn serve(
    settings: &Settings,
    database: &countersign::store::db::Settings,
    listener: TcpListener,
    address: SocketAddr,
    public: Public,
    clock: Clock,
    demo: Option<&countersign::demo::serve::Running>,
    began: Instant,
) -> Result<(), Failure> {
    let mut ctx = wire::ctx(settings, database, clock).await?;
    ctx.sealer = super::key::sealer(settings, true)?;
    if ctx.sealer.is_none() {
        tracing::warn!("the log is not signed: there is neither evidence.signing_key_file nor a data folder");
    }
    seal::announce(&ctx).await?;
    if demo.is_some() {
        demo::fill(&ctx).await?;
    }
    declare(&ctx, &settings.schedules.declared).await?;
    let app = app(settings, ctx.clone(), public, demo.is_some())?;
    let (stop, stopped) = watch::channel(false);
    measure(settings, &ctx, app.metrics.clone(), stopped.clone()).await?;
    let work = tokio::spawn(worker::run::run(ctx.clone(), stopped.clone()));
    let server = tokio::spawn(listen::serve(listener, router(&app), stopped));

    greet(settings, &app, address, demo, began);
    signal().await;
    eprintln!("Stopping.");
    let _ = stop.send(true);
    let ended = tokio::time::timeout(GRACE, async { (server.await, work.await) }).await;
    if ended.is_err() {
        tracing::warn!("something did not finish in time; what is owed is in the database and goes on at the next start");
    }
    ctx.db.close().await;
    Ok(())
}

/// Serves the metrics at their own address, if they have one.
async fn measure(settings: &Settings, ctx: &Ctx, metrics: Metrics, mut until: watch::Receiver<bool>) -> Result<(), Failure> {
    let Some(at) = settings.server.metrics_listen else { return Ok(()) };
    let listener = TcpListener::bind(at)
        .await
        .map_err(|error| Failure(format!("the metrics cannot listen on {at}: {error}. Set server.metrics_listen to another address.")))?;
    tracing::info!(address = %at, "metrics are served at /metrics");
    let routes = metrics::router(ctx.clone(), metrics);
    tokio::spawn(async move {
        let stop = async move {
            let _ = until.wait_for(|stop| *stop).await;
        };
        axum::serve(listener, routes).with_graceful_shutdown(stop).await
    });
    Ok(())
}

fn app(settings: &Settings, ctx: Ctx, public: Public, demo: bool) -> Result<App, Failure> {
    let Some(provider) = settings.oidc.as_ref().filter(|provider| settings.directories.contains_key(&provider.directory)) else {
        return Err(Failure("oidc and a directory must be configured; `countersign serve --demo` brings its own".into()));
    };
    let attribute = match provider.link_attribute.as_str() {
        "userName" => "user_name",
        "externalId" => "external_id",
        "employeeNumber" => "employee_number",
        other => other,
    };
    let rules = Rules {
        idle: settings.session.idle,
        idle_privileged: settings.session.privileged_idle,
        absolute: settings.session.absolute,
        ..Rules::new(&provider.directory, &provider.link_claim, attribute)
    };
    let oidc = oidc::Settings {
        issuer: provider.issuer.clone(),
        client_id: provider.client_id.clone(),
        client_secret: provider.client_secret.clone(),
        scopes: provider.scopes.iter().filter(|scope| *scope != "openid").cloned().collect(),
        claims: vec![provider.link_claim.clone()],
        redirect: public.url("/sign-in/callback"),
        after_sign_out: public.url("/signed-out"),
        extra_roots: None,
    };
    Ok(App {
        oidc: Arc::new(Oidc::new(oidc, ctx.clock.clone()).map_err(Failure)?),
        ctx,
        rules: Arc::new(rules),
        provider: if demo { "the demo directory".into() } else { provider.issuer.as_str().into() },
        public: Arc::new(public),
        trusted_proxies: settings.server.trusted_proxies.clone().into(),
        limits: Arc::new(Limits::default()),
        body_limit: settings.server.body_limit_bytes,
        metrics: Metrics::default(),
        demo,
    })
}

/// Says where it is, who to be, and where the data are.
fn greet(settings: &Settings, app: &App, address: SocketAddr, demo: Option<&countersign::demo::serve::Running>, began: Instant) {
    tracing::info!(%address, public = %app.public.origin, ready_ms = began.elapsed().as_millis() as u64, "countersign is serving");
    let data = match &settings.database.url {
        Some(_) => "the database that DATABASE_URL names".to_owned(),
        None => format!("{} (a private Postgres; back it up with pg_dump over its socket, or stop and copy the folder)", settings.data.folder.display()),
    };
    eprintln!("\n  Countersign    {}\n  Data           {data}", app.public.origin);
    if let Some(demo) = demo {
        eprintln!("  Demo directory {}/   (people, groups and their members, live)", demo.issuer());
        eprintln!("\n{}", demo::WHO);
    }
    eprintln!("  Stop with Ctrl-C.\n");
}

async fn signal() {
    let interrupt = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        },
        Err(_) => {
            let _ = interrupt.await;
        }
    }
}
