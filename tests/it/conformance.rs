//! What every connector must do, written once.
//!
//! A connector's tests make a [`Bench`] (the real server or a fake, with a way to misbehave) and call [`conforms`]. What a directory
//! cannot do its bench says in [`Can`], and the suite holds it to that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use countersign::directory::facts::{PersonFacts, ReadError, WriteResult};
use countersign::directory::port::Directory;

/// The group of the crowd has at least so many members.
pub const CROWD: usize = 5_000;

/// Everybody whom the suite asks for, by login and name: for directories that must have them from the beginning.
pub const CAST: [(&str, &str); 10] = [
    ("ada.plain", "Ada Plain"),
    ("bea.stays", "Bea Stays"),
    ("cem.stays", "Cem Stays"),
    ("o'neil+test", "Zoë \"O'Neil\" (née Ünal)"),
    ("star*", "Star * \\ Back, Comma; <b>&amp;</b>"),
    ("uid=x,ou=y", "Eq = Plus + Hash #1"),
    ("dora.leaves", "Dora Leaves"),
    ("eli.goes", "Eli Goes"),
    ("fay.comes", "Fay Comes"),
    ("gus.moves", "Gus Moves"),
];

/// Every group that the suite asks for.
pub const GROUPS: [&str; 10] = [
    "conform-basic",
    "conform-unknown",
    "conform-disabled",
    "conform-busy",
    "conform-broken",
    "conform-silent",
    "conform-expired",
    "conform-last",
    "conform-kept",
    "Odd \"name\" (a*b) \\ Zoë, = + # ; <x>&y",
];

/// Which calls a fault concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Those that change something.
    Change,
    /// Those that only ask.
    Question,
}

/// What goes wrong with the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done; the directory is busy and wants so many seconds, in its own way of saying so.
    Busy(On, u64),
    /// Nothing is done; the directory fails.
    Broken(On),
    /// The change is made, and no answer comes within the time-out.
    DoneButSilent,
    /// Tokens given so far are no longer taken. At once, not with the next call.
    Expired,
    /// The next page is said to lie at another origin.
    Elsewhere,
}

/// What becomes of a member that the directory does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The change is refused, or counts for nothing.
    Refused,
    /// It is listed nevertheless.
    Listed,
}

/// What a directory can do.
#[derive(Clone, Copy, Debug)]
pub struct Can {
    /// People can be deleted.
    pub delete: bool,
    /// More people can be made at any time.
    pub make: bool,
    /// Logins may hold any character.
    pub odd_logins: bool,
    /// A busy directory says how long to wait.
    pub says_wait: bool,
    /// A token that is no longer taken is replaced by another one.
    pub renews: bool,
    /// Pages name the next one by its address.
    pub next_links: bool,
    /// A group may lose its last member.
    pub empties: bool,
    /// What becomes of a member whom the directory does not know.
    pub unknown: Unknown,
}

/// A directory to be tried.
pub trait Bench {
    /// What it can do.
    fn can(&self) -> Can;
    /// Through the connector.
    fn directory(&self) -> &Directory;
    /// Makes a person, or shows the one of [`CAST`]; their reference.
    async fn person(&self, login: &str, name: &str) -> String;
    /// Makes a group with members, or fills the one of [`GROUPS`]; its reference.
    async fn group(&self, name: &str, members: &[&str]) -> String;
    /// A group with at least [`CROWD`] members.
    async fn crowd(&self) -> String;
    /// Switches a person off.
    async fn disable(&self, person: &str);
    /// Deletes a person; false when that is not to be had.
    async fn delete(&self, person: &str) -> bool;
    /// References of a group's direct members, each as often as the directory itself lists it, asked without our code.
    async fn members(&self, group: &str) -> Vec<String>;
    /// References of nobody and of no group, in the form that the directory's have.
    fn nobody(&self) -> (String, String);
    /// Lets something go wrong.
    async fn suffer(&self, fault: Fault);
    /// How often the directory named a next page by its address.
    fn next_links(&self) -> usize;
    /// How many calls went to another origin.
    fn strays(&self) -> usize;
}

