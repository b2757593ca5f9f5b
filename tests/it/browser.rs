//! Headless Chromium, as a person would use it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::http::Method;
use base64::Engine;
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::key::Key;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use openidconnect::url::ParseError;
use reqwest::Url;
use serde_json::{Value, json};

use crate::server::eventually;

/// The rules that WCAG 2.2 AA comes down to, as axe-core tags them.
const WCAG: [&str; 5] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

/// The longest that a page may take to become what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a page is looked at in: name, colour scheme, width.
const VIEWS: [(&str, &str, u32); 4] = [("light-1280", "light", 1280), ("dark-1280", "dark", 1280), ("light-390", "light", 390), ("dark-390", "dark", 390)];

/// Chromedriver; stopped when dropped.
struct Driver {
    child: Child,
    port: u16,
    session: String,
}

impl Driver {
    /// It chooses a port that is free for IPv4, and ends when somebody else has the same one for IPv6: then it chooses anew.
    fn start() -> Self {
        for _ in 0..5 {
            let command = Command::new("chromedriver").arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
            let mut child = command.expect("chromedriver is missing: run script/bootstrap --test");
            let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
            let port = said.find_map(|line| line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse().ok());
            if let Some(port) = port {
                return Self { child, port, session: String::new() };
            }
            _ = child.kill();
            _ = child.wait();
        }
        panic!("chromedriver does not say where it listens");
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Ending the session ends the browser, also when a test fails half-way.
        if let Ok(mut connection) = TcpStream::connect(("127.0.0.1", self.port)) {
            let request = format!("DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", self.session);
            // The answer comes when the browser has gone; the connection may stay open after it.
            _ = connection.set_read_timeout(Some(Duration::from_secs(10)));
            _ = connection.write_all(request.as_bytes()).and_then(|()| connection.read(&mut [0; 64]).map(drop));
        }
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A command of Chromium's own: DevTools, or its log.
#[derive(Debug)]
struct Chromium(&'static str, Value);

impl WebDriverCompatibleCommand for Chromium {
    fn endpoint(&self, base_url: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base_url.join(&format!("session/{}/{}", session.unwrap_or_default(), self.0))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.1.to_string()))
    }
}

/// One window of one person.
pub struct Browser {
    client: Client,
    site: String,
    /// Where it puts what is downloaded.
    pub downloads: tempfile::TempDir,
    _profile: tempfile::TempDir,
    _driver: Driver,
}

impl Browser {
    /// A fresh browser for the server at `site`.
    pub async fn open(site: &str) -> Self {
        Self::with(site, true).await
    }

    /// A fresh browser that runs no scripts.
    pub async fn without_scripts(site: &str) -> Self {
        Self::with(site, false).await
    }

