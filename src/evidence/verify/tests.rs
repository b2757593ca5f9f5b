//! Every way to tamper with an event list is found.
#![allow(clippy::unwrap_used)]

use super::super::merkle::{Edge, folded, leaf_hash};
use super::super::note::PrivateKey;
use super::*;
use chrono::DateTime;
use serde_json::json;

const COUNT: u64 = 700;

struct Log {
    lines: Vec<Value>,
    leaves: Vec<Hash>,
    key: PrivateKey,
}

fn at(n: i64) -> chrono::DateTime<chrono::Utc> {
    DateTime::from_timestamp(1_800_000_000 + n, 0).unwrap()
}

fn event(n: u64) -> Value {
    let mut line = json!({
        "v": "1", "event_id": (n * 3 + 1).to_string(), "occurred_at": super::super::time::micros(at(n as i64)), "kind": "approval.given",
        "actor_id": "a", "actor_name": "Mara Voss", "salt": format!("{n:032x}"), "data": {"comment": format!("reason {n}")},
    });
    let hash = leaf::hash(line.as_object().unwrap().clone()).unwrap();
    line["leaf_index"] = json!(n.to_string());
    line["leaf_hash"] = json!(hex(&hash));
    line
}

impl Log {
    fn of(count: u64) -> Self {
        let lines: Vec<Value> = (0..count).map(event).collect();
        let leaves = lines.iter().map(|line| Hash::try_from(leaf::bytes(line["leaf_hash"].as_str().unwrap()).unwrap()).unwrap()).collect();
        Self { lines, leaves, key: PrivateKey::new("log.example", [1; 32]).unwrap() }
    }

    fn range(&self, from: u64, to: u64) -> Hash {
        let mut edge = Edge::default();
        self.leaves[from as usize..to as usize].iter().for_each(|leaf| edge.push(*leaf, |_, _| {}));
        folded(&edge.hashes).unwrap()
    }

    fn checkpoint(&self, size: u64) -> String {
        let mut edge = Edge::default();
        self.leaves[..size as usize].iter().for_each(|leaf| edge.push(*leaf, |_, _| {}));
        self.key.sign(&Checkpoint { origin: "log.example".into(), size, root: edge.root(), at: at(0) }.text())
    }

    fn proof(&self, first: u64, end: u64) -> Proof {
        let hash = |node: Node| hex(&self.range(node.index << node.level, (node.index + 1) << node.level));
        let blocks = (first.next_multiple_of(BLOCK)..).step_by(BLOCK as usize).take_while(|from| from + BLOCK <= end);
        Proof {
            v: "1".into(),
            first: first.to_string(),
            end: end.to_string(),
            before: parts(0, first).into_iter().map(hash).collect(),
            after: parts(end, self.leaves.len() as u64).into_iter().map(hash).collect(),
            blocks: blocks.map(|from| hex(&self.range(from, from + BLOCK))).collect(),
            consistency: vec![],
        }
    }
}

fn text(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn check(log: &Log, lines: &[Value], first: u64, end: u64) -> Result<Verified, Finding> {
    let checkpoint = checkpoint(&log.checkpoint(log.leaves.len() as u64), &log.key.public()).unwrap();
    events(text(lines).as_bytes(), &log.proof(first, end), checkpoint, None, |_| {})
}

#[test]
fn a_whole_log_and_any_part_of_it_is_verified() {
    let log = Log::of(COUNT);
    for (first, end) in [(0, COUNT), (0, 1), (0, 0), (1, 2), (255, 513), (256, 512), (300, COUNT), (COUNT, COUNT), (699, 700)] {
        let verified = check(&log, &log.lines[first as usize..end as usize], first, end).unwrap();
        assert_eq!((verified.events, verified.first, verified.erased), (end - first, first, 0));
    }
}

#[test]
fn whatever_was_done_to_a_list_is_named_with_its_line() {
    let log = Log::of(COUNT);
    let found = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut lines = log.lines.clone();
        change(&mut lines);
        let found = check(&log, &lines, 0, COUNT).unwrap_err();
        (found.kind, found.line)
    };
    assert_eq!(found(&|lines| lines[9]["data"]["comment"] = json!("other")), ("changed", Some(10)));
    assert_eq!(found(&|lines| lines[9]["actor_name"] = json!("Mallory")), ("changed", Some(10)));
    assert_eq!(found(&|lines| drop(lines[9].as_object_mut().unwrap().remove("salt"))), ("changed", Some(10)));
    assert_eq!(found(&|lines| drop(lines[9].as_object_mut().unwrap().remove("leaf_hash"))), ("changed", Some(10)));
    assert_eq!(found(&|lines| drop(lines.remove(9))), ("dropped", Some(10)));
    assert_eq!(found(&|lines| drop(lines.drain(9..20))), ("dropped", Some(10)));
    assert_eq!(found(&|lines| drop(lines.pop())), ("dropped", Some(COUNT)));
    assert_eq!(found(&|lines| lines.clear()), ("dropped", Some(1)));
    assert_eq!(found(&|lines| lines.insert(9, lines[8].clone())), ("duplicated", Some(10)));
    assert_eq!(found(&|lines| lines.insert(9, lines[2].clone())), ("reordered", Some(10)));
    assert_eq!(found(&|lines| lines.swap(9, 10)), ("dropped", Some(10)));
    assert_eq!(found(&|lines| lines.push(event(COUNT))), ("inserted", Some(COUNT + 1)));
    assert_eq!(found(&|lines| lines.insert(9, event(5_000))), ("inserted", Some(10)));
    assert_eq!(found(&|lines| lines[9] = json!("x")), ("unreadable", Some(10)));
    assert_eq!(found(&|lines| drop(lines[9].as_object_mut().unwrap().remove("leaf_index"))), ("unreadable", Some(10)));
}