/// Everything that holds for every connector.
pub async fn conforms(bench: &impl Bench) {
    changes_are_safe_to_repeat(bench).await;
    nobody_and_no_group_are_told_apart_from_failures(bench).await;
    the_disabled_and_the_gone_are_told(bench).await;
    special_characters_stay_what_they_are(bench).await;
    a_large_group_is_read_and_changed_whole(bench).await;
    one_removal_takes_one_away(bench).await;
    a_busy_directory_is_left_alone(bench).await;
    a_broken_answer_is_no_answer(bench).await;
    silence_is_not_a_no(bench).await;
    a_listing_under_change_comes_to_an_end(bench).await;
    the_next_page_is_not_followed_elsewhere(bench).await;
    // Last: where tokens are not renewed, this is the end.
    tokens_that_expire_are_renewed_or_told(bench).await;
}

async fn cast(bench: &impl Bench, which: usize) -> String {
    bench.person(CAST[which].0, CAST[which].1).await
}

/// What the directory says in the end: some show a change only after a while.
async fn settles(bench: &impl Bench, group: &str, person: &str, wanted: bool) -> bool {
    let mut pause = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..100 {
        pause.tick().await;
        if bench.directory().is_member(group, person).await == Ok(wanted) {
            return true;
        }
    }
    false
}

fn sorted(mut all: Vec<String>) -> Vec<String> {
    all.sort();
    all
}

fn names(people: &[&String]) -> Vec<String> {
    sorted(people.iter().map(|person| (*person).clone()).collect())
}

/// A success, or that there was nothing to do.
fn is_done(result: &WriteResult) -> bool {
    matches!(result, WriteResult::Changed | WriteResult::AlreadyInState | WriteResult::Pending)
}

async fn changes_are_safe_to_repeat(bench: &impl Bench) {
    let directory = bench.directory();
    let (ada, bea) = (cast(bench, 0).await, cast(bench, 1).await);
    let group = bench.group(GROUPS[0], &[&bea]).await;
    assert_eq!(directory.is_member(&group, &ada).await, Ok(false));
    assert_eq!(directory.is_member(&group, &bea).await, Ok(true));
    for time in ["first", "second"] {
        let result = directory.add(&group, &ada).await;
        assert!(is_done(&result), "{time} add: {result}");
        assert!(settles(bench, &group, &ada, true).await, "{time} add is read back");
        assert_eq!(sorted(bench.members(&group).await), names(&[&ada, &bea]), "{time} add, by the directory itself");
        let listed = directory.members(&group).await.unwrap().unwrap();
        assert_eq!(sorted(listed), names(&[&ada, &bea]));
    }
    let facts = directory.person(&ada).await.unwrap().unwrap();
    assert!(facts.groups.iter().any(|one| one.reference == group), "a person comes with their groups: {facts:?}");
    for time in ["first", "second"] {
        let result = directory.remove(&group, &ada).await;
        assert!(is_done(&result), "{time} remove: {result}");
        assert!(settles(bench, &group, &ada, false).await, "{time} remove is read back");
        assert_eq!(sorted(bench.members(&group).await), names(&[&bea]), "{time} remove leaves the other");
    }
    let facts = directory.person(&ada).await.unwrap().unwrap();
    assert!(facts.groups.iter().all(|one| one.reference != group), "{facts:?}");
}

