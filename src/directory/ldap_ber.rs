//! The bytes of LDAP, read without trust (X.690, BER).
//!
//! LDAP uses a small part of BER (RFC 4511 §5.1): definite lengths and single-byte tags. That part is read here over borrowed bytes,
//! one element after the other, so there is no recursion to run out of stack, no allocation by a stated length, and nothing to panic.

/// SEQUENCE.
pub const SEQUENCE: u8 = 0x30;
/// SET.
pub const SET: u8 = 0x31;
/// OCTET STRING.
pub const OCTETS: u8 = 0x04;
/// INTEGER.
pub const INTEGER: u8 = 0x02;
/// ENUMERATED.
pub const ENUMERATED: u8 = 0x0a;
/// BOOLEAN.
pub const BOOLEAN: u8 = 0x01;

/// Bytes that are no LDAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it sent something that is not LDAP")]
pub struct Bad;

/// Elements one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether there is no more.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The tag of what comes next.
    pub fn peek(self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element: its tag and content.
    ///
    /// # Errors
    /// When there is no whole element.
    pub fn read(&mut self) -> Result<(u8, &'a [u8]), Bad> {
        let (tag, head, length) = header(self.0)?.ok_or(Bad)?;
        let end = head.checked_add(length).ok_or(Bad)?;
        let content = self.0.get(head..end).ok_or(Bad)?;
        self.0 = self.0.get(end..).ok_or(Bad)?;
        Ok((tag, content))
    }

    /// The content of the next element, which must have this tag.
    ///
    /// # Errors
    /// When there is no whole element, or another.
    pub fn expect_tag(&mut self, wanted: u8) -> Result<&'a [u8], Bad> {
        match self.read()? {
            (tag, content) if tag == wanted => Ok(content),
            _ => Err(Bad),
        }
    }

    /// What is inside the next element, which must have this tag.
    ///
    /// # Errors
    /// As [`Reader::expect_tag`].
    pub fn enter(&mut self, wanted: u8) -> Result<Reader<'a>, Bad> {
        self.expect_tag(wanted).map(Reader)
    }

    /// The next element as a number from 0 to 2³¹ − 1, which is all that LDAP needs.
    ///
    /// # Errors
    /// When there is none, or another one.
    pub fn number(&mut self, tag: u8) -> Result<u32, Bad> {
        let content = self.expect_tag(tag)?;
        if content.is_empty() || content.len() > 4 || content.first().is_some_and(|first| first & 0x80 != 0) {
            return Err(Bad);
        }
        Ok(content.iter().fold(0, |number, byte| (number << 8) | u32::from(*byte)))
    }
}

/// Tag, length of the header and length of the content of the element that begins `bytes`; `None` while its header is not whole.
///
/// # Errors
/// For what LDAP never sends: tags of several bytes, indefinite lengths, lengths of more than four bytes.
pub fn header(bytes: &[u8]) -> Result<Option<(u8, usize, usize)>, Bad> {
    let (Some(&tag), Some(&first)) = (bytes.first(), bytes.get(1)) else { return Ok(None) };
    if tag & 0x1f == 0x1f {
        return Err(Bad);
    }
    if first < 0x80 {
        return Ok(Some((tag, 2, usize::from(first))));
    }
    let count = usize::from(first & 0x7f);
    if count == 0 || count > 4 {
        return Err(Bad);
    }
    let Some(digits) = bytes.get(2..2 + count) else { return Ok(None) };
    let length = digits.iter().fold(0_u64, |length, byte| (length << 8) | u64::from(*byte));
    Ok(Some((tag, 2 + count, usize::try_from(length).map_err(|_| Bad)?)))
}

/// An element of `tag` that holds `content`.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(content.len() + 6);
    bytes.push(tag);
    let length = content.len();
    if length < 0x80 {
        bytes.push(length.to_le_bytes()[0]);
    } else {
        let digits = length.to_be_bytes();
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        let digits = digits.get(zeros..).unwrap_or_default();
        bytes.push(0x80 | digits.len().to_le_bytes()[0]);
        bytes.extend_from_slice(digits);
    }
    bytes.extend_from_slice(content);
    bytes
}

/// A number of `tag`.
pub fn number(tag: u8, number: u32) -> Vec<u8> {
    let digits = number.to_be_bytes();
    let zeros = digits.iter().take(3).take_while(|digit| **digit == 0).count();
    let mut content = digits.get(zeros..).unwrap_or_default().to_vec();
    if content.first().is_some_and(|first| first & 0x80 != 0) {
        content.insert(0, 0);
    }
    element(tag, &content)
}

/// A text, or bytes.
pub fn octets(content: impl AsRef<[u8]>) -> Vec<u8> {
    element(OCTETS, content.as_ref())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_ldap_never_sends_is_refused() {
        for bad in [&[0x30, 0x80][..], &[0x1f, 0x01, 0x00], &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x30, 0xff]] {
            assert_eq!(header(bad), Err(Bad), "{bad:x?}");
        }
        for unfinished in [&[][..], &[0x30], &[0x30, 0x82, 0x01]] {
            assert_eq!(header(unfinished), Ok(None));
            assert_eq!(Reader::new(unfinished).read(), Err(Bad));
        }
        assert_eq!(Reader::new(&[0x04, 0x84, 0xff, 0xff, 0xff, 0xff, 0x00]).read(), Err(Bad), "a length beyond the end");
        for bad in [&[0x02, 0x00][..], &[0x02, 0x01, 0xff], &[0x02, 0x05, 0, 0, 0, 0, 1], &[0x0a, 0x01, 0x01]] {
            assert_eq!(Reader::new(bad).number(INTEGER), Err(Bad), "{bad:x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&bytes);
            let mut read = 0;
            while let Ok((_, content)) = reader.read() {
                read += content.len() + 2;
            }
            prop_assert!(read <= bytes.len());
        }

        #[test]
        fn what_is_written_is_read_again(content in proptest::collection::vec(any::<u8>(), 0..70_000), value in 0..=i32::MAX as u32) {
            let mut bytes = octets(&content);
            bytes.extend(number(ENUMERATED, value));
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.expect_tag(OCTETS), Ok(&content[..]));
            prop_assert_eq!(reader.number(ENUMERATED), Ok(value));
            prop_assert!(reader.is_empty());
        }
    }
}
