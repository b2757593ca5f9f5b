//! The demo's OpenID Connect provider, with the `openidconnect` crate.

use std::collections::HashMap;

use chrono::Duration;
use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreIdToken, CoreJwsSigningAlgorithm, CoreTokenResponse, CoreUserInfoClaims};
use openidconnect::url::Url;
use openidconnect::{
    AccessTokenHash, AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge,
    PkceCodeVerifier, PostLogoutRedirectUrl, ProviderMetadataWithLogout, RedirectUrl, Scope, TokenResponse,
};
use reqwest::{Response, StatusCode};
use scraper::{Html, Selector};
use serde_json::Value;

use crate::demo::{CALLBACK, CLIENT, Demo, GOODBYE, SECRET, texts};

/// A verifier and its challenge: RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// One browser: it keeps the cookie, and does not follow redirects.
struct Browser<'a> {
    demo: &'a Demo,
    cookie: Option<String>,
}

impl<'a> Browser<'a> {
    fn new(demo: &'a Demo) -> Self {
        Self { demo, cookie: None }
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> Response {
        let request = match &self.cookie {
            Some(cookie) => request.header("cookie", format!("other=1; {cookie}")),
            None => request,
        };
        let answer = request.send().await.unwrap();
        if let Some(set) = answer.headers().get("set-cookie") {
            let set = set.to_str().unwrap();
            assert!(set.contains("; Path=/; HttpOnly; SameSite=Lax"), "{set}");
            self.cookie = (!set.contains("Max-Age=0")).then(|| set.split(';').next().unwrap().to_owned());
        }
        answer
    }

    async fn open(&mut self, url: &str) -> Response {
        self.send(self.demo.http.get(url)).await
    }

    async fn submit(&mut self, path: &str, form: &[(&str, &str)]) -> Response {
        let request = self.demo.http.post(self.demo.url(path)).header("origin", self.demo.running.issuer()).form(form);
        self.send(request).await
    }

    /// Opens the sign-in page, chooses, and returns where the browser is sent.
    async fn sign_in(&mut self, url: &str, user_name: &str) -> HashMap<String, String> {
        let page = self.open(url).await;
        assert_eq!(page.status(), StatusCode::OK);
        let request = hidden(&page.text().await.unwrap());
        let person = self.demo.id_of(user_name).await;
        sent_to(&self.submit("/sign-in", &[("request", &request), ("person", &person)]).await, CALLBACK)
    }
}

fn hidden(page: &str) -> String {
    let page = Html::parse_document(page);
    let field = page.select(&Selector::parse("form[method=post] input[name=request]").unwrap()).next().unwrap();
    field.value().attr("value").unwrap().to_owned()
}

/// The parameters of a redirect to `place`.
fn sent_to(answer: &Response, place: &str) -> HashMap<String, String> {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let url = Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
    let mut bare = url.clone();
    bare.set_query(None);
    assert_eq!(bare.as_str(), place);
    url.query_pairs().into_owned().collect()
}

/// The address of a sign-in by hand; `changes` replace parameters, or take them away.
fn address(demo: &Demo, changes: &[(&str, Option<&str>)]) -> String {
    let mut parameters = vec![
        ("client_id", CLIENT),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("scope", "openid profile"),
        ("state", "s&1"),
        ("nonce", "n"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changes {
        parameters.retain(|(known, _)| known != name);
        parameters.extend(value.map(|value| (*name, value)));
    }
    Url::parse_with_params(&demo.url("/authorize"), parameters).unwrap().into()
}

async fn exchange(demo: &Demo, code: &str, verifier: &str) -> Response {
    let form = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK), ("code_verifier", verifier)];
    let credentials = [("client_id", CLIENT), ("client_secret", SECRET)];
    demo.http.post(demo.url("/token")).form(&[form.as_slice(), &credentials].concat()).send().await.unwrap()
}

async fn error(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["cache-control"], "no-store");
    (status, answer.json::<Value>().await.unwrap()["error"].as_str().unwrap().to_owned())
}

async fn userinfo(demo: &Demo, token: &str) -> Response {
    demo.http.get(demo.url("/userinfo")).bearer_auth(token).send().await.unwrap()
}

