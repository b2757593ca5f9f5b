//! Where each setting comes from: defaults, file, environment.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use toml::de::{DeTable, DeValue};

/// The defaults; also the list of all names there are.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// What a default has for a place.
pub const DEFAULT_PLACE: &str = "config/default.toml";
/// The settings that are secrets, which may also come from a file named by `…_FILE`.
const SECRETS: [&str; 6] = ["database.url", "database.app_url", "oidc.client_secret", "witness.webhook_secret", "mail.password", "schedules.webhook_secret"];
/// Those of a directory, and what comes with them.
const DIRECTORY_SECRETS: [&str; 8] = ["hook_secret", "token", "client_secret", "api_token", "private_key", "certificate", "service_account", "bind_password"];
/// The section of the directories; each is a table in it.
const DIRECTORIES: &str = "directories";
/// The tables of schedules; each is one of several, `[[schedule]]`, and its settings are `schedule.N.NAME`.
const SCHEDULE: &str = "schedule";
/// What the settings of every directory stand under in the defaults.
const EVERY: &str = "KEY";
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
    /// Whether nobody has set it.
    pub is_default: bool,
}

/// All settings by `section.key` (`directories.KEY.setting`), the uppermost layer's value each.
pub type Layers = BTreeMap<String, Placed>;

/// Lays `file` and then the environment over the defaults. Every fault is added to `faults`; what is faulty keeps its
/// default, so that looking at the values can go on.
pub fn read(file: Option<&Path>, env: &BTreeMap<String, String>, faults: &mut Vec<Fault>) -> Layers {
    let mut layers = Layers::new();
    let defaults = parse(DEFAULTS, DEFAULT_PLACE, faults);
    layers.extend(defaults.into_iter().map(|(name, placed)| (name, Placed { is_default: true, ..placed })));
    let mut written = Vec::new();
    if let Some(file) = file {
        let place = file.display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => written = parse(&text, &place, faults),
            Err(error) => {
                let problem = format!("cannot be read: {error}");
                faults.push(Fault { place, name: "the settings file".to_owned(), problem });
            }
        }
    }
    let unclear = lay_directories(&mut layers, &written, env, faults);
    lay_schedules(&mut layers, &written);
    let is_unclear = |name: &str| unclear.iter().any(|table| name.starts_with(table.as_str()));
    for (name, placed) in written {
        if !is_unclear(&name) {
            lay(&mut layers, name, placed, faults);
        }
    }
    for (variable, text) in env {
        if name_of(variable.strip_suffix("_FILE").unwrap_or(variable)).is_some_and(|name| is_unclear(&name)) {
            continue;
        }
        if let Some((name, placed)) = from_variable(variable, text, &layers, faults) {
            lay(&mut layers, name, placed, faults);
        }
    }
    layers
}

/// Lays the defaults of every directory that file or environment has, by its kind. Returns the beginnings of the names of those whose
/// kind is not known: nothing more can be said of them.
fn lay_directories(layers: &mut Layers, written: &[(String, Placed)], env: &BTreeMap<String, String>, faults: &mut Vec<Fault>) -> Vec<String> {
    let templates = templates();
    let mut tables: BTreeMap<String, (String, Option<(String, String)>)> = BTreeMap::new();
    let mut meet = |name: &str, place: &str, text: &str| {
        let Some((key, setting)) = name.strip_prefix("directories.").and_then(|rest| rest.split_once('.')) else { return };
        let table = tables.entry(key.to_owned()).or_insert_with(|| (place.to_owned(), None));
        if setting == "kind" {
            table.1 = Some((text.trim().to_owned(), place.to_owned()));
        }
    };
    for (name, placed) in written {
        meet(name, &placed.place, if let Value::Text(text) = &placed.value { text } else { "" });
    }
    for (variable, text) in env.iter().filter(|(_, text)| !text.trim().is_empty()) {
        if let Some(name) = name_of(variable) {
            meet(&name, &format!("{ENVIRONMENT} {variable}"), text);
        }
    }
    let mut unclear = Vec::new();
    for (key, (place, kind)) in tables {
        let fits = !key.is_empty() && key.len() <= 32 && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !fits {
            let problem = format!("{key:?} is not 1 to 32 of a-z, 0-9 and -");
            faults.push(Fault { place: place.clone(), name: format!("{DIRECTORIES}.{key}"), problem });
        }
        let kinds = || templates.keys().filter(|kind| ![EVERY, SCHEDULE].contains(&kind.as_str())).cloned().collect::<Vec<_>>().join(", ");
        let settings = match &kind {
            Some((kind, _)) if ![EVERY, SCHEDULE].contains(&kind.as_str()) => templates.get(kind),
            _ => None,
        };
        let Some(settings) = settings else {
            let (problem, place) = match kind {
                Some((kind, place)) => (format!("{kind:?} is none of {}", kinds()), place),
                None => (format!("is missing; it must be one of {}", kinds()), place),
            };
            faults.push(Fault { place, name: format!("{DIRECTORIES}.{key}.kind"), problem });
            unclear.push(format!("{DIRECTORIES}.{key}."));
            continue;
        };
        let every = templates.get(EVERY).into_iter().flatten();
        layers.extend(every.chain(settings).map(|(setting, placed)| (format!("{DIRECTORIES}.{key}.{setting}"), placed.clone())));
    }
    unclear
}

