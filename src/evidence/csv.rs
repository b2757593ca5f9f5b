//! CSV as in RFC 4180, raw or safe for spreadsheets.
//!
//! Safe mode puts `'` before a cell that a spreadsheet might run as a formula or might hide: one that starts with = + - @, tab,
//! CR, LF, NUL or `'` itself. Because `'` is among them, [`undo`] gives every cell back exactly.

/// Whether cells are written as they are or made safe for spreadsheets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// As they are, for programs.
    #[default]
    Raw,
    /// Dangerous cells prefixed with `'`, for spreadsheets.
    Safe,
}

impl Mode {
    /// The word in URLs, on the command line and in the log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Safe => "safe",
        }
    }

    /// The mode of a word; `None` for any other text.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Raw, Self::Safe].into_iter().find(|mode| mode.word() == word)
    }

    /// Whether a cell that starts with `first` gets a `'`.
    fn guards(self, first: u8) -> bool {
        self == Self::Safe && matches!(first, b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | b'\n' | 0 | b'\'')
    }
}

/// What safe mode made of a cell, made undone.
pub fn undo(cell: &str) -> &str {
    cell.strip_prefix('\'').unwrap_or(cell)
}

/// Appends one record. `None` is an empty cell, and the empty text is `""`, so that readers who care can tell them apart.
pub fn record<'a>(cells: impl IntoIterator<Item = Option<&'a str>>, mode: Mode, out: &mut Vec<u8>) {
    for (i, cell) in cells.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let Some(cell) = cell else { continue };
        let quoted = cell.is_empty() || cell.bytes().any(|byte| matches!(byte, b'"' | b',' | b'\r' | b'\n'));
        if quoted {
            out.push(b'"');
        }
        if cell.bytes().next().is_some_and(|first| mode.guards(first)) {
            out.push(b'\'');
        }
        for byte in cell.bytes() {
            if byte == b'"' {
                out.push(b'"');
            }
            out.push(byte);
        }
        if quoted {
            out.push(b'"');
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Where in a record the last byte left us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Before the first byte of a cell.
    Start,
    /// After the quote that opens a cell.
    Opened,
    /// In a quoted cell.
    Quoted,
    /// After a quote in a quoted cell: the end of the cell, or the first half of an escaped quote.
    Quote,
    /// In a cell without quotes.
    Plain,
}

/// Turns the CSV that Postgres streams (records end in LF) into RFC 4180's (CRLF) in the wanted mode, chunk by chunk wherever
/// the chunks break. Cells themselves are never changed but for the `'` of safe mode.
#[derive(Debug)]
pub struct Reshape {
    mode: Mode,
    at: At,
}

impl Reshape {
    /// At the start of a file.
    pub fn new(mode: Mode) -> Self {
        Self { mode, at: At::Start }
    }

    /// Appends `chunk`, reshaped, to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        out.reserve(chunk.len() + chunk.len() / 16 + 2);
        let mut rest = chunk;
        while let Some((&byte, tail)) = rest.split_first() {
            match self.at {
                At::Plain | At::Quoted => {
                    let quoted = self.at == At::Quoted;
                    let end = rest.iter().position(|b| if quoted { *b == b'"' } else { matches!(*b, b',' | b'\n') });
                    let (run, tail) = rest.split_at(end.unwrap_or(rest.len()));
                    out.extend_from_slice(run);
                    rest = tail;
                    let Some((&stop, tail)) = rest.split_first() else { return };
                    rest = tail;
                    self.at = if quoted { At::Quote } else { At::Start };
                    Self::separator(stop, out);
                    continue;
                }
                At::Start | At::Quote if matches!(byte, b',' | b'\n') => {
                    Self::separator(byte, out);
                    self.at = At::Start;
                }
                At::Start if byte == b'"' => {
                    out.push(byte);
                    self.at = At::Opened;
                }
                At::Opened if byte == b'"' => {
                    out.push(byte);
                    self.at = At::Quote;
                }
                At::Quote => {
                    out.push(byte);
                    self.at = At::Quoted;
                }
                At::Start | At::Opened => {
                    if self.mode.guards(byte) {
                        out.push(b'\'');
                    }
                    out.push(byte);
                    self.at = if self.at == At::Start { At::Plain } else { At::Quoted };
                }
            }
            rest = tail;
        }
    }

    fn separator(byte: u8, out: &mut Vec<u8>) {
        if byte == b'\n' {
            out.push(b'\r');
        }
        out.push(byte);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOSTILE: [&str; 22] = [
        "=cmd|' /C calc'!A0",
        "+1+1",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "'already",
        "''",
        "\0x",
        "",
        "plain",
        "a,b",
        "say \"hi\"",
        "\"",
        "\"\"=1",
        "a\r\nb",
        "\\.",
        "é\u{202e}txt",
        " =1",
        "=\"\"\n,\"",
        "ends in \"",
    ];

    /// As `COPY … TO STDOUT (FORMAT csv)` writes it.
    fn as_postgres(rows: &[Vec<Option<String>>]) -> Vec<u8> {
        let mut out = String::new();
        for row in rows {
            let cells: Vec<String> = row
                .iter()
                .map(|cell| match cell {
                    None => String::new(),
                    Some(text) if text.is_empty() || text.contains(['"', ',', '\n', '\r']) => format!("\"{}\"", text.replace('"', "\"\"")),
                    Some(text) => text.clone(),
                })
                .collect();
            out.push_str(&cells.join(","));
            out.push('\n');
        }
        out.into_bytes()
    }

    fn read(bytes: &[u8]) -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).terminator(csv::Terminator::CRLF).from_reader(bytes);
        reader.records().map(|record| record.unwrap().iter().map(String::from).collect()).collect()
    }

    fn rows() -> impl Strategy<Value = Vec<Vec<Option<String>>>> {
        let cell = prop_oneof![
            Just(None),
            proptest::sample::select(HOSTILE.as_slice()).prop_map(|text| Some(text.to_string())),
            "[=+@'\t\r\n\",a0 é-]{0,6}".prop_map(Some),
            any::<String>().prop_map(Some),
        ];
        proptest::collection::vec(proptest::collection::vec(cell, 2..5), 0..6).prop_map(|mut rows| {
            let width = rows.iter().map(Vec::len).min().unwrap_or(2);
            rows.iter_mut().for_each(|row| row.truncate(width));
            rows
        })
    }

    fn text(row: &[Option<String>]) -> Vec<String> {
        row.iter().map(|cell| cell.clone().unwrap_or_default()).collect()
    }

    #[test]
    fn no_hostile_cell_reaches_a_spreadsheet_as_a_formula() {
        for cell in HOSTILE {
            let mut out = Vec::new();
            record([Some(cell), Some("x")], Mode::Safe, &mut out);
            let seen = read(&out)[0][0].clone();
            assert!(!seen.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\0']), "{cell:?} came out as {seen:?}");
            assert_eq!(undo(&seen), cell);
        }
    }

    #[test]
    fn records_end_in_crlf_and_cells_are_quoted_only_where_they_must_be() {
        let mut out = Vec::new();
        record([Some("a"), None, Some(""), Some("b,\"c\"\n")], Mode::Raw, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "a,,\"\",\"b,\"\"c\"\"\n\"\r\n");
    }

    proptest! {
        #[test]
        fn raw_mode_reads_back_exactly(rows in rows()) {
            let mut out = Vec::new();
            Reshape::new(Mode::Raw).push(&as_postgres(&rows), &mut out);
            let wanted: Vec<Vec<String>> = rows.iter().map(|row| text(row)).collect();
            prop_assert_eq!(read(&out), wanted);
        }

        #[test]
        fn safe_mode_is_undone_exactly_and_never_starts_a_formula(rows in rows()) {
            let mut out = Vec::new();
            Reshape::new(Mode::Safe).push(&as_postgres(&rows), &mut out);
            for (seen, row) in read(&out).iter().zip(&rows) {
                for (seen, cell) in seen.iter().zip(text(row)) {
                    prop_assert!(!seen.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\0']));
                    prop_assert_eq!(undo(seen), cell);
                }
            }
        }

        #[test]
        fn what_comes_out_does_not_depend_on_where_chunks_break(rows in rows(), size in 1_usize..9, safe: bool) {
            let mode = if safe { Mode::Safe } else { Mode::Raw };
            let copied = as_postgres(&rows);
            let mut whole = Vec::new();
            Reshape::new(mode).push(&copied, &mut whole);
            let mut parts = Vec::new();
            let mut reshape = Reshape::new(mode);
            copied.chunks(size).for_each(|chunk| reshape.push(chunk, &mut parts));
            prop_assert_eq!(&parts, &whole);
            let mut written = Vec::new();
            for row in &rows {
                record(row.iter().map(Option::as_deref), mode, &mut written);
            }
            prop_assert_eq!(written, whole);
        }
    }
}