#[test]
fn a_change_that_mends_its_own_hash_is_found_within_its_block() {
    let log = Log::of(COUNT);
    let mut lines = log.lines.clone();
    let mut forged = lines[300].clone();
    forged["actor_name"] = json!("Mallory");
    forged["leaf_hash"] = json!(hex(&leaf::hash(forged.as_object().unwrap().clone()).unwrap()));
    lines[300] = forged.clone();
    let found = check(&log, &lines, 0, COUNT).unwrap_err();
    assert_eq!((found.kind, found.line), ("changed", Some(257)));
    // In the last, unfinished block only the root tells.
    let mut lines = log.lines.clone();
    forged["leaf_index"] = json!("650");
    lines[650] = forged;
    assert_eq!(check(&log, &lines, 0, COUNT).unwrap_err().kind, "changed");
}

#[test]
fn another_key_checkpoint_or_range_is_told() {
    let log = Log::of(50);
    let note = log.checkpoint(50);
    let stranger = PrivateKey::new("log.example", [2; 32]).unwrap();
    assert_eq!(checkpoint(&note, &stranger.public()).unwrap_err().kind, "wrong_key");
    assert_eq!(checkpoint(&note.replacen("50", "49", 1), &log.key.public()).unwrap_err().kind, "wrong_checkpoint");
    assert_eq!(checkpoint(&stranger.sign("x\n"), &stranger.public()).unwrap_err().kind, "wrong_checkpoint");
    let whole = checkpoint(&note, &log.key.public()).unwrap();
    let check = |proof: Proof| events(text(&log.lines).as_bytes(), &proof, whole.clone(), None, |_| {}).unwrap_err().kind;
    assert_eq!(check(Proof { end: "51".into(), ..log.proof(0, 50) }), "wrong_range");
    assert_eq!(check(Proof { first: "x".into(), ..log.proof(0, 50) }), "wrong_range");
    assert_eq!(check(Proof { before: vec!["00".into()], ..log.proof(0, 50) }), "wrong_range");
    assert_eq!(check(log.proof(0, 40)), "inserted");
    assert_eq!(check(log.proof(10, 50)), "inserted");
    let smaller = checkpoint(&log.checkpoint(49), &log.key.public()).unwrap();
    assert_eq!(events(text(&log.lines).as_bytes(), &log.proof(0, 50), smaller, None, |_| {}).unwrap_err().kind, "wrong_range");
}

#[test]
fn a_log_that_was_rewritten_between_two_checkpoints_is_told() {
    let log = Log::of(50);
    let (old, new) = (log.checkpoint(20), log.checkpoint(50));
    let read = |note: &str| checkpoint(note, &log.key.public()).unwrap();
    let path: Vec<String> = super::super::merkle::consistency(20, 50).into_iter().map(|(from, to)| hex(&log.range(from, to))).collect();
    assert_eq!(continues(&read(&old), &read(&new), &path), Ok(()));
    let mut rewritten = Log::of(50);
    rewritten.leaves[3] = leaf_hash(b"rewritten");
    let other: Vec<String> = super::super::merkle::consistency(20, 50).into_iter().map(|(from, to)| hex(&rewritten.range(from, to))).collect();
    assert_eq!(continues(&read(&old), &read(&rewritten.checkpoint(50)), &other).unwrap_err().kind, "rewritten");
    assert_eq!(continues(&read(&new), &read(&old), &[]).unwrap_err().kind, "rewritten");
    assert_eq!(continues(&read(&old), &read(&new), &["zz".into()]).unwrap_err().kind, "wrong_range");
}

#[test]
fn hostile_files_are_told_and_nothing_else() {
    let log = Log::of(3);
    let whole = checkpoint(&log.checkpoint(3), &log.key.public()).unwrap();
    let check = |bytes: &[u8]| events(bytes, &log.proof(0, 3), whole.clone(), None, |_| {}).unwrap_err().kind;
    assert_eq!(check(b""), "dropped");
    assert_eq!(check(b"\n"), "unreadable");
    assert_eq!(check(b"\xff\xfe\n"), "unreadable");
    assert_eq!(check(b"{\"leaf_index\":0}\n"), "unreadable");
    let twice = text(&log.lines).replacen("\"kind\"", "\"kind\":\"grant.revoked\",\"kind\"", 1);
    assert_eq!(check(twice.as_bytes()), "changed", "of two one may be read");
    assert_eq!(check(&[b"[".repeat(100_000), b"\n".to_vec()].concat()), "unreadable");
    assert_eq!(check(&vec![b'x'; LONGEST_LINE + 1]), "unreadable");
    // The last line may lack its end.
    assert!(events(text(&log.lines).trim_end().as_bytes(), &log.proof(0, 3), whole.clone(), None, |_| {}).is_ok());
}