/// Lays the defaults of every schedule that the file has.
fn lay_schedules(layers: &mut Layers, written: &[(String, Placed)]) {
    let template = templates().remove(SCHEDULE).unwrap_or_default();
    for (name, _) in written {
        let Some((number, _)) = name.strip_prefix("schedule.").and_then(|rest| rest.split_once('.')) else { continue };
        for (setting, placed) in &template {
            layers.entry(format!("{SCHEDULE}.{number}.{setting}")).or_insert_with(|| placed.clone());
        }
    }
}

/// The settings of a directory with their defaults, by kind; those of every directory under `KEY`, of a schedule under
/// `schedule`. They are what the defaults show behind a `#` without a space.
pub fn templates() -> BTreeMap<String, BTreeMap<String, Placed>> {
    let shown: Vec<&str> =
        DEFAULTS.lines().map(|line| line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' ')).unwrap_or("")).collect();
    let mut templates: BTreeMap<String, BTreeMap<String, Placed>> = BTreeMap::new();
    // A fault in here is one of the program; a test holds them to be none.
    for (name, placed) in parse(&shown.join("\n"), DEFAULT_PLACE, &mut Vec::new()) {
        if let Some((kind, setting)) = name.strip_prefix("directories.").and_then(|rest| rest.split_once('.')) {
            templates.entry(kind.to_owned()).or_default().insert(setting.to_owned(), Placed { is_default: true, ..placed });
        } else if let Some((_, setting)) = name.strip_prefix("schedule.").and_then(|rest| rest.split_once('.')) {
            templates.entry(SCHEDULE.to_owned()).or_default().insert(setting.to_owned(), Placed { is_default: true, ..placed });
        }
    }
    templates
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
    let (section, rest) = name.split_once('.').unwrap_or((name, ""));
    if section == DIRECTORIES {
        let Some((key, setting)) = rest.split_once('.') else {
            return format!("the settings of a directory stand in a table of its own, [{DIRECTORIES}.KEY]");
        };
        let table = format!("{DIRECTORIES}.{key}.");
        let near: Vec<&str> = layers.keys().filter_map(|name| name.strip_prefix(&table)).collect();
        let others: Vec<String> = templates().into_iter().filter(|(_, settings)| settings.contains_key(setting)).map(|(kind, _)| kind).collect();
        let whose = if others.is_empty() { "there is no such setting".to_owned() } else { format!("is a setting of the kind {}", others.join(", ")) };
        return format!("{whose}; a directory of this kind has {}", near.join(", "));
    }
    if section == SCHEDULE {
        let Some((number, _)) = rest.split_once('.').filter(|(number, _)| layers.contains_key(&format!("{SCHEDULE}.{number}.name"))) else {
            return format!("the settings of a schedule stand in a table of its own, [[{SCHEDULE}]], in the file");
        };
        let table = format!("{SCHEDULE}.{number}.");
        let near: Vec<&str> = layers.keys().filter_map(|name| name.strip_prefix(&table)).collect();
        return format!("there is no such setting; a schedule has {}", near.join(", "));
    }
    let near: Vec<&str> = layers.keys().filter(|key| key.split('.').next() == Some(section)).map(String::as_str).collect();
    if near.is_empty() {
        let mut sections: Vec<&str> =
            layers.keys().filter_map(|key| key.split('.').next()).filter(|section| ![DIRECTORIES, SCHEDULE].contains(section)).collect();
        sections.dedup();
        return format!("there is no such section; the sections are {}, {DIRECTORIES}.KEY and [[{SCHEDULE}]]", sections.join(", "));
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
    let mut unreadable = Vec::new();
    let mut one = |name: String, at: String, value: &DeValue<'_>| match value_of(value) {
        Some(value) => settings.push((name, Placed { value, place: at, is_default: false })),
        None => {
            let problem = "must be a text in quotes, a whole number, true or false, or a list of texts".to_owned();
            unreadable.push(Fault { place: at, name, problem });
        }
    };
    for (section, content) in table.get_ref() {
        let at = place(section.span().start);
        if section.get_ref() == SCHEDULE
            && let DeValue::Array(tables) = content.get_ref()
        {
            for (n, table) in (1..).zip(tables.iter()) {
                let at = place(table.span().start);
                let Some(keys) = table.get_ref().as_table().filter(|keys| !keys.is_empty()) else {
                    faults.push(Fault { place: at, name: format!("{SCHEDULE}.{n}"), problem: "is empty; it must have at least a name".to_owned() });
                    continue;
                };
                for (key, value) in keys {
                    one(format!("{SCHEDULE}.{n}.{}", key.get_ref()), place(key.span().start), value.get_ref());
                }
            }
            continue;
        }
        let Some(keys) = content.get_ref().as_table() else {
            let problem = "stands outside of a section; put it below a line such as [server]".to_owned();
            faults.push(Fault { place: at, name: section.get_ref().to_string(), problem });
            continue;
        };
        for (key, value) in keys {
            let name = format!("{}.{}", section.get_ref(), key.get_ref());
            match value.get_ref().as_table().filter(|_| section.get_ref() == DIRECTORIES) {
                Some(table) => {
                    if table.is_empty() {
                        let problem = "is empty; it must have at least a kind".to_owned();
                        faults.push(Fault { place: place(key.span().start), name: name.clone(), problem });
                    }
                    for (key, value) in table {
                        one(format!("{name}.{}", key.get_ref()), place(key.span().start), value.get_ref());
                    }
                }
                None => one(name, place(key.span().start), value.get_ref()),
            }
        }
    }
    faults.extend(unreadable);
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
        Some(base) if name_of(base).is_some_and(|name| is_secret(&name)) => (base, true),
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
    Some((name, Placed { value, place, is_default: false }))
}

