//! The demo directory's SCIM service, and our connector on it.

use countersign::clock::Clock;
use countersign::directory::facts::WriteResult;
use countersign::directory::http;
use countersign::directory::port::Directory;
use countersign::directory::scim::Scim;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::demo::{Demo, TOKEN};

const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

async fn get(demo: &Demo, path: &str, query: &[(&str, &str)]) -> Value {
    let answer = demo.scim(Method::GET, path).query(query).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path} {query:?}");
    assert_eq!(answer.headers()["content-type"], "application/scim+json");
    answer.json().await.unwrap()
}

async fn patch(demo: &Demo, path: &str, operations: Value) -> Response {
    let body = json!({"schemas": [PATCH], "Operations": operations});
    demo.scim(Method::PATCH, path).header("content-type", "application/scim+json").body(body.to_string()).send().await.unwrap()
}

/// The status and keyword of a refusal, after checking that it is written as the standard says.
async fn refusal(answer: Response) -> (u16, Option<String>) {
    let status = answer.status();
    assert_eq!(answer.headers()["content-type"], "application/scim+json");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]));
    assert_eq!(body["status"], status.as_str());
    assert!(body["detail"].as_str().is_some_and(|detail| detail.len() > 5), "{body}");
    (status.as_u16(), body["scimType"].as_str().map(str::to_owned))
}

