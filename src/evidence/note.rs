//! Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint).
//!
//! A note is a text and, after an empty line, a line for each signature. Ed25519 (RFC 8032) is the only algorithm here.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::canonical::hex;
use super::merkle::Hash;
use super::time;

/// The byte that says Ed25519 in front of a key.
const ED25519: u8 = 1;
/// The longest note that is read, in bytes.
const LONGEST: usize = 64 << 10;
/// The most signatures that are looked at.
const MOST_SIGNATURES: usize = 16;
const DASH: &str = "\u{2014} ";

/// Why a note, checkpoint or key is not what it must be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// It is no note.
    #[error("this is no signed note: {0}")]
    Malformed(&'static str),
    /// None of its signatures is by the key.
    #[error("it is not signed by the key {0}")]
    NotSigned(String),
    /// A signature that claims to be by the key is not.
    #[error("its signature by the key {0} is false")]
    FalseSignature(String),
    /// It is no key.
    #[error("this is no key: {0}")]
    Key(&'static str),
}

/// The public half of a key, with the name it signs under.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: VerifyingKey,
}

impl PublicKey {
    /// The name it signs under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256 over name, LF, algorithm and key: names it in a signature line.
    pub fn id(&self) -> [u8; 4] {
        let digest = Sha256::new().chain_update(&self.name).chain_update([b'\n', ED25519]).chain_update(self.key.as_bytes()).finalize();
        [digest[0], digest[1], digest[2], digest[3]]
    }

    /// Reads `name+id+base64`, as [`fmt::Display`] writes it.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else { return Err(Error::Key("it must be name+id+key")) };
        named(name)?;
        let bytes = BASE64_STANDARD.decode(key).map_err(|_| Error::Key("it is not base64"))?;
        let [ED25519, key @ ..] = bytes.as_slice() else { return Err(Error::Key("it is not an Ed25519 key")) };
        let key: [u8; 32] = key.try_into().map_err(|_| Error::Key("it must be 32 bytes"))?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| Error::Key("it is no point of the curve"))?;
        let public = Self { name: name.to_owned(), key };
        if hex(&public.id()) != id { Err(Error::Key("its id is another key's")) } else { Ok(public) }
    }

    /// The text of a note that this key has signed.
    ///
    /// # Errors
    /// When it is no note, or not signed by this key.
    pub fn open<'a>(&self, note: &'a str) -> Result<&'a str, Error> {
        let (text, signatures) = split(note)?;
        for (name, id, signature) in signatures {
            if name == self.name && id == self.id() {
                let signature = Signature::from_slice(&signature).map_err(|_| Error::Malformed("a signature is not 64 bytes"))?;
                return match self.key.verify_strict(text.as_bytes(), &signature) {
                    Ok(()) => Ok(text),
                    Err(_) => Err(Error::FalseSignature(self.label())),
                };
            }
        }
        Err(Error::NotSigned(self.label()))
    }

    fn label(&self) -> String {
        format!("{}+{}", self.name, hex(&self.id()))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[ED25519], self.key.as_bytes().as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, hex(&self.id()), BASE64_STANDARD.encode(key))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A key that signs. It never shows itself but by [`PrivateKey::secret`].
#[derive(Clone)]
pub struct PrivateKey {
    name: String,
    key: SigningKey,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrivateKey").field(&self.public()).finish()
    }
}

impl PrivateKey {
    /// A key made of 32 random bytes, which signs as `name`.
    ///
    /// # Errors
    /// [`Error::Key`] for a name that a note cannot hold.
    pub fn new(name: &str, seed: [u8; 32]) -> Result<Self, Error> {
        named(name)?;
        Ok(Self { name: name.to_owned(), key: SigningKey::from_bytes(&seed) })
    }

    /// Reads what [`PrivateKey::secret`] wrote.
    ///
    /// # Errors
    /// [`Error::Key`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let rest = text.trim().strip_prefix("PRIVATE+KEY+").ok_or(Error::Key("it must begin with PRIVATE+KEY+"))?;
        let mut parts = rest.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Error::Key("it must be PRIVATE+KEY+name+id+key"));
        };
        let bytes = BASE64_STANDARD.decode(key).map_err(|_| Error::Key("it is not base64"))?;
        let [ED25519, seed @ ..] = bytes.as_slice() else { return Err(Error::Key("it is not an Ed25519 key")) };
        let private = Self::new(name, seed.try_into().map_err(|_| Error::Key("it must be 32 bytes"))?)?;
        if hex(&private.public().id()) != id { Err(Error::Key("its id is another key's")) } else { Ok(private) }
    }

    /// The text to keep in a file that only the service reads.
    pub fn secret(&self) -> String {
        let key = [&[ED25519], self.key.as_bytes().as_slice()].concat();
        format!("PRIVATE+KEY+{}+{}+{}", self.name, hex(&self.public().id()), BASE64_STANDARD.encode(key))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey { name: self.name.clone(), key: self.key.verifying_key() }
    }

    /// A note of `text`, which must end with LF and hold no empty line at its end.
    pub fn sign(&self, text: &str) -> String {
        format!("{text}\n{}", self.signature(text))
    }

    /// The signature line over `text`, for a note that several sign.
    pub fn signature(&self, text: &str) -> String {
        let public = self.public();
        let signature = [public.id().as_slice(), &self.key.sign(text.as_bytes()).to_bytes()].concat();
        format!("{DASH}{} {}\n", self.name, BASE64_STANDARD.encode(signature))
    }
}

fn named(name: &str) -> Result<(), Error> {
    let fits = !name.is_empty() && name.len() <= 255 && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+');
    if fits { Ok(()) } else { Err(Error::Key("its name is empty or holds a blank or +")) }
}