async fn set_active(demo: &Demo, user_name: &str, active: bool) {
    let path = format!("/people/{}", demo.id_of(user_name).await);
    let form = [("active", if active { "true" } else { "false" })];
    assert_eq!(Browser::new(demo).submit(&path, &form).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_signs_in_and_out_through_a_relying_party_nobody_here_wrote() {
    let demo = Demo::start().await;
    let metadata = ProviderMetadataWithLogout::discover_async(IssuerUrl::new(demo.running.issuer().into()).unwrap(), &demo.http).await.unwrap();
    let end_session = metadata.additional_metadata().end_session_endpoint.clone().unwrap();
    assert_eq!(metadata.id_token_signing_alg_values_supported(), &vec![CoreJwsSigningAlgorithm::EdDsa]);
    for auth_type in [AuthType::BasicAuth, AuthType::RequestBody] {
        let client = CoreClient::from_provider_metadata(metadata.clone(), ClientId::new(CLIENT.into()), Some(ClientSecret::new(SECRET.into())))
            .set_redirect_uri(RedirectUrl::new(CALLBACK.into()).unwrap())
            .set_auth_type(auth_type);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state, nonce) = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
            .add_scopes(["profile", "email"].map(|scope| Scope::new(scope.into())))
            .set_pkce_challenge(challenge)
            .url();
        let mut browser = Browser::new(&demo);
        let back = browser.sign_in(url.as_str(), "bo.lind").await;
        assert_eq!((&back["state"], back["iss"].as_str()), (state.secret(), demo.running.issuer()));

        let request = client.exchange_code(AuthorizationCode::new(back["code"].clone())).unwrap();
        let tokens: CoreTokenResponse = request.set_pkce_verifier(verifier).request_async(&demo.http).await.unwrap();
        let id_token: &CoreIdToken = tokens.id_token().unwrap();
        let verifier = client.id_token_verifier();
        let claims = id_token.claims(&verifier, &nonce).unwrap();
        assert!(id_token.claims(&verifier, &Nonce::new("another".into())).is_err());
        let hash = AccessTokenHash::from_token(tokens.access_token(), id_token.signing_alg().unwrap(), id_token.signing_key(&verifier).unwrap());
        assert_eq!(claims.access_token_hash(), Some(&hash.unwrap()));
        assert_eq!(claims.preferred_username().unwrap().as_str(), "bo.lind");
        assert_eq!(claims.name().unwrap().get(None).unwrap().as_str(), "Bo Lind");
        assert_eq!((claims.email().unwrap().as_str(), claims.email_verified()), ("bo.lind@orchardvale.example", Some(true)));
        assert_ne!(claims.subject().as_str(), demo.id_of("bo.lind").await);
        assert!((demo.clock.now() - claims.auth_time().unwrap()).num_seconds() < 60);

        let info: CoreUserInfoClaims =
            client.user_info(tokens.access_token().clone(), Some(claims.subject().clone())).unwrap().request_async(&demo.http).await.unwrap();
        assert_eq!(info.preferred_username().unwrap().as_str(), "bo.lind");
        let wrong = client.user_info(tokens.access_token().clone(), Some(openidconnect::SubjectIdentifier::new("x".into()))).unwrap();
        assert!(wrong.request_async::<openidconnect::EmptyAdditionalClaims, _, openidconnect::core::CoreGenderClaim>(&demo.http).await.is_err());

        let leave = openidconnect::LogoutRequest::from(end_session.clone())
            .set_id_token_hint(id_token)
            .set_client_id(ClientId::new(CLIENT.into()))
            .set_post_logout_redirect_uri(PostLogoutRedirectUrl::new(GOODBYE.into()).unwrap())
            .set_state(CsrfToken::new("bye&".into()));
        let answer = browser.open(leave.http_get_url().as_str()).await;
        assert_eq!(sent_to(&answer, GOODBYE), HashMap::from([("state".into(), "bye&".into())]));
        assert_eq!(browser.cookie, None);
        assert_eq!(browser.open(&address(&demo, &[])).await.status(), StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_worth_nothing_without_its_verifier_its_address_and_its_client() {
    let demo = Demo::start().await;
    let mut browser = Browser::new(&demo);
    let mut code = async || browser.sign_in(&address(&demo, &[("prompt", Some("login"))]), "bo.lind").await["code"].clone();
    let grant = (400, "invalid_grant".to_owned());
    for verifier in [PkceCodeVerifier::new("x".repeat(43)).secret().as_str(), "", CHALLENGE] {
        let code = code().await;
        assert_eq!(error(exchange(&demo, &code, verifier).await).await, grant);
        // A code that was tried is spent, also for who has the verifier.
        assert_eq!(error(exchange(&demo, &code, VERIFIER).await).await, grant);
    }
    assert_eq!(error(exchange(&demo, "unknown", VERIFIER).await).await, grant);
    let form = |code: &str, change: (&'static str, &str)| {
        let pairs = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
        let all = pairs.into_iter().chain([("client_id", CLIENT), ("client_secret", SECRET)]);
        all.map(|(name, value)| (name.to_owned(), if name == change.0 { change.1.to_owned() } else { value.to_owned() })).collect::<Vec<_>>()
    };
    for (change, expected) in [
        (("redirect_uri", GOODBYE), grant.clone()),
        (("redirect_uri", ""), grant.clone()),
        (("grant_type", "password"), (400, "unsupported_grant_type".into())),
        (("client_secret", "wrong"), (401, "invalid_client".into())),
        (("client_secret", ""), (401, "invalid_client".into())),
        (("client_id", "wrong"), (401, "invalid_client".into())),
    ] {
        let code = code().await;
        let answer = demo.http.post(demo.url("/token")).form(&form(&code, change)).send().await.unwrap();
        assert_eq!(error(answer).await, expected, "{change:?}");
    }
    let code = code().await;
    let both = demo.http.post(demo.url("/token")).basic_auth(CLIENT, Some(SECRET)).form(&form(&code, ("", "")));
    assert_eq!(error(both.send().await.unwrap()).await, (400, "invalid_request".into()));
    let twice = [form(&code, ("", "")), form(&code, ("", ""))].concat();
    assert_eq!(error(demo.http.post(demo.url("/token")).form(&twice).send().await.unwrap()).await, (400, "invalid_request".into()));
    assert_eq!(exchange(&demo, &code, VERIFIER).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_that_comes_again_takes_its_token_back() {
    let demo = Demo::start().await;
    let code = Browser::new(&demo).sign_in(&address(&demo, &[]), "bo.lind").await["code"].clone();
    let tokens: Value = exchange(&demo, &code, VERIFIER).await.json().await.unwrap();
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(userinfo(&demo, token).await.status(), StatusCode::OK);
    assert_eq!(error(exchange(&demo, &code, VERIFIER).await).await, (400, "invalid_grant".into()));
    let refused = userinfo(&demo, token).await;
    assert_eq!((refused.status(), refused.headers()["www-authenticate"].to_str().unwrap()), (StatusCode::UNAUTHORIZED, "Bearer error=\"invalid_token\""));
    assert_eq!(demo.http.get(demo.url("/userinfo")).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codes_and_tokens_end_by_themselves() {
    let demo = Demo::start().await;
    let mut browser = Browser::new(&demo);
    let late = browser.sign_in(&address(&demo, &[]), "bo.lind").await["code"].clone();
    demo.clock.set(demo.clock.now() + Duration::seconds(61));
    assert_eq!(error(exchange(&demo, &late, VERIFIER).await).await, (400, "invalid_grant".into()));
    let code = sent_to(&browser.open(&address(&demo, &[])).await, CALLBACK)["code"].clone();
    let tokens: Value = exchange(&demo, &code, VERIFIER).await.json().await.unwrap();
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(userinfo(&demo, token).await.status(), StatusCode::OK);
    demo.clock.set(demo.clock.now() + Duration::seconds(tokens["expires_in"].as_i64().unwrap()));
    assert_eq!(userinfo(&demo, token).await.status(), StatusCode::UNAUTHORIZED);
    demo.clock.set(demo.clock.now() + Duration::hours(12));
    assert_eq!(browser.open(&address(&demo, &[])).await.status(), StatusCode::OK, "the session is over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_cannot_be_trusted_goes_nowhere() {
    let demo = Demo::start().await;
    for change in [
        ("redirect_uri", Some("http://evil.example/")),
        ("redirect_uri", Some("http://127.0.0.1:8080/auth/callback/")),
        ("redirect_uri", Some("http://127.0.0.1:8080/auth/callback?x=1")),
        ("redirect_uri", None),
        ("client_id", Some("other")),
        ("client_id", None),
    ] {
        let url = address(&demo, &[change]);
        let answer = demo.http.get(&url).send().await.unwrap();
        assert_eq!((answer.status(), answer.headers().get("location")), (StatusCode::BAD_REQUEST, None), "{change:?}");
        let request = Url::parse(&url).unwrap().query().unwrap().to_owned();
        let person = demo.id_of("bo.lind").await;
        let chosen = Browser::new(&demo).submit("/sign-in", &[("request", &request), ("person", &person)]).await;
        assert_eq!((chosen.status(), chosen.headers().get("location")), (StatusCode::BAD_REQUEST, None), "{change:?}");
    }
    let twice = format!("{}&state=2", address(&demo, &[]));
    assert_eq!(demo.http.get(twice).send().await.unwrap().status(), StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_wrong_is_answered_with_its_error() {
    let demo = Demo::start().await;
    for (change, expected) in [
        (("response_type", Some("token")), "unsupported_response_type"),
        (("response_type", None), "unsupported_response_type"),
        (("response_mode", Some("fragment")), "invalid_request"),
        (("scope", Some("profile")), "invalid_scope"),
        (("code_challenge", None), "invalid_request"),
        (("code_challenge", Some("short")), "invalid_request"),
        (("code_challenge_method", Some("plain")), "invalid_request"),
        (("code_challenge_method", None), "invalid_request"),
        (("prompt", Some("none login")), "invalid_request"),
        (("prompt", Some("none")), "login_required"),
        (("max_age", Some("-1")), "invalid_request"),
        (("max_age", Some("soon")), "invalid_request"),
        (("request", Some("e30.e30.")), "request_not_supported"),
        (("request_uri", Some("http://x/")), "request_uri_not_supported"),
    ] {
        let answer = demo.http.get(address(&demo, &[change])).send().await.unwrap();
        let back = sent_to(&answer, CALLBACK);
        assert_eq!((back["error"].as_str(), back["state"].as_str()), (expected, "s&1"), "{change:?}");
        assert_eq!(back["iss"], demo.running.issuer());
        assert!(!back.contains_key("code"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_session_answers_at_once_unless_a_fresh_choice_is_asked_for() {
    let demo = Demo::start().await;
    let mut browser = Browser::new(&demo);
    browser.sign_in(&address(&demo, &[]), "bo.lind").await;
    demo.clock.set(demo.clock.now() + Duration::seconds(100));
    for (change, silent) in [
        (("prompt", None), true),
        (("prompt", Some("none")), true),
        (("max_age", Some("1000")), true),
        (("max_age", Some("60")), false),
        (("max_age", Some("0")), false),
        (("prompt", Some("login")), false),
        (("prompt", Some("select_account")), false),
    ] {
        let answer = browser.open(&address(&demo, &[change])).await;
        assert_eq!(answer.status() == StatusCode::SEE_OTHER, silent, "{change:?}");
    }
    let stale = browser.open(&address(&demo, &[("prompt", Some("none")), ("max_age", Some("60"))])).await;
    assert_eq!(sent_to(&stale, CALLBACK)["error"], "login_required");

    let claims_of = async |code: &str| {
        let tokens: Value = exchange(&demo, code, VERIFIER).await.json().await.unwrap();
        let payload = tokens["id_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, payload).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    let old_cookie = browser.cookie.clone();
    let silent = sent_to(&browser.open(&address(&demo, &[])).await, CALLBACK);
    let first = claims_of(&silent["code"]).await;
    let chosen = browser.sign_in(&address(&demo, &[("prompt", Some("login")), ("scope", Some("openid groups"))]), "sofia.marin").await;
    let second = claims_of(&chosen["code"]).await;
    assert!(second["auth_time"].as_i64().unwrap() >= first["auth_time"].as_i64().unwrap() + 100);
    assert_ne!((&first["sid"], &first["sub"]), (&second["sid"], &second["sub"]));
    assert_eq!((&second["groups"], second.get("name"), first.get("groups")), (&serde_json::json!(["countersign-admins"]), None, None));
    // The session that was replaced is over.
    let mut other = Browser { demo: &demo, cookie: old_cookie };
    assert_eq!(other.open(&address(&demo, &[])).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_person_is_shown_and_refused_everywhere() {
    let demo = Demo::start().await;
    let mut browser = Browser::new(&demo);
    let page = browser.open(&address(&demo, &[])).await.text().await.unwrap();
    assert!(texts(&Html::parse_document(&page), ".choices button.disabled")[0].contains("Oscar Nilsen"));
    let (oscar, request) = (demo.id_of("oscar.nilsen").await, hidden(&page));
    let refused = browser.submit("/sign-in", &[("request", &request), ("person", &oscar)]).await;
    assert_eq!((refused.status(), browser.cookie.as_deref()), (StatusCode::FORBIDDEN, None));
    assert!(texts(&Html::parse_document(&refused.text().await.unwrap()), "[role=alert]")[0].contains("disabled"));
    assert_eq!(browser.submit("/sign-in", &[("request", &request), ("person", "nobody")]).await.status(), StatusCode::BAD_REQUEST);

    let first = browser.sign_in(&address(&demo, &[]), "bo.lind").await;
    let second = sent_to(&browser.open(&address(&demo, &[])).await, CALLBACK);
    let tokens: Value = exchange(&demo, &first["code"], VERIFIER).await.json().await.unwrap();
    set_active(&demo, "bo.lind", false).await;
    assert_eq!(userinfo(&demo, tokens["access_token"].as_str().unwrap()).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(error(exchange(&demo, &second["code"], VERIFIER).await).await, (400, "invalid_grant".into()));
    assert_eq!(browser.open(&address(&demo, &[])).await.status(), StatusCode::OK, "there is no session to go on with");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_choice_is_searchable_and_other_sites_cannot_make_it() {
    let demo = Demo::start().await;
    let mut browser = Browser::new(&demo);
    let page = browser.open(&address(&demo, &[("login_hint", Some("mara.voss"))])).await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("form-action 'self' http://127.0.0.1:8080;"), "{policy}");
    let page = page.text().await.unwrap();
    assert_eq!(texts(&Html::parse_document(&page), ".choices .name"), ["Mara Voss"]);
    let request = hidden(&page);
    let search = |words: &str| Url::parse_with_params(&demo.url("/sign-in"), [("request", request.as_str()), ("q", words)]).unwrap();
    for (words, found) in [("security engineer", 2), ("DATA", 7), ("", 28), ("<script>", 0)] {
        let page = browser.open(search(words).as_str()).await.text().await.unwrap();
        assert_eq!(texts(&Html::parse_document(&page), ".choices .name").len(), found, "{words}");
        assert!(!page.contains("<script>"));
    }
    let bo = demo.id_of("bo.lind").await;
    let form = [("request", request.as_str()), ("person", &bo)];
    for (name, value) in [("origin", "http://127.0.0.1:8080"), ("origin", "null"), ("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site")] {
        let answer = demo.http.post(demo.url("/sign-in")).header(name, value).form(&form).send().await.unwrap();
        assert_eq!((answer.status(), answer.headers().get("set-cookie")), (StatusCode::FORBIDDEN, None), "{name}: {value}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_out_ends_at_registered_addresses_and_asks_when_nobody_vouches_for_it() {
    let demo = Demo::start().await;
    let leave = |pairs: &[(&str, &str)]| Url::parse_with_params(&demo.url("/logout"), pairs).unwrap().to_string();
    let mut browser = Browser::new(&demo);
    let code = browser.sign_in(&address(&demo, &[]), "bo.lind").await["code"].clone();
    let tokens: Value = exchange(&demo, &code, VERIFIER).await.json().await.unwrap();
    let token = tokens["id_token"].as_str().unwrap();
    let there = ("post_logout_redirect_uri", GOODBYE);
    for pairs in [
        vec![("client_id", CLIENT), ("post_logout_redirect_uri", "http://evil.example/")],
        vec![("client_id", CLIENT), ("post_logout_redirect_uri", CALLBACK)],
        vec![("client_id", "other"), there],
        vec![there],
        vec![("id_token_hint", "forged"), there],
        vec![("client_id", CLIENT), ("client_id", CLIENT)],
    ] {
        let answer = browser.open(&leave(&pairs)).await;
        assert_eq!((answer.status(), answer.headers().get("location")), (StatusCode::BAD_REQUEST, None), "{pairs:?}");
    }
    // Without the ID token of who is signed in, any site could have sent the browser here.
    let asked = browser.open(&leave(&[("client_id", CLIENT), there, ("state", "x")])).await;
    assert_eq!(asked.status(), StatusCode::OK);
    let request = hidden(&asked.text().await.unwrap());
    assert!(browser.cookie.is_some());
    let foreign = demo.http.post(demo.url("/logout/confirmed")).header("origin", "null").form(&[("request", &request)]);
    assert_eq!(browser.send(foreign).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(browser.open(&address(&demo, &[])).await.status(), StatusCode::SEE_OTHER, "still signed in");
    let agreed = browser.submit("/logout/confirmed", &[("request", &request)]).await;
    assert_eq!(sent_to(&agreed, GOODBYE)["state"], "x");
    assert_eq!(browser.open(&address(&demo, &[])).await.status(), StatusCode::OK, "signed out");

    // Nobody is signed in any more: there is nothing to ask, and an ID token alone names the client.
    let again = browser.open(&leave(&[("id_token_hint", token), there])).await;
    assert!(sent_to(&again, GOODBYE).is_empty());
    let plain = browser.open(&leave(&[])).await;
    assert_eq!(plain.status(), StatusCode::OK);
    assert!(plain.text().await.unwrap().contains("You are signed out"));
}
