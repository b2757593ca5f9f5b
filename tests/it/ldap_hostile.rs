//! The LDAP connector against servers that break off and lie.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign::directory::facts::{ReadError, WriteResult};
use countersign::directory::ldap::Settings;
use countersign::directory::ldap_ber::{self as ber, ENUMERATED, OCTETS, Reader, SEQUENCE, SET};
use countersign::directory::ldap_message as message;
use countersign::directory::ldap_schema::Dialect;
use countersign::directory::port::Directory;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::ldap_server::directory;

const BASE: &str = "dc=example,dc=org";
const PERSON: &str = "6a3e2b8e-5c1f-4a35-9d51-0b8f6f6f0a01";
const GROUP: &str = "6a3e2b8e-5c1f-4a35-9d51-0b8f6f6f0a02";

/// Whether a result is the one expected.
type Fits = fn(&WriteResult) -> bool;

/// What a question was: its id, tag, and all of it.
struct Asked {
    id: u32,
    tag: u8,
    bytes: Vec<u8>,
}

impl Asked {
    fn says(&self, text: &str) -> bool {
        self.bytes.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

/// What is sent back.
enum Then {
    Say(Vec<u8>),
    /// Then no more.
    SayLast(Vec<u8>),
    Hang,
    BreakOff,
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        if let Ok(Some((_, head, length))) = ber::header(&bytes)
            && bytes.len() >= head + length
        {
            let mut inside = Reader::new(&bytes).enter(SEQUENCE).ok()?;
            let id = inside.number(ber::INTEGER).ok()?;
            let tag = inside.peek()?;
            return Some(Asked { id, tag, bytes });
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn done(id: u32, tag: u8, code: u32, controls: &[u8]) -> Vec<u8> {
    message::message(id, &ber::element(tag, &[ber::number(ENUMERATED, code), ber::octets(""), ber::octets("")].concat()), controls)
}

fn entry(id: u32, dn: &str, attributes: &[(&str, &str)]) -> Vec<u8> {
    let all: Vec<u8> = attributes
        .iter()
        .flat_map(|(name, value)| ber::element(SEQUENCE, &[ber::octets(name), ber::element(SET, &ber::element(OCTETS, value.as_bytes()))].concat()))
        .collect();
    message::message(id, &ber::element(0x64, &[ber::octets(dn), ber::element(SEQUENCE, &all)].concat()), &[])
}

/// A server that binds everybody, knows one person and one group, and does with each question what `odd` says.
async fn server(odd: impl Fn(&Asked) -> Option<Then> + Send + Sync + 'static) -> Directory {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let odd = Arc::new(odd);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let odd = Arc::clone(&odd);
            tokio::spawn(async move {
                while let Some(asked) = read(&mut stream).await {
                    match odd(&asked).unwrap_or_else(|| Then::Say(usual(&asked))) {
                        Then::Say(bytes) => stream.write_all(&bytes).await.unwrap_or_default(),
                        Then::SayLast(bytes) => {
                            stream.write_all(&bytes).await.unwrap_or_default();
                            return;
                        }
                        Then::Hang => tokio::time::sleep(Duration::from_secs(60)).await,
                        Then::BreakOff => return,
                    }
                }
            });
        }
    });
    let settings = Settings {
        start_tls: false,
        timeout: Duration::from_millis(500),
        max_answer: 1 << 20,
        ..Settings::new(&format!("ldap://127.0.0.1:{port}"), Dialect::OpenLdap, BASE, "cn=svc", "pw")
    };
    directory(&settings)
}

fn usual(asked: &Asked) -> Vec<u8> {
    let id = asked.id;
    match asked.tag {
        0x60 => done(id, 0x61, 0, &[]),
        0x66 => done(id, 0x67, 0, &[]),
        0x6e => done(id, 0x6f, 5, &[]),
        0x63 => {
            let group = asked.says(GROUP) || asked.says("groupOfNames") && !asked.says("inetOrgPerson");
            let found = if group {
                entry(id, &format!("cn=g,{BASE}"), &[("entryUUID", GROUP), ("objectClass", "groupOfNames"), ("cn", "g"), ("member", &format!("uid=x,{BASE}"))])
            } else {
                entry(id, &format!("uid=p,{BASE}"), &[("entryUUID", PERSON), ("objectClass", "inetOrgPerson"), ("uid", "p"), ("cn", "P")])
            };
            [found, done(id, 0x65, 0, &[])].concat()
        }
        _ => Vec::new(),
    }
}

fn unusable<T: std::fmt::Debug>(answer: &Result<T, ReadError>) -> bool {
    matches!(answer, Err(ReadError::Malformed(_) | ReadError::Unreachable(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_answer_is_lost_is_uncertain_and_one_that_never_left_is_not() {
    let usual = server(|_| None).await;
    assert_eq!(usual.add(GROUP, PERSON).await, WriteResult::Changed);
    let modify = |then: fn(&Asked) -> Then| move |asked: &Asked| (asked.tag == 0x66).then(|| then(asked));
    for then in
        [|_: &Asked| Then::BreakOff, |_: &Asked| Then::Hang, |_: &Asked| Then::Say(vec![0xff; 40]), |asked: &Asked| Then::Say(done(asked.id + 1, 0x67, 0, &[]))]
    {
        let odd = server(modify(then)).await;
        for result in [odd.add(GROUP, PERSON).await, odd.remove(GROUP, PERSON).await] {
            assert!(matches!(result, WriteResult::Ambiguous(_)), "{result:?}");
        }
    }
    let before = server(|asked| (asked.tag == 0x63).then_some(Then::BreakOff)).await;
    assert!(matches!(before.add(GROUP, PERSON).await, WriteResult::Transient(_)));
    let unbound = server(|asked| (asked.tag == 0x60).then(|| Then::Say(done(asked.id, 0x61, 49, &[])))).await;
    assert!(matches!(unbound.add(GROUP, PERSON).await, WriteResult::Auth(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_codes_mean_what_the_membership_says() {
    let cases: [(u32, bool, Fits); 14] = [
        (20, false, |r| matches!(r, WriteResult::AlreadyInState)),
        (68, false, |r| matches!(r, WriteResult::AlreadyInState)),
        (53, true, |r| matches!(r, WriteResult::AlreadyInState)),
        (53, false, |r| matches!(r, WriteResult::GroupNotWritable(_))),
        (19, true, |r| matches!(r, WriteResult::AlreadyInState | WriteResult::GroupNotWritable(_))),
        (65, false, |r| matches!(r, WriteResult::GroupNotWritable(_))),
        (50, true, |r| matches!(r, WriteResult::AlreadyInState)),
        (50, false, |r| matches!(r, WriteResult::GroupNotWritable(_))),
        (51, false, |r| matches!(r, WriteResult::RateLimited { .. })),
        (52, false, |r| matches!(r, WriteResult::Transient(_))),
        (80, false, |r| matches!(r, WriteResult::Ambiguous(_))),
        (10, false, |r| matches!(r, WriteResult::GroupNotWritable(_))),
        (8, false, |r| matches!(r, WriteResult::Auth(_))),
        (99, false, |r| matches!(r, WriteResult::Unknown(_))),
    ];
    for (code, member, expected) in cases {
        let odd = server(move |asked| match asked.tag {
            0x66 => Some(Then::Say(done(asked.id, 0x67, code, &[]))),
            0x6e => Some(Then::Say(done(asked.id, 0x6f, if member { 6 } else { 5 }, &[]))),
            _ => None,
        })
        .await;
        let result = odd.add(GROUP, PERSON).await;
        assert!(expected(&result), "{code} {member}: {result:?}");
    }
    for (code, member, expected) in
        [(16, true, "nothing"), (53, false, "nothing"), (53, true, "not let"), (19, false, "nothing"), (65, true, "not let"), (50, true, "not let")]
    {
        let odd = server(move |asked| match asked.tag {
            0x66 => Some(Then::Say(done(asked.id, 0x67, code, &[]))),
            0x6e => Some(Then::Say(done(asked.id, 0x6f, if member { 6 } else { 5 }, &[]))),
            _ => None,
        })
        .await;
        let result = odd.remove(GROUP, PERSON).await.to_string();
        assert!(result.contains(expected), "{code} {member}: {result}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_cut_short_or_endless_is_no_answer() {
    for (name, then) in [
        ("result 4 with some records", (|asked: &Asked| Then::Say([usual(asked), Vec::new()].concat().into_iter().collect())) as fn(&Asked) -> Then),
        ("hangs", |_| Then::Hang),
        ("breaks off", |_| Then::BreakOff),
        ("nonsense", |_| Then::Say(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())),
        ("a message of 4 GiB", |_| Then::Say(vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff])),
        ("no end of nesting", |_| Then::Say([0x30, 0x80].repeat(50_000))),
        ("notice of disconnection", |_| Then::Say(done(0, 0x78, 52, &[]))),
        ("another's answer", |asked| Then::Say(done(asked.id + 7, 0x65, 0, &[]))),
        ("another operation's answer", |asked| Then::Say(done(asked.id, 0x67, 0, &[]))),
        ("a referral instead", |asked| Then::Say(done(asked.id, 0x65, 10, &[]))),
        ("a list without an end", |asked| {
            Then::Say(
                [entry(asked.id, "uid=p", &[("entryUUID", PERSON), ("objectClass", "inetOrgPerson")]), done(asked.id, 0x65, 0, &message::paged(0, b"more"))]
                    .concat(),
            )
        }),
        ("empty pages without an end", |asked| Then::Say(done(asked.id, 0x65, 0, &message::paged(0, b"more")))),
        ("more than fits", |asked| Then::Say([entry(asked.id, "uid=p", &[("cn", &"x".repeat(2 << 20))]), done(asked.id, 0x65, 0, &[])].concat())),
    ] {
        let first = name.starts_with("result 4");
        let odd = server(move |asked| {
            (asked.tag == 0x63).then(|| {
                if first {
                    Then::Say([entry(asked.id, &format!("uid=p,{BASE}"), &[("entryUUID", PERSON)]), done(asked.id, 0x65, 4, &[])].concat())
                } else {
                    then(asked)
                }
            })
        })
        .await;
        let person = odd.person(PERSON).await;
        assert!(unusable(&person), "{name}: {person:?}");
        assert!(unusable(&odd.find_person("user_name", "p").await), "{name}");
        assert!(unusable(&odd.group(GROUP).await), "{name}");
        assert!(unusable(&odd.is_member(GROUP, PERSON).await), "{name}");
        let mut cursor = None;
        let mut pages = 0;
        let ended = loop {
            pages += 1;
            assert!(pages < 300, "{name}: a listing goes on for ever");
            match odd.people(cursor).await {
                Err(error) => break Err(error),
                Ok(page) if page.next.is_none() => break Ok(()),
                Ok(page) => cursor = page.next,
            }
        };
        assert!(unusable(&ended), "{name}: {ended:?}");
        // A test of the connection looks at one page.
        assert!(name == "a list without an end" || !odd.probe().await.works, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_that_finds_others_finds_nobody() {
    // This server answers every search with the same person.
    let odd = server(|_| None).await;
    assert_eq!(odd.find_person("user_name", "somebody-else").await, Ok(None));
    assert_eq!(odd.find_person("user_name", "P").await.unwrap().unwrap().reference, PERSON);
    let other = "6a3e2b8e-5c1f-4a35-9d51-0b8f6f6f0a09";
    assert!(unusable(&odd.person(other).await), "another record than the one asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ended_meanwhile_is_replaced_and_a_refused_password_is_not_tried_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    // Ends each connection at the second search on it, as a server does that was restarted.
    let odd = server(move |one| (one.tag == 0x63 && count.fetch_add(1, Ordering::SeqCst) == 3).then_some(Then::BreakOff)).await;
    for _ in 0..5 {
        assert!(odd.find_group("g").await.unwrap().is_some());
    }
    assert_eq!(asked.load(Ordering::SeqCst), 6, "asked once more, on a new connection");

    let binds = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&binds);
    let odd = server(move |one| {
        (one.tag == 0x60).then(|| {
            count.fetch_add(1, Ordering::SeqCst);
            Then::Say(done(one.id, 0x61, 49, &[]))
        })
    })
    .await;
    for _ in 0..10 {
        assert!(matches!(odd.person(PERSON).await, Err(ReadError::Auth(_))));
    }
    assert_eq!(binds.load(Ordering::SeqCst), 1, "refusals lock an account");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_answers_are_never_taken_for_whole_ones() {
    // Every answer that the usual server gives to a search, with one byte changed or cut off somewhere.
    let state = Arc::new(AtomicUsize::new(1));
    let next = Arc::clone(&state);
    let odd = server(move |asked| {
        (asked.tag == 0x63).then(|| {
            let mut bytes = usual(asked);
            let random = |below: usize| {
                let value = next.load(Ordering::SeqCst).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                next.store(value, Ordering::SeqCst);
                (value >> 33) % below
            };
            if random(3) == 0 {
                bytes.truncate(random(bytes.len()));
            } else {
                let place = random(bytes.len());
                bytes[place] = u8::try_from(random(256)).unwrap();
            }
            Then::SayLast(bytes)
        })
    })
    .await;
    let mut told = 0;
    for _ in 0..300 {
        // It may be that what was damaged is a name nobody looks at; a person is then still the one who was asked for.
        if let Ok(Some(person)) = odd.find_person("user_name", "p").await {
            assert!(person.user_name.eq_ignore_ascii_case("p"), "{person:?}");
            told += 1;
        }
        if let Ok(members) = odd.members(GROUP).await {
            assert!(members.is_none_or(|members| members.len() <= 1));
        }
    }
    assert!(told < 300);
}