fn names(list: &Value) -> Vec<&str> {
    list["Resources"].as_array().unwrap().iter().map(|user| user["userName"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_shown_whole() {
    let demo = Demo::start().await;
    let id = demo.id_of("mara.voss").await;
    let answer = demo.scim(Method::GET, &format!("/Users/{id}")).send().await.unwrap();
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    let mara: Value = answer.json().await.unwrap();
    assert_eq!(mara["userName"], "mara.voss");
    assert_eq!(mara["name"], json!({"formatted": "Mara Voss", "givenName": "Mara", "familyName": "Voss"}));
    assert_eq!(mara["emails"], json!([{"value": "mara.voss@orchardvale.example", "type": "work", "primary": true}]));
    assert_eq!((&mara["title"], &mara["userType"], &mara["active"]), (&json!("Analytics Manager"), &json!("employee"), &json!(true)));
    let extension = &mara[ENTERPRISE];
    assert_eq!((&extension["department"], &extension["costCenter"]), (&json!("Data"), &json!("2200")));
    let priya = demo.id_of("priya.raman").await;
    let place = format!("{}/Users/{priya}", demo.running.scim_base());
    assert_eq!(extension["manager"], json!({"value": priya, "$ref": place, "displayName": "Priya Raman"}));
    assert_eq!(mara["groups"][0]["display"], "warehouse-analysts");
    assert_eq!(mara["groups"][0]["value"], demo.group_id("warehouse-analysts").await);
    assert_eq!(mara["meta"]["version"], tag);
    assert_eq!(mara["meta"]["location"], format!("{}/Users/{id}", demo.running.scim_base()));

    let ines = demo.one("/Users", "userName eq \"ines.okafor\"").await;
    assert!(ines[ENTERPRISE].get("manager").is_none());
    let unchanged = demo.scim(Method::GET, &format!("/Users/{id}")).header("if-none-match", &tag).send().await.unwrap();
    assert_eq!(unchanged.status(), 304);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_find_whom_they_name_and_nobody_else() {
    let demo = Demo::start().await;
    let bo = demo.id_of("bo.lind").await;
    let analysts = demo.group_id("warehouse-analysts").await;
    for (filter, expected) in [
        ("userName eq \"BO.LIND\"".to_owned(), vec!["bo.lind"]),
        (format!("id eq \"{bo}\""), vec!["bo.lind"]),
        (format!("id eq \"{}\"", bo.to_uppercase()), vec![]),
        ("emails.value eq \"Bo.Lind@orchardvale.example\"".into(), vec!["bo.lind"]),
        ("emails[value eq \"bo.lind@orchardvale.example\"]".into(), vec!["bo.lind"]),
        ("userName eq \"bo.lind\" and active eq false".into(), vec![]),
        ("active eq false".into(), vec!["oscar.nilsen"]),
        ("not (manager pr)".into(), vec!["ines.okafor"]),
        (format!("groups.value eq \"{analysts}\""), vec!["priya.raman", "mara.voss", "yusuf.demir"]),
        (format!("{ENTERPRISE}:department eq \"data\" and userType eq \"contractor\""), vec!["elif.aydin"]),
        ("userName eq \"nobody\\\" or userName pr or \\\"\"".into(), vec![]),
    ] {
        let found = get(&demo, "/Users", &[("filter", &filter)]).await;
        assert_eq!(names(&found), expected, "{filter}");
        assert_eq!(found["totalResults"], expected.len(), "{filter}");
    }
    let security = demo.group_id("security").await;
    let ben = demo.id_of("ben.adler").await;
    for (filter, total) in [
        (format!("id eq \"{security}\" and members.value eq \"{ben}\""), 1),
        (format!("id eq \"{security}\" and members.value eq \"{bo}\""), 0),
        (format!("members[value eq \"{ben}\"]"), 1),
        ("displayName eq \"SECURITY\"".into(), 1),
        ("displayName sw \"countersign-\"".into(), 2),
    ] {
        assert_eq!(get(&demo, "/Groups", &[("filter", &filter)]).await["totalResults"], total, "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_people_are_found_by_the_time_of_their_change() {
    let demo = Demo::start().await;
    let before = demo.clock.now().to_rfc3339();
    let filter = format!("meta.lastModified gt \"{before}\"");
    assert_eq!(get(&demo, "/Users", &[("filter", &filter)]).await["totalResults"], 0);
    let (bo, readers) = (demo.id_of("bo.lind").await, demo.group_id("orders-db-readers").await);
    let joined = patch(&demo, &format!("/Groups/{readers}"), json!([{"op": "add", "path": "members", "value": [{"value": bo}]}])).await;
    assert_eq!(joined.status(), 204);
    assert_eq!(get(&demo, "/Users", &[("filter", &filter)]).await["totalResults"], 0);
    let disabled = patch(&demo, &format!("/Users/{bo}"), json!([{"op": "replace", "path": "active", "value": false}])).await;
    assert_eq!(disabled.status(), 204);
    assert_eq!(names(&get(&demo, "/Users", &[("filter", &filter)]).await), ["bo.lind"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_begin_and_end_where_they_are_asked_to() {
    let demo = Demo::start().await;
    let list = |start: &'static str, count: &'static str| {
        let demo = &demo;
        async move {
            let page = get(demo, "/Users", &[("startIndex", start), ("count", count)]).await;
            assert_eq!(page["totalResults"], 28);
            assert_eq!(page["itemsPerPage"], page["Resources"].as_array().unwrap().len());
            (page["startIndex"].as_u64().unwrap(), names(&page).into_iter().map(str::to_owned).collect::<Vec<_>>())
        }
    };
    let all = list("1", "1000").await.1;
    assert_eq!(all.len(), 28);
    assert_eq!(list("27", "10").await, (27, all[26..].to_vec()));
    assert_eq!(list("2", "3").await.1, all[1..4]);
    assert_eq!(list("-5", "2").await, (1, all[..2].to_vec()));
    for (start, count) in [("29", "10"), ("1", "0"), ("1", "-1"), ("9223372036854775807", "9223372036854775807")] {
        assert_eq!(list(start, count).await.1.len(), 0, "{start} {count}");
    }
    let found = get(&demo, "/Users", &[("filter", "active eq true"), ("startIndex", "27"), ("count", "5")]).await;
    assert_eq!((found["totalResults"].as_u64(), found["itemsPerPage"].as_u64()), (Some(27), Some(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go_once_however_often_they_are_told() {
    let demo = Demo::start().await;
    let (bo, readers) = (demo.id_of("bo.lind").await, demo.group_id("orders-db-readers").await);
    let path = format!("/Groups/{readers}");
    let add = json!([{"op": "add", "path": "members", "value": [{"value": bo}]}]);
    let remove = json!([{"op": "remove", "path": format!("members[value eq \"{bo}\"]")}]);
    let tag = |answer: &Response| answer.headers()["etag"].to_str().unwrap().to_owned();
    let holds = async || {
        let group = get(&demo, &path, &[]).await;
        let person = get(&demo, &format!("/Users/{bo}"), &[]).await;
        let in_group = group["members"].as_array().unwrap().iter().filter(|member| member["value"] == *bo).count();
        assert_eq!(in_group, person["groups"].as_array().unwrap().len());
        in_group
    };
    assert_eq!(holds().await, 0);
    let (first, again) = (patch(&demo, &path, add.clone()).await, patch(&demo, &path, add.clone()).await);
    assert_eq!((first.status(), again.status(), tag(&first) == tag(&again)), (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT, true));
    assert_eq!(holds().await, 1);
    let whole = demo.scim(Method::PATCH, &format!("{path}?attributes=members.value")).json(&json!({"schemas": [PATCH], "Operations": add}));
    let whole = whole.send().await.unwrap();
    assert_eq!(whole.status(), 200);
    assert_eq!(whole.json::<Value>().await.unwrap()["members"].as_array().unwrap().len(), 2);
    let (first, again) = (patch(&demo, &path, remove.clone()).await, patch(&demo, &path, remove).await);
    assert_eq!((first.status(), again.status(), tag(&first) == tag(&again)), (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT, true));
    assert_eq!(holds().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patch_that_is_wrong_in_part_changes_nothing() {
    let demo = Demo::start().await;
    let (bo, readers) = (demo.id_of("bo.lind").await, demo.group_id("orders-db-readers").await);
    let path = format!("/Groups/{readers}");
    let before = get(&demo, &path, &[]).await;
    for (operations, status, keyword) in [
        (json!([{"op": "add", "path": "members", "value": [{"value": bo}, {"value": "no such id"}]}]), 400, Some("invalidValue")),
        (json!([{"op": "add", "path": "members", "value": [{"value": bo}]}, {"op": "remove", "path": "shoes"}]), 400, Some("invalidPath")),
        (json!([{"op": "remove", "path": "members[value is 1]"}]), 400, Some("invalidFilter")),
        (json!([{"op": "replace", "path": "displayName", "value": "x"}]), 400, Some("mutability")),
        (json!(null), 400, Some("invalidSyntax")),
    ] {
        let refused = refusal(patch(&demo, &path, operations.clone()).await).await;
        assert_eq!(refused, (status, keyword.map(str::to_owned)), "{operations}");
    }
    assert_eq!(get(&demo, &path, &[]).await, before);
    let send = |body: Vec<u8>, media: &'static str| demo.scim(Method::PATCH, &path).header("content-type", media).body(body).send();
    assert_eq!(refusal(send(vec![], "application/json").await.unwrap()).await.0, 400);
    assert_eq!(refusal(send(b"{\"a\":\0}".to_vec(), "application/json").await.unwrap()).await.0, 400);
    assert_eq!(refusal(send(b"{}".to_vec(), "text/plain").await.unwrap()).await.0, 415);
    // What is too large is not read to its end, so nothing more can be asked on its connection.
    let large = demo.scim(Method::PATCH, &path).header("content-type", "application/json").header("connection", "close").body(vec![b' '; 2 << 20]).send();
    assert_eq!(refusal(large.await.unwrap()).await.0, 413);
    assert_eq!(get(&demo, &path, &[]).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_based_on_an_old_version_is_refused() {
    let demo = Demo::start().await;
    let (bo, readers) = (demo.id_of("bo.lind").await, demo.group_id("orders-db-readers").await);
    let path = format!("/Groups/{readers}");
    let old = get(&demo, &path, &[]).await["meta"]["version"].as_str().unwrap().to_owned();
    let body = |op: &str| {
        let value = json!([{"value": bo}]);
        json!({"schemas": [PATCH], "Operations": [{"op": op, "path": "members", "value": value}]})
    };
    let send = |op: &str, tag: &str| demo.scim(Method::PATCH, &path).header("if-match", tag).json(&body(op)).send();
    let first = send("add", &old).await.unwrap();
    assert_eq!(first.status(), 204);
    let new = first.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(refusal(send("remove", &old).await.unwrap()).await.0, 412);
    assert_eq!(get(&demo, &format!("/Users/{bo}"), &[]).await["groups"].as_array().unwrap().len(), 1);
    assert_eq!(send("remove", &new).await.unwrap().status(), 204);
    assert_eq!(send("add", "*").await.unwrap().status(), 204);
    let person = demo.scim(Method::PATCH, &format!("/Users/{bo}")).header("if-match", "W/\"1\"");
    let operations = json!({"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": false}]});
    assert_eq!(refusal(person.json(&operations).send().await.unwrap()).await.0, 412);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_requests_are_refused_in_the_standards_form() {
    let demo = Demo::start().await;
    let url = |path: &str| format!("{}{path}", demo.running.scim_base());
    for request in [
        demo.http.get(url("/Users")),
        demo.http.get(url("/Users")).bearer_auth("wrong"),
        demo.http.get(url("/Users")).bearer_auth(format!("{TOKEN}x")),
        demo.http.get(url("/Users")).basic_auth(TOKEN, Some(TOKEN)),
        demo.http.get(url("/ServiceProviderConfig")),
        demo.http.get(url("/nothing")),
        demo.http.patch(url("/Groups/x")).body("x"),
    ] {
        let answer = request.send().await.unwrap();
        assert!(answer.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
        assert_eq!(refusal(answer).await, (401, None));
    }
    let ask = |query: &[(&str, &str)]| demo.scim(Method::GET, "/Users").query(query).send();
    let keyword = |word: &str| (400, Some(word.to_owned()));
    for filter in ["userName", "userName eq bo", "nope eq \"x\"", "userName eq \"\u{0}", "((((", "", "active eq \"true\""] {
        assert_eq!(refusal(ask(&[("filter", filter)]).await.unwrap()).await, keyword("invalidFilter"), "{filter:?}");
    }
    assert_eq!(refusal(ask(&[("startIndex", "one")]).await.unwrap()).await, keyword("invalidValue"));
    assert_eq!(refusal(ask(&[("count", "1.5")]).await.unwrap()).await, keyword("invalidValue"));
    assert_eq!(refusal(ask(&[("filter", "active eq true"), ("Filter", "active eq true")]).await.unwrap()).await, keyword("invalidValue"));
    assert_eq!(refusal(ask(&[("attributes", "id"), ("excludedAttributes", "id")]).await.unwrap()).await, keyword("invalidValue"));
    let unknown = "/6d1f2d4d-0000-8000-8000-000000000000";
    for path in ["/Users/x", "/Groups/x", "/nothing", &format!("/Users{unknown}"), &format!("/Groups{unknown}"), "/Schemas/x"] {
        assert_eq!(refusal(demo.scim(Method::GET, path).send().await.unwrap()).await.0, 404, "{path}");
    }
    let operation = json!([{"op": "add", "path": "members", "value": []}]);
    assert_eq!(refusal(patch(&demo, &format!("/Groups{unknown}"), operation).await).await.0, 404);
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        assert_eq!(refusal(demo.scim(method, "/Users").send().await.unwrap()).await.0, 501);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_listed_without_members_when_they_are_not_wanted() {
    let demo = Demo::start().await;
    let whole = get(&demo, "/Groups", &[]).await;
    let light = get(&demo, "/Groups", &[("excludedAttributes", "members")]).await;
    assert_eq!((&whole["totalResults"], &light["totalResults"]), (&json!(10), &json!(10)));
    assert!(whole["Resources"].as_array().unwrap().iter().all(|group| group["members"].is_array()));
    assert!(light["Resources"].as_array().unwrap().iter().all(|group| group.get("members").is_none() && group["displayName"].is_string()));
    let only = get(&demo, "/Users", &[("attributes", "userName"), ("count", "1")]).await;
    assert_eq!(only["Resources"][0].as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "schemas", "userName"]);
    let config = get(&demo, "/ServiceProviderConfig", &[]).await;
    assert_eq!((&config["patch"]["supported"], &config["etag"]["supported"]), (&json!(true), &json!(true)));
    assert_eq!(get(&demo, "/ResourceTypes", &[]).await["totalResults"], 2);
    assert_eq!(get(&demo, "/Schemas", &[]).await["totalResults"], 3);
    assert_eq!(get(&demo, &format!("/Schemas/{ENTERPRISE}"), &[]).await["name"], "EnterpriseUser");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_connector_finds_changes_and_reads_back() {
    let demo = Demo::start().await;
    let directory = Directory::Scim(Scim::new(&http::Settings::new(&demo.running.scim_base(), TOKEN), Clock::system()).unwrap());
    let probe = directory.probe().await;
    assert!(probe.works, "{:?}", probe.notes);
    let bo = directory.find_person("user_name", "Bo.Lind").await.unwrap().unwrap();
    let mara = directory.find_person("email", "mara.voss@orchardvale.example").await.unwrap().unwrap();
    assert_eq!(bo.manager, Some(mara.reference));
    assert_eq!(bo.attributes["department"], ["Data"]);
    assert_eq!(bo.attributes["employment_type"], ["employee"]);
    assert!(bo.groups.is_empty());
    let readers = directory.find_group("orders-db-readers").await.unwrap().unwrap();
    for _ in 0..2 {
        assert!(matches!(directory.add(&readers.reference, &bo.reference).await, WriteResult::Changed | WriteResult::AlreadyInState));
        assert_eq!(directory.is_member(&readers.reference, &bo.reference).await, Ok(true));
    }
    assert_eq!(directory.person(&bo.reference).await.unwrap().unwrap().groups, std::slice::from_ref(&readers));
    for _ in 0..2 {
        assert!(matches!(directory.remove(&readers.reference, &bo.reference).await, WriteResult::Changed | WriteResult::AlreadyInState));
        assert_eq!(directory.is_member(&readers.reference, &bo.reference).await, Ok(false));
    }
    let everyone = directory.people(None).await.unwrap();
    assert_eq!((everyone.items.len(), everyone.next.is_none()), (28, true));
}