type SignatureLine<'a> = (&'a str, [u8; 4], Vec<u8>);

fn split(note: &str) -> Result<(&str, Vec<SignatureLine<'_>>), Error> {
    if note.len() > LONGEST {
        return Err(Error::Malformed("it is too long"));
    }
    if note.chars().any(|c| c.is_control() && c != '\n') {
        return Err(Error::Malformed("it holds control characters"));
    }
    let at = note.rfind("\n\n").ok_or(Error::Malformed("no empty line before the signatures"))?;
    let (text, lines) = (&note[..=at], &note[at + 2..]);
    let lines = lines.strip_suffix('\n').ok_or(Error::Malformed("the last line is cut off"))?;
    let mut signatures = Vec::new();
    for line in lines.split('\n').take(MOST_SIGNATURES) {
        let (name, signature) = line.strip_prefix(DASH).and_then(|rest| rest.split_once(' ')).ok_or(Error::Malformed("a signature line is none"))?;
        let bytes = BASE64_STANDARD.decode(signature).map_err(|_| Error::Malformed("a signature is not base64"))?;
        let (id, signature) = bytes.split_first_chunk::<4>().ok_or(Error::Malformed("a signature is too short"))?;
        signatures.push((name, *id, signature.to_vec()));
    }
    Ok((text, signatures))
}

/// What is signed of the log: how long it is and its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name; that of its first key.
    pub origin: String,
    /// How many leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// When it was signed, to the second.
    pub at: DateTime<Utc>,
}

impl Checkpoint {
    /// The text that is signed: origin, size, root, and the time as an extension line.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\ntime {}\n", self.origin, self.size, BASE64_STANDARD.encode(self.root), time::seconds(self.at))
    }

    /// Reads the text of a checkpoint; further extension lines are passed over.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut lines = text.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(Error::Malformed("a checkpoint has at least three lines"));
        };
        let digits = !size.is_empty() && size.bytes().all(|b| b.is_ascii_digit()) && (size == "0" || !size.starts_with('0'));
        let size = size.parse().ok().filter(|_| digits).ok_or(Error::Malformed("the size of the log is no number"))?;
        let root = BASE64_STANDARD.decode(root).ok().and_then(|root| root.try_into().ok()).ok_or(Error::Malformed("the root is not 32 bytes"))?;
        let at = lines.find_map(|line| line.strip_prefix("time ")).and_then(|at| DateTime::parse_from_rfc3339(at).ok());
        let at = at.ok_or(Error::Malformed("the checkpoint has no time"))?.to_utc();
        if origin.is_empty() { Err(Error::Malformed("the log has no name")) } else { Ok(Self { origin: origin.to_owned(), size, root, at }) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::evidence::merkle::empty_root;

    fn key() -> PrivateKey {
        PrivateKey::new("access.example.com/log", [7; 32]).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "access.example.com/log".into(), size: 42, root: empty_root(), at: DateTime::from_timestamp(1_800_000_000, 0).unwrap() }
    }

    /// The key and note that the specification of signed notes shows (c2sp.org/signed-note).
    #[test]
    fn the_example_of_the_specification_is_believed() {
        let key = PublicKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
                    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert!(key.open(note).unwrap().starts_with("If you think"));
        assert_eq!(key.open(&note.replace("cryptography", "Cryptography")), Err(Error::FalseSignature("PeterNeumann+c74f20a3".into())));
    }

    #[test]
    fn keys_are_written_and_read_and_hide_their_secret() {
        let (private, public) = (key(), key().public());
        assert_eq!(PublicKey::parse(&public.to_string()), Ok(public.clone()));
        assert_eq!(PrivateKey::parse(&private.secret()).unwrap().public(), public);
        assert!(!format!("{private:?}").contains(private.secret().rsplit('+').next().unwrap()));
        for bad in ["", "a", "a+b+c", "+00000000+AA==", &public.to_string().replace("log+", "log2+"), &"x".repeat(100_000)] {
            assert!(PublicKey::parse(bad).is_err() && PrivateKey::parse(bad).is_err(), "{bad:.20}");
        }
    }

    #[test]
    fn a_checkpoint_comes_back_as_it_was_signed() {
        let note = key().sign(&checkpoint().text());
        let text = key().public().open(&note).unwrap();
        assert_eq!(Checkpoint::parse(text), Ok(checkpoint()));
    }

    #[test]
    fn another_key_another_text_and_no_note_are_told_apart() {
        let note = key().sign(&checkpoint().text());
        let other = PrivateKey::new("access.example.com/log", [8; 32]).unwrap().public();
        assert!(matches!(other.open(&note), Err(Error::NotSigned(_))));
        assert!(matches!(key().public().open(&note.replacen("42", "43", 1)), Err(Error::FalseSignature(_))));
        for bad in ["", "\n\n", "a\n\n", "a\n\nb\n", "a\n\n\u{2014} x\n", "a\n\n\u{2014} x AA==", "a\n\n\u{2014} x !!\n", "a\0\n\n\u{2014} x AAAAAAAA\n"] {
            assert!(matches!(key().public().open(bad), Err(Error::Malformed(_))), "{bad:?}");
        }
        for bad in ["", "a\n1\n", "a\n01\nAAAA\n", "a\n-1\nAAAA\n", "\n1\nAAAA\n", &checkpoint().text().replace("time", "tame")] {
            assert!(Checkpoint::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn two_may_sign_one_text() {
        let (old, new) = (key(), PrivateKey::new("access.example.com/log", [9; 32]).unwrap());
        let text = checkpoint().text();
        let note = format!("{}{}", old.sign(&text), new.signature(&text));
        assert!(old.public().open(&note).is_ok() && new.public().open(&note).is_ok());
    }
}
