//! Things kept for a while under a random name.

use std::collections::{HashMap, VecDeque};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A name of 256 random bits, safe in a URL and in a cookie.
pub fn random_name() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// A secret of which only the digest is kept, compared in constant time.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Remembers `text`.
    pub fn new(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Whether `text` is the secret.
    pub fn is(&self, text: &str) -> bool {
        let other: [u8; 32] = Sha256::digest(text).into();
        self.0.ct_eq(&other).into()
    }
}

/// Things that are forgotten after a time, which is the same for all of them; no more than a fixed number at once.
#[derive(Debug)]
pub struct Shelf<T> {
    things: HashMap<String, (DateTime<Utc>, T)>,
    order: VecDeque<String>,
    keep: Duration,
    most: usize,
}

impl<T> Shelf<T> {
    /// An empty shelf that keeps a thing for `keep`, and the newest `most` of them.
    pub fn new(keep: Duration, most: usize) -> Self {
        Self { things: HashMap::new(), order: VecDeque::new(), keep, most }
    }

    /// Puts a thing away and returns its name.
    pub fn put(&mut self, thing: T, now: DateTime<Utc>) -> String {
        let name = random_name();
        while let Some(oldest) = self.order.front() {
            let stays = self.things.get(oldest).is_some_and(|(until, _)| *until > now);
            if stays && self.order.len() < self.most {
                break;
            }
            self.things.remove(oldest);
            self.order.pop_front();
        }
        self.order.push_back(name.clone());
        self.things.insert(name.clone(), (now + self.keep, thing));
        name
    }

    /// The thing of this name, if it is still there.
    pub fn get(&mut self, name: &str, now: DateTime<Utc>) -> Option<&mut T> {
        self.things.get_mut(name).filter(|(until, _)| *until > now).map(|(_, thing)| thing)
    }

    /// Forgets the thing of this name.
    pub fn drop(&mut self, name: &str) {
        self.things.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_there_until_its_time_and_not_after() {
        let now = DateTime::UNIX_EPOCH;
        let mut shelf = Shelf::new(Duration::seconds(60), 3);
        let name = shelf.put("a", now);
        assert_eq!(shelf.get(&name, now + Duration::seconds(59)), Some(&mut "a"));
        assert_eq!(shelf.get(&name, now + Duration::seconds(60)), None);
        assert_eq!(shelf.get("other", now), None);
        shelf.drop(&name);
        assert_eq!(shelf.get(&name, now), None);
    }

    #[test]
    fn a_full_shelf_forgets_the_oldest() {
        let now = DateTime::UNIX_EPOCH;
        let mut shelf = Shelf::new(Duration::seconds(60), 3);
        let names: Vec<String> = (0..5).map(|thing| shelf.put(thing, now)).collect();
        let there: Vec<bool> = names.iter().map(|name| shelf.get(name, now).is_some()).collect();
        assert_eq!(there, [false, false, true, true, true]);
        shelf.put(5, now + Duration::seconds(61));
        assert_eq!(shelf.things.len(), 1);
        assert_eq!(shelf.order.len(), 1);
    }

    #[test]
    fn a_secret_is_itself_only() {
        let secret = Secret::new("one");
        assert!(secret.is("one") && !secret.is("One") && !secret.is(""));
    }
}
