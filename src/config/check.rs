//! Reads each setting as what it must be, collecting faults.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use reqwest::Url;

use super::Purpose;
use super::layers::{DEFAULT_PLACE, Fault, Layers, Placed, Value};
use super::network::Network;
use crate::domain::secret::Secret;

/// The longest text a setting may have, in bytes.
const LONGEST: usize = 4096;
/// The longest key or certificate, in bytes.
const LONGEST_BLOCK: usize = 64 << 10;

/// The layers being read, and the faults so far.
pub struct Check {
    layers: Layers,
    faults: Vec<Fault>,
}

impl Check {
    /// Begins with what reading the layers found.
    pub fn new(layers: Layers, faults: Vec<Fault>) -> Self {
        Self { layers, faults }
    }

    /// Everything that is wrong, or that nothing is.
    ///
    /// # Errors
    /// All faults.
    pub fn finish(self) -> Result<(), Vec<Fault>> {
        if self.faults.is_empty() { Ok(()) } else { Err(self.faults) }
    }

    /// Adds a fault of the setting `name`, at the place of its value.
    pub fn fault(&mut self, name: &str, problem: impl Into<String>) {
        let place = self.layers.get(name).map_or_else(|| DEFAULT_PLACE.to_owned(), |p| p.place.clone());
        self.faults.push(Fault { place, name: name.to_owned(), problem: problem.into() });
    }

    /// A text that may be empty: `None` then.
    pub fn optional(&mut self, name: &str) -> Option<String> {
        let Some(Placed { value: Value::Text(text), .. }) = self.layers.get(name) else { return None };
        let text = text.trim().to_owned();
        if text.len() > LONGEST || text.chars().any(char::is_control) {
            self.fault(name, format!("must be one line of at most {LONGEST} bytes without control characters"));
            return None;
        }
        (!text.is_empty()).then_some(text)
    }

    /// A text that must not be empty.
    pub fn text(&mut self, name: &str) -> String {
        self.required(name, "a text")
    }

    /// A text that must not be empty; `what` says what to put there.
    pub fn required(&mut self, name: &str, what: &str) -> String {
        let before = self.faults.len();
        let text = self.optional(name);
        if text.is_none() && self.faults.len() == before {
            self.fault(name, format!("is empty; it must be {what}"));
        }
        text.unwrap_or_default()
    }

    /// A secret, `None` when empty.
    pub fn secret(&mut self, name: &str) -> Option<Secret> {
        self.optional(name).map(|text| Secret::new(&text))
    }

    /// A secret that must not be empty; `what` says what to put there.
    pub fn required_secret(&mut self, name: &str, what: &str) -> Secret {
        Secret::new(&self.required(name, what))
    }