async fn nobody_and_no_group_are_told_apart_from_failures(bench: &impl Bench) {
    let directory = bench.directory();
    let (nobody, no_group) = bench.nobody();
    let bea = cast(bench, 1).await;
    let group = bench.group(GROUPS[1], &[&bea]).await;
    assert_eq!(directory.person(&nobody).await, Ok(None));
    assert_eq!(directory.find_person("user_name", "nobody-of-this-name").await, Ok(None));
    assert_eq!(directory.group(&no_group).await, Ok(None));
    assert_eq!(directory.members(&no_group).await, Ok(None));
    assert_eq!(directory.find_group("no group of this name").await, Ok(None));
    assert_eq!(directory.is_member(&no_group, &bea).await, Ok(false));
    assert_eq!(directory.is_member(&group, &nobody).await, Ok(false));
    assert_eq!(directory.add(&no_group, &bea).await, WriteResult::NotFoundGroup);
    assert_eq!(directory.remove(&no_group, &bea).await, WriteResult::NotFoundGroup);

    let result = directory.add(&group, &nobody).await;
    match bench.can().unknown {
        Unknown::Refused => {
            assert!(!is_done(&result) || result == WriteResult::Changed, "{result}");
            assert_eq!(directory.is_member(&group, &nobody).await, Ok(false), "{result}");
        }
        Unknown::Listed => assert!(bench.members(&group).await.contains(&nobody), "the bench says that it is listed: {result}"),
    }
    let result = directory.remove(&group, &nobody).await;
    assert!(is_done(&result) || result == WriteResult::NotFoundUser, "{result}");
    assert_eq!(bench.members(&group).await, std::slice::from_ref(&bea), "whatever is said of nobody, the others stay");

    // What is no reference at all is never sent in a way that means something else.
    for hostile in ["", " ", "..", "../Users", "a/b?c=d#e", "x\0y", "*", "\") or (\"a\" eq \"a", "x)(objectClass=*"] {
        assert!(!matches!(directory.person(hostile).await, Ok(Some(_))), "{hostile:?}");
        assert!(!matches!(directory.group(hostile).await, Ok(Some(_))), "{hostile:?}");
        assert!(!is_done(&directory.add(hostile, &bea).await), "{hostile:?}");
        assert!(!is_done(&directory.remove(hostile, &bea).await), "{hostile:?}");
        assert!(!matches!(directory.find_person("user_name", hostile).await, Ok(Some(_))), "{hostile:?}");
        if bench.can().unknown == Unknown::Refused || hostile.trim().is_empty() {
            let _ = directory.add(&group, hostile).await;
        }
        let _ = directory.remove(&group, hostile).await;
    }
    assert_eq!(bench.members(&group).await, [bea]);
}

async fn the_disabled_and_the_gone_are_told(bench: &impl Bench) {
    let directory = bench.directory();
    let (dora, bea) = (cast(bench, 6).await, cast(bench, 1).await);
    let group = bench.group(GROUPS[2], &[&dora, &bea]).await;
    assert!(directory.person(&dora).await.unwrap().unwrap().active);
    bench.disable(&dora).await;
    assert!(!directory.person(&dora).await.unwrap().unwrap().active);
    let all = everybody(directory).await;
    assert!(all.get(&dora).is_none_or(|facts| !facts.active), "a listing never calls them active");
    assert!(all[&bea].active);
    // Most directories leave whoever is disabled in their groups; taking them out must work then.
    let result = directory.remove(&group, &dora).await;
    assert!(is_done(&result), "{result}");
    assert!(settles(bench, &group, &dora, false).await);
    assert_eq!(bench.members(&group).await, std::slice::from_ref(&bea));

    let eli = cast(bench, 7).await;
    assert!(is_done(&directory.add(&group, &eli).await));
    assert!(settles(bench, &group, &eli, true).await);
    assert_eq!(bench.delete(&eli).await, bench.can().delete, "the bench says whether people can be deleted");
    if bench.can().delete {
        assert_eq!(directory.person(&eli).await, Ok(None));
        assert!(!everybody(directory).await.contains_key(&eli));
        let result = directory.remove(&group, &eli).await;
        assert!(is_done(&result) || result == WriteResult::NotFoundUser, "{result}");
        assert_eq!(directory.is_member(&group, &eli).await, Ok(false));
    }
    assert!(bench.members(&group).await.contains(&bea));
}

