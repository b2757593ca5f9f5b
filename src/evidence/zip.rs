//! Writes and reads a zip in a stream.
//!
//! ZIP (APPNOTE 6.3): deflated, sizes behind each file, ZIP64 where it must be. A file that breaks off has no directory at its end, and no
//! program takes it for a whole one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use rawzip::{CompressionMethod, FileReader, RECOMMENDED_BUFFER_SIZE, ZipArchive, ZipArchiveEntryWayfinder, ZipArchiveWriter};

/// The most files that are looked at.
const MOST: u64 = 1_000;

/// What comes next into the zip.
#[derive(Debug)]
pub enum Part {
    /// A file of this name begins.
    File(String),
    /// More of it.
    Bytes(Vec<u8>),
    /// All files are there.
    End,
}

fn broken(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// Writes what `next` gives, until its end; runs where it may wait.
///
/// # Errors
/// When `out` fails, or `next` stops before the end.
pub fn write(out: impl Write, mut next: impl FnMut() -> Option<Part>) -> io::Result<()> {
    let mut archive = ZipArchiveWriter::new(out);
    let mut part = next();
    loop {
        let name = match part {
            Some(Part::File(name)) => name,
            Some(Part::End) => break,
            _ => return Err(broken("it stopped before its end")),
        };
        let (mut entry, config) = archive.new_file(name.as_str()).compression_method(CompressionMethod::DEFLATE).start().map_err(broken)?;
        // The fastest level: the log compresses well at any, and the server has other work.
        let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::fast()));
        part = loop {
            match next() {
                Some(Part::Bytes(bytes)) => writer.write_all(&bytes)?,
                other => break other,
            }
        };
        let (encoder, descriptor) = writer.finish().map_err(broken)?;
        encoder.finish()?;
        entry.finish(descriptor).map_err(broken)?;
    }
    archive.finish().map_err(broken)?;
    Ok(())
}

/// A zip to read from.
#[derive(Debug)]
pub struct Reader {
    archive: ZipArchive<FileReader>,
    files: BTreeMap<String, (ZipArchiveEntryWayfinder, CompressionMethod)>,
}

impl Reader {
    /// Opens the zip at `path`.
    ///
    /// # Errors
    /// When it is none, has a name twice, or has folders in it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let archive = ZipArchive::from_file(File::open(path)?, &mut buffer).map_err(|error| broken(error.to_string()))?;
        if archive.entries_hint() > MOST {
            return Err(broken("there are too many files in it"));
        }
        let mut files = BTreeMap::new();
        let mut entries = archive.entries(&mut buffer);
        while let Some(entry) = entries.next_entry().map_err(broken)? {
            let name = std::str::from_utf8(entry.file_path().as_ref()).map_err(broken)?.to_owned();
            // What the end of the file says of their number is only a claim.
            if files.len() as u64 >= MOST {
                return Err(broken("there are too many files in it"));
            }
            if name.contains(['/', '\\']) {
                return Err(broken(format!("{name} is in a folder, and a bundle has none")));
            }
            if files.insert(name.clone(), (entry.wayfinder(), entry.compression_method())).is_some() {
                return Err(broken(format!("{name} is in it twice")));
            }
        }
        Ok(Self { archive, files })
    }

    /// The names of its files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The file of this name, as it comes out; none when it is not there. Reading fails at its end when it is not what the zip says.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn file(&self, name: &str) -> io::Result<Option<Box<dyn Read + '_>>> {
        let Some((wayfinder, method)) = self.files.get(name) else { return Ok(None) };
        let entry = self.archive.get_entry(*wayfinder).map_err(broken)?;
        let reader = entry.reader();
        Ok(Some(match *method {
            CompressionMethod::STORE => Box::new(entry.verifying_reader(reader)),
            CompressionMethod::DEFLATE => Box::new(entry.verifying_reader(DeflateDecoder::new(reader))),
            other => return Err(broken(format!("{name} is packed by a method ({other}) that is not read here"))),
        }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(parts: Vec<Part>) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut parts = parts.into_iter();
        write(&mut out, || parts.next()).map(|()| out)
    }

    #[test]
    fn what_went_in_comes_out() {
        let long = vec![b'x'; 300_000];
        let zip = of(vec![
            Part::File("a.csv".into()),
            Part::Bytes(b"one".to_vec()),
            Part::Bytes(long.clone()),
            Part::File("empty".into()),
            Part::File("b".into()),
            Part::Bytes(vec![]),
            Part::Bytes(b"two".to_vec()),
            Part::End,
        ])
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.zip");
        std::fs::write(&path, &zip).unwrap();
        let reader = Reader::open(&path).unwrap();
        assert_eq!(reader.names().collect::<Vec<_>>(), ["a.csv", "b", "empty"]);
        let read = |name: &str| {
            let mut bytes = Vec::new();
            reader.file(name).unwrap().unwrap().read_to_end(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(read("a.csv"), [b"one".to_vec(), long].concat());
        assert_eq!((read("b"), read("empty")), (b"two".to_vec(), vec![]));
        assert!(reader.file("c").unwrap().is_none());
        std::fs::write(&path, &zip[..zip.len() - 60]).unwrap();
        assert!(Reader::open(&path).is_err(), "half of it is none");
    }

    #[test]
    fn a_zip_that_stops_half_way_is_none() {
        let error = of(vec![Part::File("a".into()), Part::Bytes(b"one".to_vec())]).unwrap_err();
        assert!(error.to_string().contains("before its end"));
        assert!(of(vec![]).is_err());
    }
}
