//! Reading SCIM filters: the whole grammar of RFC 7644 §3.4.2.2.

use serde_json::Value;

use super::filter::{Filter, Op, Subject, check};

/// Longest filter that is read, in bytes.
const LONGEST: usize = 8 * 1024;
/// Deepest nesting of parentheses.
const DEEPEST: usize = 16;

/// Reads a filter and checks that `S` has its attributes and can compare them so. The error is a sentence that says what
/// was expected where.
pub fn parse<S: Subject>(text: &str) -> Result<Filter, String> {
    if text.len() > LONGEST {
        return Err(format!("the filter is longer than {LONGEST} bytes"));
    }
    let mut reader = Reader { text, at: 0, depth: 0 };
    let filter = reader.either()?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.expected("the end, `and` or `or`"));
    }
    check::<S>(&filter)?;
    Ok(filter)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn either(&mut self) -> Result<Filter, String> {
        let mut filter = self.both()?;
        while self.keyword("or") {
            filter = Filter::Or(Box::new(filter), Box::new(self.both()?));
        }
        Ok(filter)
    }

    fn both(&mut self) -> Result<Filter, String> {
        let mut filter = self.one()?;
        while self.keyword("and") {
            filter = Filter::And(Box::new(filter), Box::new(self.one()?));
        }
        Ok(filter)
    }

    fn one(&mut self) -> Result<Filter, String> {
        if self.symbol('(') {
            return self.inner(')');
        }
        let name = self.name()?;
        if name.eq_ignore_ascii_case("not") && self.symbol('(') {
            return Ok(Filter::Not(Box::new(self.inner(')')?)));
        }
        let attribute = plain_name(name);
        if self.symbol('[') {
            return within(&attribute, self.inner(']')?);
        }
        let op = match self.name()?.to_ascii_lowercase().as_str() {
            "pr" => return Ok(Filter::Present(attribute)),
            "eq" => Op::Equal,
            "ne" => Op::NotEqual,
            "co" => Op::Contains,
            "sw" => Op::StartsWith,
            "ew" => Op::EndsWith,
            "gt" => Op::Greater,
            "ge" => Op::GreaterOrEqual,
            "lt" => Op::Less,
            "le" => Op::LessOrEqual,
            other => {
                return Err(format!("`{other}` is not an operator; use eq, ne, co, sw, ew, gt, ge, lt, le or pr"));
            }
        };
        Ok(Filter::Compare(attribute, op, self.value()?))
    }

    fn inner(&mut self, close: char) -> Result<Filter, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("the filter is nested deeper than {DEEPEST}"));
        }
        let filter = self.either()?;
        self.depth -= 1;
        if self.symbol(close) { Ok(filter) } else { Err(self.expected(&format!("`{close}`"))) }
    }

    fn name(&mut self) -> Result<&'a str, String> {
        self.space();
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".:_-$".contains(c))).unwrap_or(rest.len());
        if end == 0 || !rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$') {
            return Err(self.expected("a name"));
        }
        self.at += end;
        Ok(&rest[..end])
    }

    /// A JSON string, `true`, `false`, `null` or number (RFC 7644 §3.4.2.2: compValue).
    fn value(&mut self) -> Result<Value, String> {
        self.space();
        let rest = &self.text[self.at..];
        let end = if rest.starts_with('"') { end_of_string(rest) } else { rest.find([' ', ')', ']']) };
        let (written, place) = (&rest[..end.unwrap_or(rest.len())], self.at);
        match serde_json::from_str(written) {
            Ok(value @ (Value::String(_) | Value::Bool(_) | Value::Null | Value::Number(_))) => {
                self.at = place + written.len();
                Ok(value)
            }
            _ => Err(self.expected("a value: text in double quotes, true, false, null or a number")),
        }
    }

    fn keyword(&mut self, word: &str) -> bool {
        self.space();
        let rest = &self.text[self.at..];
        let found = rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)) && rest[word.len()..].starts_with([' ', '(']);
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn symbol(&mut self, symbol: char) -> bool {
        self.space();
        let found = self.text[self.at..].starts_with(symbol);
        self.at += if found { symbol.len_utf8() } else { 0 };
        found
    }

    fn space(&mut self) {
        self.at += self.text[self.at..].len() - self.text[self.at..].trim_start_matches(' ').len();
    }

    fn expected(&self, what: &str) -> String {
        format!("expected {what} at character {} of the filter", self.text[..self.at].chars().count() + 1)
    }
}

