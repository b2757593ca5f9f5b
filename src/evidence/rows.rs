//! Counts and hashes rows as they pass.
//!
//! The hash of the whole says whether a file was changed. Where it was changed is told by a small tree over its rows: each row's hash, and
//! when there are many, the hash of two, four, eight rows together, so that at most [`MOST`] are kept however long the file is.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::canonical::hex;

/// The most hashes that are kept of a file.
pub const MOST: usize = 4_096;

/// The first eight bytes of a SHA-256: to find where, not to prove that.
pub type Mark = [u8; 8];

/// What a file is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digested {
    /// Rows; for a table without its header.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// Each mark is of `2^level` records, the header being the first.
    pub level: u32,
    /// The marks in order.
    pub marks: Vec<Mark>,
}

/// What the records of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// CSV (RFC 4180) with a header; a record may have several lines.
    Table,
    /// A record a line.
    Lines,
}

/// Takes a file in pieces.
#[derive(Clone, Debug)]
pub struct Rows {
    form: Form,
    quoted: bool,
    whole: Sha256,
    row: Sha256,
    /// Whether a record has begun and not ended.
    begun: bool,
    records: u64,
    bytes: u64,
    tree: Tree,
}

#[derive(Clone, Debug, Default)]
struct Tree {
    level: u32,
    pending: Vec<(u32, Mark)>,
    marks: Vec<Mark>,
    /// Whether it may grow coarser; a check takes the level it is told.
    fixed: bool,
}

fn mark(hash: Sha256) -> Mark {
    let digest = hash.finalize();
    let mut mark = Mark::default();
    mark.copy_from_slice(&digest[..8]);
    mark
}

fn together(left: &Mark, right: &Mark) -> Mark {
    mark(Sha256::new().chain_update(left).chain_update(right))
}

impl Tree {
    /// The mark that this record completes, if it does.
    fn push(&mut self, record: Mark) -> Option<Mark> {
        let mut node = (0, record);
        while node.0 < self.level && self.pending.last().is_some_and(|(level, _)| *level == node.0) {
            let Some((_, left)) = self.pending.pop() else { break };
            node = (node.0 + 1, together(&left, &node.1));
        }
        if node.0 < self.level {
            self.pending.push(node);
            return None;
        }
        if !self.fixed && self.marks.len() == MOST {
            self.marks = self.marks.chunks(2).map(|pair| pair.get(1).map_or(pair[0], |right| together(&pair[0], right))).collect();
            self.level += 1;
            self.pending.push(node);
            return None;
        }
        if !self.fixed {
            self.marks.push(node.1);
        }
        Some(node.1)
    }

    /// The mark of what is left over at the end.
    fn rest(&mut self) -> Option<Mark> {
        let mut rest = self.pending.drain(..).rev().map(|(_, mark)| mark);
        let last = rest.next()?;
        Some(rest.fold(last, |right, left| together(&left, &right)))
    }
}

impl Rows {
    /// At the start of a file.
    pub fn new(form: Form) -> Self {
        Self { form, quoted: false, whole: Sha256::new(), row: Sha256::new(), begun: false, records: 0, bytes: 0, tree: Tree::default() }
    }

    /// At the start of a file whose marks are known to be of `2^level` records.
    fn at_level(form: Form, level: u32) -> Self {
        Self { tree: Tree { level, fixed: true, ..Tree::default() }, ..Self::new(form) }
    }

    /// How many rows have ended so far.
    pub fn rows(&self) -> u64 {
        self.records.saturating_sub(u64::from(self.form == Form::Table))
    }

    /// Takes the next piece, and hands each mark that it completes to `take`.
    fn feed(&mut self, piece: &[u8], mut take: impl FnMut(Mark)) {
        self.whole.update(piece);
        self.bytes += piece.len() as u64;
        let mut from = 0;
        for (at, byte) in piece.iter().enumerate() {
            match byte {
                b'"' if self.form == Form::Table => self.quoted = !self.quoted,
                b'\n' if !self.quoted => {
                    self.row.update(&piece[from..=at]);
                    from = at + 1;
                    self.end_record().into_iter().for_each(&mut take);
                }
                _ => {}
            }
        }
        if from < piece.len() {
            self.row.update(&piece[from..]);
            self.begun = true;
        }
    }

    fn end_record(&mut self) -> Option<Mark> {
        self.begun = false;
        self.records += 1;
        let record = mark(std::mem::take(&mut self.row));
        self.tree.push(record)
    }

    /// Takes the next piece; it may be cut anywhere.
    pub fn push(&mut self, piece: &[u8]) {
        self.feed(piece, |_| {});
    }

    /// What the file is made of.
    pub fn finish(mut self) -> Digested {
        if self.begun {
            self.end_record();
        }
        let rest = self.tree.rest();
        self.tree.marks.extend(rest);
        Digested { rows: self.rows(), bytes: self.bytes, sha256: hex(&self.whole.finalize()), level: self.tree.level, marks: self.tree.marks }
    }
}