    async fn with(site: &str, scripts: bool) -> Self {
        let mut driver = Driver::start();
        let (downloads, profile) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut preferences = json!({"download.default_directory": downloads.path(), "download.prompt_for_download": false});
        if !scripts {
            preferences["profile.default_content_setting_values.javascript"] = 2.into();
        }
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--force-color-profile=srgb",
            "--window-size=1280,900",
        ];
        let mut arguments: Vec<String> = arguments.map(String::from).into();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let wanted = json!({
            "goog:chromeOptions": {"args": arguments, "prefs": preferences},
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"pageLoad": 30_000, "script": 60_000},
        });
        let capabilities: Capabilities = serde_json::from_value(wanted).unwrap();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let client = builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{}", driver.port)).await.unwrap();
        driver.session = client.session_id().await.unwrap().unwrap();
        Self { client, site: site.to_owned(), downloads, _profile: profile, _driver: driver }
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.client.issue_cmd(Chromium("goog/cdp/execute", json!({"cmd": command, "params": parameters}))).await.unwrap()
    }

    pub async fn go(&self, path: &str) {
        let url = Url::parse(&self.site).unwrap().join(path).unwrap();
        self.client.goto(url.as_str()).await.unwrap();
    }

    /// Its address, without what is before the path.
    pub async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    /// What is to be read on it; nothing while it is being loaded.
    pub async fn text(&self) -> String {
        let read = "return document.readyState !== 'loading' && document.body ? document.body.innerText : ''";
        let text = self.client.execute(read, vec![]).await.unwrap_or_default();
        text.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// That all of these can be read on it, as soon as it is there.
    pub async fn sees(&self, texts: &[&str]) {
        self.until(|| async {
            let text = self.text().await.to_lowercase();
            texts.iter().find(|wanted| !text.contains(&wanted.to_lowercase())).map_or(Ok(()), |missing| Err(format!("{missing:?} cannot be read")))
        })
        .await;
    }

    /// That its address is this, as soon as it is there.
    pub async fn is_at(&self, path: &str) {
        self.until(|| async { if self.path().await == path { Ok(()) } else { Err(format!("it is not {path}")) } }).await;
    }

    /// That there is something to be seen which a CSS selector finds, as soon as it is there.
    pub async fn shows(&self, selector: &str) {
        let shown = format!("return [...document.querySelectorAll({})].some(e => e.checkVisibility())", json!(selector));
        self.until(|| async { if self.run(&shown).await.is_ok_and(|shown| shown == true) { Ok(()) } else { Err(format!("{selector:?} does not show")) } })
            .await;
    }

    /// That none of these can be read on it.
    pub async fn sees_not(&self, texts: &[&str]) {
        let text = self.text().await;
        for unwanted in texts {
            assert!(!text.to_lowercase().contains(&unwanted.to_lowercase()), "{unwanted:?} is at {}: {text}", self.path().await);
        }
    }

    /// Loads the page again until this can be read on it.
    pub async fn until_it_says(&self, text: &str) {
        eventually(&format!("{text:?} at {}", self.path().await), || async {
            self.client.refresh().await.unwrap();
            self.text().await.to_lowercase().contains(&text.to_lowercase()).then_some(())
        })
        .await;
    }

    /// Looks again and again until `look` finds something, at most [`PATIENCE`]: a page may still be on its way, or be replaced while it
    /// is looked at. What `look` says last is why it was in vain.
    async fn until<T, F: Future<Output = Result<T, String>>>(&self, mut look: impl FnMut() -> F) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            let why = match look().await {
                Ok(found) => return found,
                Err(why) => why,
            };
            assert!(Instant::now() < until, "{why}, at {}: {}", self.path().await, self.text().await);
        }
    }

    /// What can be clicked and says this: the shortest that does. Within `within`, a CSS selector.
    async fn clickable(&self, within: &str, text: &str) -> Result<Element, CmdError> {
        let mut found: Vec<(usize, Element)> = Vec::new();
        for element in self.client.find_all(Locator::Css(&format!("{within} :is(a, button, summary, label)"))).await? {
            let said = element.text().await?.split_whitespace().collect::<Vec<_>>().join(" ");
            if said.to_lowercase().contains(&text.to_lowercase()) && element.is_displayed().await? {
                found.push((said.len(), element));
            }
        }
        let least = found.into_iter().min_by_key(|(length, _)| *length);
        least.map(|(_, element)| element).ok_or_else(|| CmdError::InvalidArgument(text.into(), "nothing that can be clicked says so".into()))
    }

    /// Clicks what says this, as soon as it is there.
    pub async fn click(&self, text: &str) {
        self.click_in("body", text).await;
    }

    /// Clicks what says this within a CSS selector, as soon as it is there.
    pub async fn click_in(&self, within: &str, text: &str) {
        // A click that failed did nothing; one that was made is never made twice.
        self.until(|| async {
            let clicked = async { self.clickable(within, text).await?.click().await };
            clicked.await.map_err(|error: CmdError| format!("{text:?} cannot be clicked: {error}"))
        })
        .await;
    }

    /// Clicks each of what a CSS selector finds.
    pub async fn click_each(&self, selector: &str) {
        self.shows(selector).await;
        for element in self.client.find_all(Locator::Css(selector)).await.unwrap() {
            // The driver takes what lies under a bar at the bottom for seen; a person would scroll.
            let shown = serde_json::to_value(&element).unwrap();
            self.client.execute("arguments[0].scrollIntoView({ block: 'center' })", vec![shown]).await.unwrap();
            element.click().await.unwrap();
        }
    }

    /// The field with this label, as soon as it is there.
    async fn field(&self, label: &str) -> Element {
        let find = async || {
            for element in self.client.find_all(Locator::Css("label")).await? {
                if element.prop("textContent").await?.unwrap_or_default().to_lowercase().contains(&label.to_lowercase())
                    && let Some(id) = element.attr("for").await?
                {
                    let field = self.client.find(Locator::Id(&id)).await?;
                    if field.is_displayed().await? {
                        return Ok(field);
                    }
                }
            }
            Err(CmdError::InvalidArgument(label.into(), "no field has it".into()))
        };
        self.until(|| async { find().await.map_err(|error: CmdError| format!("no field {label:?}: {error}")) }).await
    }

    /// Types into the field with this label, in place of what is there.
    pub async fn fill(&self, label: &str, text: &str) {
        let field = self.field(label).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Chooses in the list with this label.
    pub async fn choose(&self, label: &str, option: &str) {
        self.field(label).await.select_by_label(option).await.unwrap();
    }

    /// Signs in by choosing a person at the demo directory.
    pub async fn sign_in(&self, name: &str) {
        self.go("/sign-in").await;
        self.click("Sign in with").await;
        self.click(name).await;
        eventually("back from the directory", || async { self.client.current_url().await.unwrap().as_str().starts_with(&self.site).then_some(()) }).await;
    }

    /// Signs out here and at the directory.
    pub async fn sign_out(&self) {
        self.shows("details.me summary").await;
        self.client.find(Locator::Css("details.me summary")).await.unwrap().click().await.unwrap();
        self.click("Sign out").await;
        self.sees(&["You are signed out"]).await;
        self.is_at("/signed-out").await;
    }

    /// Presses keys where the focus is.
    pub async fn press(&self, keys: &str) {
        self.client.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    /// Presses Tab until the focus is on what says this, and that it shows where it is.
    pub async fn tab_to(&self, text: &str) {
        let mut been = Vec::new();
        for _ in 0..150 {
            self.press(&Key::Tab.to_string()).await;
            let focus = self
                .client
                .execute(
                    "const e = document.activeElement; const l = [...(e.labels || [])].map(l => l.textContent).join(' ');
                     const s = getComputedStyle(e), p = e.closest('label') ? getComputedStyle(e.closest('label')) : s;
                     const near = e.nextElementSibling ? getComputedStyle(e.nextElementSibling) : s;
                     const shown = [s, p, near].some(x => (x.outlineStyle !== 'none' && parseFloat(x.outlineWidth) > 0) || x.boxShadow !== 'none');
                     return [(e === document.body ? '' : e.textContent + ' ' + l + ' ' + (e.getAttribute('aria-label') || '')), shown];",
                    vec![],
                )
                .await
                .unwrap();
            let says = focus[0].as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
            if says.to_lowercase().contains(&text.to_lowercase()) {
                assert_eq!(focus[1], true, "whoever uses the keyboard cannot see that {says:?} has the focus");
                return;
            }
            been.push(says);
        }
        panic!("the keyboard does not come to {text:?} at {}: {been:?}", self.path().await);
    }

    /// What the console has complained about since it was last asked: broken scripts, files not there, what the policy forbids.
    pub async fn complaints(&self) -> Vec<String> {
        let said = self.client.issue_cmd(Chromium("se/log", json!({"type": "browser"}))).await.unwrap();
        said.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE").map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until a file of this name has been downloaded, and reads it.
    pub async fn downloaded(&self, ends: &str) -> (PathBuf, Vec<u8>) {
        eventually(&format!("a file {ends}"), || async {
            let files = std::fs::read_dir(self.downloads.path()).unwrap().map(|entry| entry.unwrap().path());
            let found = files.into_iter().find(|path| path.to_string_lossy().ends_with(ends))?;
            // The browser makes an empty file first, to keep its name, and moves what it got there at the end.
            let read = std::fs::read(&found).ok().filter(|read| !read.is_empty())?;
            Some((found, read))
        })
        .await
    }

    async fn look_as(&self, scheme: &str, width: u32) {
        self.devtools("Emulation.setEmulatedMedia", json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]})).await;
        let metrics = json!({"width": width, "height": if width < 600 { 844 } else { 900 }, "deviceScaleFactor": 1, "mobile": width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        // The page learns of it with one of its next frames, and then colours fade from one scheme to the other; what is half-way is
        // no page of ours. So: told, drawn, and nothing moves any more.
        let still = format!(
            "const done = arguments[0]; const tell = () => done(
               document.readyState === 'complete' && matchMedia('(width: {width}px) and (prefers-color-scheme: {scheme})').matches && document.getAnimations().length === 0);
             document.getAnimations().forEach(a => a.effect.getComputedTiming().endTime === Infinity ? a.cancel() : a.finish());
             document.fonts.ready.then(() => requestAnimationFrame(() => requestAnimationFrame(tell)));"
        );
        self.until(|| async {
            let found = self.client.execute_async(&still, vec![]).await.map_err(|error| error.to_string())?;
            if found == true { Ok(()) } else { Err(format!("the page does not come to rest as {scheme}, {width} wide")) }
        })
        .await;
    }

    async fn look_as_before(&self) {
        self.devtools("Emulation.setEmulatedMedia", json!({"features": []})).await;
        self.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await;
    }

    /// Keeps pictures of the page in `screenshots/`: light and dark, wide and narrow. Nothing may be wider than the screen.
    pub async fn keep(&self, name: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        for (view, scheme, width) in VIEWS {
            self.look_as(scheme, width).await;
            let layout = self.devtools("Page.getLayoutMetrics", json!({})).await;
            let (wide, high) = (layout["cssContentSize"]["width"].as_f64().unwrap(), layout["cssContentSize"]["height"].as_f64().unwrap());
            let clip = json!({"x": 0, "y": 0, "width": width, "height": high.min(4_000.0), "scale": 1});
            let shot = self.devtools("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": true, "clip": clip})).await;
            let png = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
            std::fs::write(folder.join(format!("{name}-{view}.png")), png).unwrap();
            assert!(wide <= f64::from(width) + 1.0, "{name} is {wide} wide on a screen of {width}");
        }
        self.look_as_before().await;
    }

    /// What axe-core finds against WCAG 2.2 AA on this page: in light and in dark, and narrow, where the colours are those of wide.
    pub async fn barriers(&self) -> Vec<String> {
        let axe = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/axe/node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(axe).expect("axe-core is missing: run script/bootstrap --test");
        let mut found = Vec::new();
        for (view, scheme, width) in &VIEWS[..3] {
            self.look_as(scheme, *width).await;
            self.client.execute(&axe, vec![]).await.unwrap();
            let run = "const done = arguments[1]; axe.run(document, {runOnly: arguments[0], resultTypes: ['violations']})
                       .then(r => done(r.violations.flatMap(v => v.nodes.map(n => `${v.id}: ${n.html.slice(0, 300)} ${n.failureSummary}`))), e => done([String(e)]));";
            let violations = self.client.execute_async(run, vec![json!(WCAG)]).await.unwrap();
            found.extend(violations.as_array().unwrap().iter().map(|violation| format!("{view}: {}", violation.as_str().unwrap())));
        }
        self.look_as_before().await;
        found
    }

    /// Runs a script in the page.
    pub async fn run(&self, script: &str) -> Result<Value, CmdError> {
        self.client.execute(script, vec![]).await
    }
}