    /// A text of several lines, such as a key in PEM: `None` when empty.
    pub fn block(&mut self, name: &str) -> Option<String> {
        let Some(Placed { value: Value::Text(text), .. }) = self.layers.get(name) else { return None };
        let text = text.trim().to_owned();
        if text.len() > LONGEST_BLOCK || text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            self.fault(name, format!("must be at most {LONGEST_BLOCK} bytes of text"));
            return None;
        }
        (!text.is_empty()).then_some(text)
    }

    /// The content of the file that a setting names, `None` when none is named or it cannot be read.
    pub fn content(&mut self, name: &str) -> Option<String> {
        let path = self.optional(name)?;
        match std::fs::read_to_string(&path) {
            Ok(text) if text.len() <= 1 << 20 && !text.trim().is_empty() => Some(text),
            Ok(_) => {
                self.fault(name, format!("the file {path} is empty or larger than 1 MiB"));
                None
            }
            Err(error) => {
                self.fault(name, format!("the file {path} cannot be read: {error}"));
                None
            }
        }
    }

    /// The keys of the tables `[directories.KEY]` whose kind is known, in order.
    pub fn directories(&self) -> Vec<String> {
        let keys = self.layers.keys().filter_map(|name| name.strip_prefix("directories.")?.strip_suffix(".kind"));
        keys.map(str::to_owned).collect()
    }

    /// The numbers of the tables `[[schedule]]`, in order.
    pub fn schedules(&self) -> Vec<usize> {
        let mut numbers: Vec<usize> = self.layers.keys().filter_map(|name| name.strip_prefix("schedule.")?.strip_suffix(".name")?.parse().ok()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Whether the setting comes from the file or the environment.
    pub fn is_given(&self, name: &str) -> bool {
        self.layers.get(name).is_some_and(|placed| !placed.is_default)
    }

    /// How many faults there are so far.
    pub fn count(&self) -> usize {
        self.faults.len()
    }

    /// Whether there are faults already of settings whose name begins so.
    pub fn is_faulty(&self, beginning: &str) -> bool {
        self.faults.iter().any(|fault| fault.name.starts_with(beginning))
    }

    /// One of the given words.
    pub fn choice(&mut self, name: &str, words: &[&str]) -> String {
        let text = self.optional(name).unwrap_or_default();
        if !words.contains(&text.as_str()) {
            self.fault(name, format!("{text:?} is none of {}", words.join(", ")));
        }
        text
    }

    /// A whole number within `allowed`; the lowest one stands in for a faulty one.
    pub fn number<T: TryFrom<i64> + PartialOrd + Display + Copy>(&mut self, name: &str, allowed: RangeInclusive<T>) -> T {
        let Some(Placed { value: Value::Number(written), .. }) = self.layers.get(name) else { return *allowed.start() };
        let written = *written;
        match T::try_from(written) {
            Ok(number) if allowed.contains(&number) => number,
            _ => {
                self.fault(name, format!("{written} is not within {} to {}", allowed.start(), allowed.end()));
                *allowed.start()
            }
        }
    }

    /// True or false.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.layers.get(name), Some(Placed { value: Value::Flag(true), .. }))
    }

    /// The texts of a list.
    pub fn list(&mut self, name: &str) -> Vec<String> {
        match self.layers.get(name) {
            Some(Placed { value: Value::List(items), .. }) => items.clone(),
            _ => Vec::new(),
        }
    }

    /// A list of networks.
    pub fn networks(&mut self, name: &str) -> Vec<Network> {
        let mut networks = Vec::new();
        for item in self.list(name) {
            match item.parse() {
                Ok(network) => networks.push(network),
                Err(problem) => self.fault(name, problem),
            }
        }
        networks
    }

    /// An IP address with a port, `None` when empty.
    pub fn address(&mut self, name: &str) -> Option<SocketAddr> {
        let text = self.optional(name)?;
        let address = text.replace("localhost:", "127.0.0.1:").parse();
        if address.is_err() {
            self.fault(name, format!("{text:?} is not ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080"));
        }
        address.ok()
    }

    /// An https address, or an http one on this machine; without user, query or fragment. What comes back has no slash
    /// at its end. `None` when empty or faulty.
    pub fn web_address(&mut self, name: &str) -> Option<String> {
        let text = self.optional(name)?;
        let Ok(url) = Url::parse(&text) else {
            self.fault(name, format!("{text:?} is not an address such as https://idp.example.com"));
            return None;
        };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let loopback = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        if !(url.scheme() == "https" || url.scheme() == "http" && loopback) {
            self.fault(name, "must begin with https:// (http:// is for this machine only, such as http://127.0.0.1:8080)");
            return None;
        }
        // Not shown: a password could stand in it.
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            self.fault(name, "must have no user, password, ? or # in it");
            return None;
        }
        Some(text.trim_end_matches('/').to_owned())
    }

    /// The address of a Postgres database, `None` when empty or faulty.
    pub fn postgres(&mut self, name: &str) -> Option<Secret> {
        let text = self.optional(name)?;
        let good = Url::parse(&text).is_ok_and(|url| matches!(url.scheme(), "postgres" | "postgresql"));
        if !good {
            // Not shown: a password stands in it.
            self.fault(name, "must be postgres://USER:PASSWORD@HOST:PORT/DATABASE, special characters as %XX");
        }
        good.then(|| Secret::new(&text))
    }

    /// Whether a section is to be read, given whether anything of it is `given`: it must be there to serve, it must not
    /// be there in the demo, which would otherwise quietly ignore it.
    pub fn wanted(&mut self, purpose: Purpose, given: bool, names: &[&str]) -> bool {
        if purpose == Purpose::Demo && given {
            for name in names {
                if self.optional(name).is_some() {
                    self.fault(name, "the demo brings its own; leave it out, or serve without --demo");
                }
            }
            return false;
        }
        given || purpose == Purpose::Serve
    }
}