/// How a file differs from what was said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `changed`, `dropped`, `inserted`, `duplicated`, `reordered` or `wrong_period`.
    pub kind: &'static str,
    /// A sentence.
    pub sentence: String,
}

/// Holds a file against what is said of it, piece by piece.
#[derive(Debug)]
pub struct Compared<'a> {
    rows: Rows,
    stated: &'a Digested,
    known: HashSet<Mark>,
    seen: u64,
    /// How many of the marks seen are among the stated ones.
    ours: u64,
    /// Where the first mark stands that is not the stated one, and it and the one after it.
    first: Option<(usize, Vec<Mark>)>,
}

impl<'a> Compared<'a> {
    /// At the start of the file of which `stated` is said.
    pub fn new(form: Form, stated: &'a Digested) -> Self {
        // A level that no file can have is none.
        let rows = Rows::at_level(form, stated.level.min(48));
        Self { rows, stated, known: stated.marks.iter().copied().collect(), seen: 0, ours: 0, first: None }
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        let mut marks = Vec::new();
        self.rows.feed(piece, |mark| marks.push(mark));
        marks.into_iter().for_each(|mark| self.look(mark));
    }

    fn look(&mut self, mark: Mark) {
        let at = self.seen as usize;
        self.seen += 1;
        self.ours += u64::from(self.known.contains(&mark));
        match &mut self.first {
            Some((_, found)) if found.len() < 2 => found.push(mark),
            Some(_) => {}
            None if self.stated.marks.get(at) == Some(&mark) => {}
            None => self.first = Some((at, vec![mark])),
        }
    }

    /// How many rows have ended so far.
    pub fn rows(&self) -> u64 {
        self.rows.rows()
    }