/// Everybody whom the directory lists, each once.
async fn everybody(directory: &Directory) -> BTreeMap<String, PersonFacts> {
    let mut all = BTreeMap::new();
    let mut cursor = None;
    loop {
        let page = directory.people(cursor).await.unwrap();
        for facts in page.items {
            let reference = facts.reference.clone();
            assert!(all.insert(reference, facts).is_none(), "nobody is listed twice");
        }
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}

async fn special_characters_stay_what_they_are(bench: &impl Bench) {
    let directory = bench.directory();
    let mut odd = Vec::new();
    for (login, name) in &CAST[3..6] {
        let reference = bench.person(login, name).await;
        let facts = directory.person(&reference).await.unwrap().unwrap();
        assert_eq!(facts.display_name, *name);
        assert_eq!(facts.user_name == *login, bench.can().odd_logins || facts.user_name == *login, "{facts:?}");
        let found = directory.find_person("user_name", &facts.user_name).await.unwrap().unwrap();
        assert_eq!(found.reference, reference, "a login finds exactly its person");
        odd.push(reference);
    }
    if bench.can().odd_logins {
        for (login, _) in &CAST[3..6] {
            assert!(directory.find_person("user_name", login).await.unwrap().is_some(), "{login}");
        }
    }
    for wild in ["*", "s*", "star", "ada.plain\" or userName pr or \"", "ada.plain)(uid=*", "ada.plain' or '1' eq '1", "ada.plain\\2a"] {
        assert_eq!(directory.find_person("user_name", wild).await, Ok(None), "{wild}");
        assert_eq!(directory.find_group(wild).await, Ok(None), "{wild}");
    }
    let name = GROUPS[9];
    let group = bench.group(name, &[&odd[0]]).await;
    assert_eq!(directory.group(&group).await.unwrap().unwrap().name, name);
    let found = directory.find_group(name).await.unwrap().unwrap();
    assert_eq!((found.reference.as_str(), found.name.as_str()), (group.as_str(), name));
    for person in &odd[1..] {
        assert!(is_done(&directory.add(&group, person).await));
        assert!(settles(bench, &group, person, true).await);
    }
    assert_eq!(sorted(bench.members(&group).await), names(&odd.iter().collect::<Vec<_>>()));
    let result = directory.remove(&group, &odd[1]).await;
    assert!(is_done(&result), "{result}");
    assert!(settles(bench, &group, &odd[1], false).await);
    assert_eq!(sorted(bench.members(&group).await), names(&[&odd[0], &odd[2]]));
}

async fn a_large_group_is_read_and_changed_whole(bench: &impl Bench) {
    let directory = bench.directory();
    let group = bench.crowd().await;
    let before: BTreeSet<String> = bench.members(&group).await.into_iter().collect();
    assert!(before.len() >= CROWD, "{}", before.len());
    let read = directory.members(&group).await.unwrap().unwrap();
    assert_eq!(read.len(), before.len(), "each once");
    assert_eq!(read.iter().cloned().collect::<BTreeSet<_>>(), before);
    for one in [&read[0], &read[read.len() / 2], &read[read.len() - 1]] {
        assert_eq!(directory.is_member(&group, one).await, Ok(true));
    }
    let ada = cast(bench, 0).await;
    assert_eq!(directory.is_member(&group, &ada).await, Ok(false));
    let result = directory.add(&group, &ada).await;
    assert!(is_done(&result), "{result}");
    assert!(settles(bench, &group, &ada, true).await);
    let result = directory.remove(&group, &ada).await;
    assert!(is_done(&result), "{result}");
    assert!(settles(bench, &group, &ada, false).await);
    assert_eq!(bench.members(&group).await.into_iter().collect::<BTreeSet<_>>(), before, "nobody else came or went");
}

async fn one_removal_takes_one_away(bench: &impl Bench) {
    let directory = bench.directory();
    let (ada, bea, cem) = (cast(bench, 0).await, cast(bench, 1).await, cast(bench, 2).await);
    let group = bench.group(GROUPS[8], &[&bea, &cem]).await;
    // Whoever is not in it takes nobody along.
    let result = directory.remove(&group, &ada).await;
    assert!(is_done(&result), "{result}");
    assert_eq!(sorted(bench.members(&group).await), names(&[&bea, &cem]));

    let last = bench.group(GROUPS[7], &[&bea]).await;
    let result = directory.remove(&last, &bea).await;
    if bench.can().empties {
        assert!(is_done(&result), "{result}");
        assert!(settles(bench, &last, &bea, false).await);
        assert_eq!(bench.members(&last).await, [""; 0]);
        assert_eq!(directory.members(&last).await, Ok(Some(vec![])), "an empty group is not an unknown one");
    } else {
        assert!(matches!(result, WriteResult::GroupNotWritable(_)), "{result}");
        assert_eq!(directory.is_member(&last, &bea).await, Ok(true));
    }
}

async fn a_busy_directory_is_left_alone(bench: &impl Bench) {
    let directory = bench.directory();
    let (ada, bea) = (cast(bench, 0).await, cast(bench, 1).await);
    let group = bench.group(GROUPS[3], &[&bea]).await;
    let fits = |wait: Duration| {
        if bench.can().says_wait {
            (Duration::from_secs(5)..=Duration::from_secs(8)).contains(&wait)
        } else {
            wait > Duration::ZERO && wait <= Duration::from_secs(60)
        }
    };
    bench.suffer(Fault::Busy(On::Change, 7)).await;
    match directory.add(&group, &ada).await {
        WriteResult::RateLimited { retry_after } => assert!(fits(retry_after), "{retry_after:?}"),
        other => panic!("{other}"),
    }
    assert_eq!(bench.members(&group).await, std::slice::from_ref(&bea), "nothing was done");
    bench.suffer(Fault::Busy(On::Question, 7)).await;
    match directory.person(&ada).await {
        Err(ReadError::RateLimited { retry_after }) => assert!(fits(retry_after), "{retry_after:?}"),
        other => panic!("{other:?}"),
    }
    let result = directory.add(&group, &ada).await;
    assert!(is_done(&result), "{result}");
    assert!(settles(bench, &group, &ada, true).await);
}

async fn a_broken_answer_is_no_answer(bench: &impl Bench) {
    let directory = bench.directory();
    let (ada, bea) = (cast(bench, 0).await, cast(bench, 1).await);
    let group = bench.group(GROUPS[4], &[&bea]).await;
    bench.suffer(Fault::Broken(On::Change)).await;
    let result = directory.add(&group, &ada).await;
    assert!(matches!(result, WriteResult::Ambiguous(_) | WriteResult::Transient(_) | WriteResult::Unknown(_)), "{result}");
    assert_eq!(directory.is_member(&group, &ada).await, Ok(false));
    bench.suffer(Fault::Broken(On::Change)).await;
    let result = directory.remove(&group, &bea).await;
    assert!(!is_done(&result), "{result}");
    assert_eq!(directory.is_member(&group, &bea).await, Ok(true));

    let whole = directory.person(&ada).await.unwrap();
    bench.suffer(Fault::Broken(On::Question)).await;
    // Asking once more in another way is fine, if it says the same.
    let answer = directory.person(&ada).await;
    assert!(matches!(answer, Err(ReadError::Unreachable(_))) || answer == Ok(whole), "never that there is nobody: {answer:?}");
    bench.suffer(Fault::Broken(On::Question)).await;
    assert!(matches!(directory.is_member(&group, &bea).await, Err(ReadError::Unreachable(_))), "never that somebody is no member");
    bench.suffer(Fault::Broken(On::Question)).await;
    assert!(directory.members(&group).await.is_err(), "never that a group is empty");
    assert_eq!(directory.is_member(&group, &bea).await, Ok(true));
}

async fn silence_is_not_a_no(bench: &impl Bench) {
    let directory = bench.directory();
    let (ada, bea) = (cast(bench, 0).await, cast(bench, 1).await);
    let group = bench.group(GROUPS[5], &[&bea]).await;
    bench.suffer(Fault::DoneButSilent).await;
    let result = directory.add(&group, &ada).await;
    assert!(matches!(result, WriteResult::Ambiguous(_)), "{result}");
    assert!(settles(bench, &group, &ada, true).await, "it was done all the same");
    let result = directory.add(&group, &ada).await;
    assert!(is_done(&result), "{result}");
    bench.suffer(Fault::DoneButSilent).await;
    let result = directory.remove(&group, &ada).await;
    assert!(matches!(result, WriteResult::Ambiguous(_)), "{result}");
    assert!(settles(bench, &group, &ada, false).await);
    assert_eq!(bench.members(&group).await, [bea]);
}

async fn a_listing_under_change_comes_to_an_end(bench: &impl Bench) {
    let directory = bench.directory();
    let (bea, gus) = (cast(bench, 1).await, cast(bench, 9).await);
    let before = everybody(directory).await;
    let first = directory.people(None).await.unwrap();
    assert!(first.next.is_some() && first.items.len() < before.len(), "the bench has people for more than one page: {}", before.len());
    // Somebody comes, and somebody of the first page goes: whatever follows moves up by one.
    let mut came = None;
    if bench.can().make {
        came = Some(cast(bench, 8).await);
    }
    let gone = bench.can().delete.then(|| first.items[0].reference.clone()).filter(|gone| *gone != bea && *gone != gus);
    if let Some(gone) = &gone {
        assert!(bench.delete(gone).await);
    } else {
        bench.disable(&gus).await;
    }
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut page = first;
    let mut pages = 0;
    let ended = loop {
        for facts in page.items {
            assert!(seen.insert(facts.reference), "nobody is listed twice");
        }
        pages += 1;
        assert!(pages < 10_000, "a listing ends");
        let Some(next) = page.next else { break true };
        match directory.people(Some(next)).await {
            Ok(more) => page = more,
            // A listing that cannot go on may say so; it must not pretend to be whole.
            Err(ReadError::Malformed(_) | ReadError::Expired) => break false,
            Err(other) => panic!("{other}"),
        }
    };
    if ended {
        // Whom moving pages made us miss is still there when asked for: nobody may count as gone for a listing alone.
        for missing in before.keys().filter(|reference| !seen.contains(*reference) && Some(*reference) != gone.as_ref()) {
            assert!(directory.person(missing).await.unwrap().is_some(), "{missing}");
        }
        let unknown = seen.iter().filter(|reference| !before.contains_key(*reference) && Some(*reference) != came.as_ref()).count();
        assert_eq!(unknown, 0, "nobody is listed who is not there");
    }
}

async fn the_next_page_is_not_followed_elsewhere(bench: &impl Bench) {
    let directory = bench.directory();
    everybody(directory).await;
    assert_eq!(bench.next_links() > 0, bench.can().next_links, "the bench says whether pages name the next one");
    if !bench.can().next_links {
        return;
    }
    bench.suffer(Fault::Elsewhere).await;
    let outcome = match directory.people(None).await {
        Ok(page) => directory.people(page.next).await.map(|_| ()),
        Err(error) => Err(error),
    };
    assert!(outcome.is_err(), "the listing does not go on");
    assert_eq!(bench.strays(), 0, "and nothing was sent there");
}

async fn tokens_that_expire_are_renewed_or_told(bench: &impl Bench) {
    let directory = bench.directory();
    let (ada, bea) = (cast(bench, 0).await, cast(bench, 1).await);
    let group = bench.group(GROUPS[6], &[&bea]).await;
    let first = directory.people(None).await.unwrap();
    bench.suffer(Fault::Expired).await;
    if bench.can().renews {
        assert!(directory.people(first.next).await.is_ok(), "a listing goes on over it");
        bench.suffer(Fault::Expired).await;
        let result = directory.add(&group, &ada).await;
        assert!(is_done(&result), "{result}");
        assert!(settles(bench, &group, &ada, true).await);
        assert_eq!(sorted(bench.members(&group).await), names(&[&ada, &bea]));
    } else {
        assert!(matches!(directory.person(&ada).await, Err(ReadError::Auth(_))));
        assert!(matches!(directory.people(first.next).await, Err(ReadError::Auth(_))));
        assert!(matches!(directory.add(&group, &ada).await, WriteResult::Auth(_)));
        assert_eq!(bench.members(&group).await, [bea], "nothing was done");
        assert!(!directory.probe().await.works);
    }
}