/// Where a JSON string ends, just after the closing quote; `None` when it does not.
fn end_of_string(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Lower case, without the schema's URN, and with the `value` that is meant where a multi-valued attribute stands alone.
fn plain_name(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let short = match name.strip_prefix("urn:") {
        Some(rest) => rest.rsplit(':').next().unwrap_or(rest),
        None => &name,
    };
    match short {
        "emails" | "members" | "groups" | "manager" => format!("{short}.value"),
        _ => short.to_owned(),
    }
}

/// `emails[type eq "work"]` as `emails.type eq "work"`. Only one comparison may stand inside: two would have to hold of
/// the same value, which dotted names cannot say.
fn within(attribute: &str, inner: Filter) -> Result<Filter, String> {
    let outer = attribute.strip_suffix(".value").unwrap_or(attribute);
    match inner {
        Filter::Compare(name, op, value) => Ok(Filter::Compare(format!("{outer}.{name}"), op, value)),
        Filter::Present(name) => Ok(Filter::Present(format!("{outer}.{name}"))),
        _ => Err(format!("`{outer}[…]` may hold one comparison only")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::filter::{Held, Kind, holds, required};

    struct Sample;

    impl Subject for Sample {
        fn kind(attribute: &str) -> Option<Kind> {
            match attribute {
                "username" | "emails.value" => Some(Kind::Text),
                "id" => Some(Kind::Exact),
                "active" => Some(Kind::Truth),
                "meta.lastmodified" => Some(Kind::Time),
                "title" => Some(Kind::Text),
                _ => None,
            }
        }

        fn any(&self, attribute: &str, test: &mut dyn FnMut(Held<'_>) -> bool) -> bool {
            match attribute {
                "username" => test(Held::Text("Bo.Lind")),
                "emails.value" => ["bo@a.example", "bo@b.example"].into_iter().any(|email| test(Held::Text(email))),
                "id" => test(Held::Text("aB")),
                "active" => test(Held::Truth(true)),
                "meta.lastmodified" => test(Held::Time("2025-06-01T12:00:00Z".parse().unwrap())),
                _ => false,
            }
        }
    }

    #[test]
    fn filters_say_what_the_standard_says_they_say() {
        for (text, expected) in [
            (r#"userName eq "bo.lind""#, true),
            (r#"USERNAME EQ "BO.LIND""#, true),
            (r#"urn:ietf:params:scim:schemas:core:2.0:User:userName eq "bo.lind""#, true),
            (r#"userName ne "bo.lind""#, false),
            (r#"id eq "ab""#, false),
            (r#"id eq "aB""#, true),
            (r#"emails eq "bo@b.example""#, true),
            (r#"emails[value eq "bo@b.example"]"#, true),
            (r#"emails.value sw "bo@" and emails.value ew "a.example""#, true),
            ("active eq true", true),
            ("active eq false", false),
            ("title pr", false),
            ("title eq null", true),
            ("not (title pr) and active eq true", true),
            (r#"meta.lastModified gt "2025-06-01T11:59:59Z""#, true),
            (r#"meta.lastModified gt "2025-06-01T14:00:00+02:00""#, false),
            (r#"meta.lastModified ge "2025-06-01T14:00:00+02:00""#, true),
            // `and` binds closer than `or`.
            (r#"active eq true or active eq false and userName eq "x""#, true),
            (r#"(active eq true or active eq false) and userName eq "x""#, false),
            (r#"userName eq "a\"b\\c""#, false),
        ] {
            assert_eq!(holds(&parse::<Sample>(text).unwrap(), &Sample), expected, "{text}");
        }
    }

    #[test]
    fn whatever_is_not_a_filter_is_refused_with_a_place() {
        let deep = "(".repeat(40) + "active eq true";
        let long = format!(r#"userName eq "{}""#, "x".repeat(LONGEST));
        for text in [
            "",
            " ",
            "userName",
            "userName eq",
            "userName eq bo",
            r#"userName eq "bo"#,
            r#"userName is "bo""#,
            r#"userName eq "bo" and"#,
            r#"userName eq "bo" userName eq "bo""#,
            r#"(userName eq "bo""#,
            r#"userName eq "bo")"#,
            r#"shoeSize eq "bo""#,
            r#"active eq "true""#,
            "active gt true",
            "userName eq 7",
            r#"meta.lastModified gt "yesterday""#,
            r#"emails[value eq "a" and type eq "b"]"#,
            "userName eq {}",
            "userName eq \"a\u{0}\"",
            "\u{202e}",
            "é eq 1",
            &deep,
            &long,
        ] {
            assert!(parse::<Sample>(text).is_err(), "{text:?} was read");
        }
        assert_eq!(parse::<Sample>("userName eq").unwrap_err().split(" at ").nth(1), Some("character 12 of the filter"));
    }

    #[test]
    fn an_index_may_be_used_only_where_the_comparison_must_hold() {
        let required_name = |text: &str| required(&parse::<Sample>(text).unwrap(), "username").map(str::to_owned);
        assert_eq!(required_name(r#"active eq true and (userName eq "a")"#).as_deref(), Some("a"));
        assert_eq!(required_name(r#"active eq true or userName eq "a""#), None);
        assert_eq!(required_name(r#"not (userName eq "a")"#), None);
        assert_eq!(required_name(r#"userName sw "a""#), None);
    }
}
