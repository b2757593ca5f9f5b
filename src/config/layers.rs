//! Where each setting comes from: defaults, file, environment.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use toml::de::{DeTable, DeValue};

/// The defaults; also the list of all names there are.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// The settings that are secrets, which may also come from a file named by `…_FILE`.
const SECRETS: [&str; 4] = ["database.url", "database.app_url", "oidc.client_secret", "directory.token"];
/// Variables with a name of their own.
const SHORT: [(&str, &str); 3] = [("DATABASE_URL", "database.url"), ("COUNTERSIGN_LISTEN", "server.listen"), ("COUNTERSIGN_DATA", "data.folder")];
/// The variable that names the file.
pub const FILE_VARIABLE: &str = "COUNTERSIGN_CONFIG";
const PREFIX: &str = "COUNTERSIGN_";
const ENVIRONMENT: &str = "environment";

/// One thing that is wrong with the settings. Never holds the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it stands: `countersign.toml line 3`, or the variable.
    pub place: String,
    /// The setting, `section.key`, or what stands in its place.
    pub name: String,
    /// What is wrong, and what is allowed.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.name, self.problem)
    }
}

/// A value as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A list of texts.
    List(Vec<String>),
    /// True or false.
    Flag(bool),
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text in quotes",
            Self::Number(_) => "a whole number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list of texts, such as [\"one\", \"two\"]",
        }
    }
}

/// A value with its place.
#[derive(Clone)]
pub struct Placed {
    /// The value.
    pub value: Value,
    /// Where it stands.
    pub place: String,
}

/// All settings by `section.key`, the uppermost layer's value each.
pub type Layers = BTreeMap<String, Placed>;

/// Lays `file` and then the environment over the defaults. Every fault is added to `faults`; what is faulty keeps its
/// default, so that looking at the values can go on.
pub fn read(file: Option<&Path>, env: &BTreeMap<String, String>, faults: &mut Vec<Fault>) -> Layers {
    let mut layers = Layers::new();
    let defaults = parse(DEFAULTS, "config/default.toml", faults);
    layers.extend(defaults);
    if let Some(file) = file {
        let place = file.display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => {
                for (name, placed) in parse(&text, &place, faults) {
                    lay(&mut layers, name, placed, faults);
                }
            }
            Err(error) => {
                let problem = format!("cannot be read: {error}");
                faults.push(Fault { place, name: "the settings file".to_owned(), problem });
            }
        }
    }
    for (variable, text) in env {
        if let Some((name, placed)) = from_variable(variable, text, &layers, faults) {
            lay(&mut layers, name, placed, faults);
        }
    }
    layers
}

fn lay(layers: &mut Layers, name: String, placed: Placed, faults: &mut Vec<Fault>) {
    let Some(below) = layers.get_mut(&name) else {
        faults.push(Fault { place: placed.place, problem: unknown(&name, layers), name });
        return;
    };
    if below.place.starts_with(ENVIRONMENT) && placed.place.starts_with(ENVIRONMENT) {
        let problem = format!("is set by {} as well; set one of the two", below.place);
        faults.push(Fault { place: placed.place, name, problem });
    } else if std::mem::discriminant(&below.value) == std::mem::discriminant(&placed.value) {
        *below = placed;
    } else {
        let problem = format!("is {}, but must be {}", placed.value.kind(), below.value.kind());
        faults.push(Fault { place: placed.place, name, problem });
    }
}

fn unknown(name: &str, layers: &Layers) -> String {
    let section = name.split('.').next().unwrap_or_default();
    let near: Vec<&str> = layers.keys().filter(|key| key.split('.').next() == Some(section)).map(String::as_str).collect();
    if near.is_empty() {
        let mut sections: Vec<&str> = layers.keys().filter_map(|key| key.split('.').next()).collect();
        sections.dedup();
        return format!("there is no such section; the sections are {}", sections.join(", "));
    }
    format!("there is no such setting; this section has {}", near.join(", "))
}