/// Whether a setting may also be read from a file that `…_FILE` names.
fn is_secret(name: &str) -> bool {
    let of_directory = name.strip_prefix("directories.").and_then(|rest| rest.rsplit_once('.'));
    SECRETS.contains(&name) || of_directory.is_some_and(|(_, setting)| DIRECTORY_SECRETS.contains(&setting))
}

/// `section.key` for a variable that names a setting, known or not.
fn name_of(variable: &str) -> Option<String> {
    if let Some((_, name)) = SHORT.iter().find(|(short, _)| *short == variable) {
        return Some((*name).to_owned());
    }
    let (section, key) = variable.strip_prefix(PREFIX)?.split_once("__")?;
    if section == "DIRECTORIES"
        && let Some((directory, setting)) = key.rsplit_once("__")
    {
        // No variable can have the hyphen that a key may have.
        return Some(format!("{DIRECTORIES}.{}.{}", directory.to_lowercase().replace('_', "-"), setting.to_lowercase()));
    }
    Some(format!("{}.{}", section.to_lowercase(), key.to_lowercase()))
}

/// Variables that Kubernetes sets in every container when a service is called `countersign`.
fn is_kubernetes(variable: &str) -> bool {
    let rest = variable.strip_prefix(PREFIX).unwrap_or_default();
    rest.starts_with("SERVICE_HOST") || rest.starts_with("SERVICE_PORT") || rest == "PORT" || rest.starts_with("PORT_")
}