    /// The first difference at the end of the file; none when it is what was said.
    pub fn finish(mut self) -> Option<Difference> {
        if self.rows.begun {
            self.rows.end_record().into_iter().for_each(|mark| self.look(mark));
        }
        if let Some(rest) = self.rows.tree.rest() {
            self.look(rest);
        }
        let (form, rows) = (self.rows.form, self.rows.rows());
        if hex(&std::mem::take(&mut self.rows.whole).finalize()) == self.stated.sha256 && rows == self.stated.rows && self.rows.bytes == self.stated.bytes {
            return None;
        }
        let found = |kind, sentence: String| Some(Difference { kind, sentence });
        let stated = &self.stated.marks;
        // At level 0 a mark is a record, and the header is the first.
        let named = |at: usize| match (form, at) {
            (Form::Table, 0) => "the header".to_owned(),
            (Form::Table, at) => format!("row {at}"),
            (Form::Lines, at) => format!("row {}", at + 1),
        };
        let header_is_ours = form == Form::Lines || self.seen > 0 && self.first.as_ref().is_none_or(|(at, _)| *at > 0);
        if self.stated.level == 0 && rows > 1 && self.stated.rows > 0 && self.ours == u64::from(form == Form::Table && header_is_ours) {
            return found("wrong_period", "none of its rows is one of this bundle's: it is of another period, or of another bundle".into());
        }
        if self.stated.level > 0 {
            let (kind, what) = match rows.cmp(&self.stated.rows) {
                std::cmp::Ordering::Less => ("dropped", "is missing"),
                std::cmp::Ordering::Equal => ("changed", "was changed, or stands elsewhere"),
                std::cmp::Ordering::Greater => ("inserted", "was added"),
            };
            let wide = 1u64 << self.stated.level.min(48);
            let at = self.first.as_ref().map_or(stated.len().saturating_sub(1), |(at, _)| *at) as u64;
            let shift = u64::from(form == Form::Lines);
            let (from, to) = ((at * wide + shift).max(1), (at + 1) * wide - 1 + shift);
            return found(kind, format!("a row within rows {from} to {to} {what}"));
        }
        let Some((at, seen)) = self.first else {
            return found("dropped", format!("{} is missing, and all that follows it", named(self.seen as usize)));
        };
        let (this, next) = (seen[0], seen.get(1));
        let (here, after) = (stated.get(at), stated.get(at + 1));
        let follows = next.is_some() && next == here;
        match () {
            () if here.is_none() && self.known.contains(&this) => found("duplicated", format!("{} stands there twice", named(at))),
            () if here.is_none() => found("inserted", format!("{} was added", named(at))),
            () if after == Some(&this) && follows => found("reordered", format!("{} stands where {} belongs", named(at + 1), named(at))),
            () if stated[..at].contains(&this) && (follows || rows > self.stated.rows) => found("duplicated", format!("{} stands there twice", named(at))),
            () if follows => found("inserted", format!("{} was added", named(at))),
            () if after == Some(&this) => found("dropped", format!("{} is missing", named(at))),
            () if self.known.contains(&this) && rows < self.stated.rows => found("dropped", format!("{} is missing, and others after it", named(at))),
            () if self.known.contains(&this) => found("reordered", format!("another row stands where {} belongs", named(at))),
            () => found("changed", format!("{} was changed", named(at))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(rows: &[String]) -> Vec<u8> {
        let mut text = "id,text\r\n".to_owned();
        rows.iter().for_each(|row| text.push_str(&format!("{row}\r\n")));
        text.into_bytes()
    }

    fn many(count: usize) -> Vec<String> {
        (0..count).map(|n| if n % 7 == 3 { format!("{n},\"two\nlines \"\"{n}\"\"\"") } else { format!("{n},plain") }).collect()
    }

    fn digested(bytes: &[u8]) -> Digested {
        let mut rows = Rows::new(Form::Table);
        rows.push(bytes);
        rows.finish()
    }

    fn compared(stated: &Digested, bytes: &[u8]) -> Option<Difference> {
        let mut compared = Compared::new(Form::Table, stated);
        bytes.chunks(97).for_each(|piece| compared.push(piece));
        compared.finish()
    }

    #[test]
    fn rows_are_counted_without_header_and_across_lines() {
        assert_eq!(digested(&table(&many(0))).rows, 0);
        assert_eq!(digested(&table(&many(20))).rows, 20);
        assert_eq!(digested(b"").rows, 0);
        assert_eq!(digested(b"id,text\r\n1,no end").rows, 1);
    }

    #[test]
    fn of_a_long_file_so_many_marks_are_kept_and_no_more() {
        for count in [MOST - 1, MOST, MOST + 1, 3 * MOST + 5, 40 * MOST] {
            let bytes = table(&many(count));
            let stated = digested(&bytes);
            assert!(stated.marks.len() <= MOST && stated.marks.len() > MOST / 3, "{count}: {}", stated.marks.len());
            assert_eq!(stated.rows, count as u64);
            assert_eq!(compared(&stated, &bytes), None, "{count}");
        }
    }

    #[test]
    fn each_way_to_tamper_is_named_with_its_row() {
        let rows = many(30);
        let stated = digested(&table(&rows));
        let after = |change: &dyn Fn(&mut Vec<String>)| {
            let mut rows = rows.clone();
            change(&mut rows);
            let found = compared(&stated, &table(&rows)).unwrap();
            format!("{}: {}", found.kind, found.sentence)
        };
        assert_eq!(after(&|rows| rows[4] = "4,other".into()), "changed: row 5 was changed");
        assert_eq!(after(&|rows| rows[29] = "29,other".into()), "changed: row 30 was changed");
        assert_eq!(after(&|rows| drop(rows.remove(4))), "dropped: row 5 is missing");
        assert_eq!(after(&|rows| rows.truncate(28)), "dropped: row 29 is missing, and all that follows it");
        assert_eq!(after(&|rows| rows.insert(4, "x,new".into())), "inserted: row 5 was added");
        assert_eq!(after(&|rows| rows.push("x,new".into())), "inserted: row 31 was added");
        assert_eq!(after(&|rows| rows.insert(4, rows[3].clone())), "duplicated: row 5 stands there twice");
        assert_eq!(after(&|rows| rows.push(rows[3].clone())), "duplicated: row 31 stands there twice");
        assert_eq!(after(&|rows| rows.swap(4, 5)), "reordered: row 6 stands where row 5 belongs");
        assert_eq!(after(&|rows| rows.swap(4, 15)), "reordered: another row stands where row 5 belongs");
        assert_eq!(
            after(&|rows| *rows = (50..70).map(|n| format!("{n},plain")).collect()),
            "wrong_period: none of its rows is one of this bundle's: it is of another period, or of another bundle"
        );
        let header = String::from_utf8(table(&rows)).unwrap().replacen("text", "test", 1);
        assert_eq!(compared(&stated, header.as_bytes()).unwrap().sentence, "the header was changed");
    }

    #[test]
    fn in_a_long_file_the_place_is_narrowed_down() {
        let mut rows = many(9 * MOST);
        let stated = digested(&table(&rows));
        let wide = 1 << stated.level;
        assert_eq!(wide, 16);
        rows[999] = "999,other".into();
        assert_eq!(compared(&stated, &table(&rows)).unwrap().sentence, "a row within rows 992 to 1007 was changed, or stands elsewhere");
        rows.remove(10_000);
        assert_eq!(compared(&stated, &table(&rows)).unwrap().kind, "dropped");
    }

    proptest! {
        #[test]
        fn what_is_found_does_not_depend_on_where_pieces_break(count in 0_usize..40, size in 1_usize..50) {
            let bytes = table(&many(count));
            let mut rows = Rows::new(Form::Table);
            bytes.chunks(size).for_each(|piece| rows.push(piece));
            prop_assert_eq!(rows.finish(), digested(&bytes));
        }

        #[test]
        fn no_changed_byte_goes_unnoticed(at in 0_usize..400, byte: u8) {
            let bytes = table(&many(40));
            let mut changed = bytes.clone();
            let at = at % bytes.len();
            changed[at] = byte;
            prop_assert_eq!(compared(&digested(&bytes), &changed).is_none(), changed == bytes);
        }
    }
}