/// The settings of a TOML text, with the line of each.
fn parse(text: &str, file: &str, faults: &mut Vec<Fault>) -> Vec<(String, Placed)> {
    let place = |at: usize| {
        let line = text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{file} line {line}")
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    // Only the message: the line itself could hold a secret.
    faults.extend(errors.iter().map(|error| Fault {
        place: place(error.span().map_or(0, |span| span.start)),
        name: "TOML".to_owned(),
        problem: error.message().to_owned(),
    }));
    let mut settings = Vec::new();
    for (section, content) in table.get_ref() {
        let at = place(section.span().start);
        let Some(keys) = content.get_ref().as_table() else {
            let problem = "stands outside of a section; put it below a line such as [server]".to_owned();
            faults.push(Fault { place: at, name: section.get_ref().to_string(), problem });
            continue;
        };
        for (key, value) in keys {
            let name = format!("{}.{}", section.get_ref(), key.get_ref());
            let at = place(key.span().start);
            match value_of(value.get_ref()) {
                Some(value) => settings.push((name, Placed { value, place: at })),
                None => {
                    let problem = "must be a text in quotes, a whole number, true or false, or a list of texts".to_owned();
                    faults.push(Fault { place: at, name, problem });
                }
            }
        }
    }
    settings
}

fn value_of(value: &DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::String(text) => Some(Value::Text(text.to_string())),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok().map(Value::Number),
        DeValue::Boolean(flag) => Some(Value::Flag(*flag)),
        DeValue::Array(items) => {
            let texts = items.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
            texts.collect::<Option<Vec<String>>>().map(Value::List)
        }
        _ => None,
    }
}

/// The setting that a variable stands for, if it is one of ours and not empty.
fn from_variable(variable: &str, text: &str, layers: &Layers, faults: &mut Vec<Fault>) -> Option<(String, Placed)> {
    if text.trim().is_empty() || variable == FILE_VARIABLE {
        return None;
    }
    let place = format!("{ENVIRONMENT} {variable}");
    let fault = |name: &str, problem: String| Some(Fault { place: place.clone(), name: name.to_owned(), problem });
    let (base, in_file) = match variable.strip_suffix("_FILE") {
        Some(base) if name_of(base).is_some_and(|name| SECRETS.contains(&name.as_str())) => (base, true),
        _ => (variable, false),
    };
    let Some(name) = name_of(base) else {
        if base.starts_with(PREFIX) && !is_kubernetes(base) {
            let problem = "is no variable of ours; settings are COUNTERSIGN_SECTION__KEY with two underscores".to_owned();
            faults.extend(fault(variable, problem));
        }
        return None;
    };
    let text = if in_file {
        match std::fs::read_to_string(text) {
            Ok(content) if !content.trim().is_empty() => content.trim_end_matches(['\r', '\n']).to_owned(),
            Ok(_) => {
                faults.extend(fault(&name, format!("the file {text} is empty")));
                return None;
            }
            Err(error) => {
                faults.extend(fault(&name, format!("the file {text} cannot be read: {error}")));
                return None;
            }
        }
    } else {
        text.to_owned()
    };
    let value = match layers.get(&name).map(|below| &below.value) {
        Some(Value::Number(_)) => match text.trim().parse() {
            Ok(number) => Value::Number(number),
            Err(_) => {
                faults.extend(fault(&name, format!("{text:?} is not a whole number")));
                return None;
            }
        },
        Some(Value::Flag(_)) => match text.trim() {
            "true" => Value::Flag(true),
            "false" => Value::Flag(false),
            _ => {
                faults.extend(fault(&name, format!("{text:?} is neither true nor false")));
                return None;
            }
        },
        Some(Value::List(_)) => {
            let items = text.split(',').map(|item| item.trim().to_owned());
            Value::List(items.filter(|item| !item.is_empty()).collect())
        }
        Some(Value::Text(_)) | None => Value::Text(text),
    };
    Some((name, Placed { value, place }))
}

/// `section.key` for a variable that names a setting, known or not.
fn name_of(variable: &str) -> Option<String> {
    if let Some((_, name)) = SHORT.iter().find(|(short, _)| *short == variable) {
        return Some((*name).to_owned());
    }
    let (section, key) = variable.strip_prefix(PREFIX)?.split_once("__")?;
    Some(format!("{}.{}", section.to_lowercase(), key.to_lowercase()))
}

/// Variables that Kubernetes sets in every container when a service is called `countersign`.
fn is_kubernetes(variable: &str) -> bool {
    let rest = variable.strip_prefix(PREFIX).unwrap_or_default();
    rest.starts_with("SERVICE_HOST") || rest.starts_with("SERVICE_PORT") || rest == "PORT" || rest.starts_with("PORT_")
}
