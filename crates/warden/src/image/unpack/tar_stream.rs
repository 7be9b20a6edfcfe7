//! A tar stream, entry by entry, with every length bounded before anything is allocated.
//!
//! Header fields are read by the `tar` crate. The walk over the stream is ours, since its own
//! reads extension headers of any size into memory and takes a PAX `size` from some entries only.

use super::UnpackError;
use crate::image::limits::{MAX_EXTENSIONS, MAX_PATH, MAX_PAX, MAX_XATTRS};
use std::io::{self, BufRead};
use tar::{EntryType, Header};

const BLOCK: usize = 512;

/// What one entry says about itself.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) kind: EntryType,
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds since 1970 and nanoseconds.
    pub(crate) mtime: (i64, u32),
    /// `SCHILY.xattr.*` of PAX.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A reader that may know a faster way forward than reading.
pub(crate) trait Skip: BufRead {
    /// Passes over `count` bytes; the end of the stream may come earlier.
    fn skip(&mut self, mut count: u64) -> io::Result<()> {
        while count > 0 {
            let here = self.fill_buf()?.len();
            if here == 0 {
                break;
            }
            let used = usize::try_from(count).map_or(here, |c| c.min(here));
            self.consume(used);
            count -= used as u64;
        }
        Ok(())
    }
}

impl Skip for io::BufReader<std::fs::File> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let count = i64::try_from(count).map_err(io::Error::other)?;
        self.seek_relative(count)
    }
}

impl Skip for &[u8] {}

/// Walks over a tar stream.
pub(crate) struct TarStream<R> {
    reader: R,
    /// Bytes of the entry's content not yet read.
    remaining: u64,
    /// Zero bytes behind it.
    padding: u64,
    /// Bytes of the stream read so far.
    position: u64,
}

fn malformed(reason: impl Into<String>) -> UnpackError {
    UnpackError::Malformed { reason: reason.into() }
}

impl<R: Skip> TarStream<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, remaining: 0, padding: 0, position: 0 }
    }

    /// Bytes of the stream read so far: after [`Self::next_entry`], where the content begins.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn into_inner(self) -> R {
        self.reader
    }

    /// The next entry; `None` at the end.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>, UnpackError> {
        let mut extensions = Extensions::default();
        for _ in 0..=MAX_EXTENSIONS {
            self.skip_rest()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let size = header.entry_size().map_err(|e| malformed(e.to_string()))?;
            self.expect(size);
            match header.entry_type() {
                EntryType::XHeader => {
                    let data = self.small("bytes in a PAX header", size, MAX_PAX)?;
                    extensions.read_pax(&data)?;
                }
                // Comments and defaults for all: of no use to image layers.
                EntryType::XGlobalHeader if size <= MAX_PAX => {}
                EntryType::XGlobalHeader => {
                    return Err(UnpackError::Limit {
                        what: "bytes in a PAX header",
                        limit: MAX_PAX,
                    });
                }
                EntryType::GNULongName => extensions.path = Some(self.long_name(size)?),
                EntryType::GNULongLink => extensions.link = Some(self.long_name(size)?),
                EntryType::GNUSparse => {
                    return Err(malformed("sparse files in GNU's form are not read"));
                }
                kind => return self.entry(&header, kind, size, extensions).map(Some),
            }
        }
        Err(UnpackError::Limit { what: "extension headers in a row", limit: MAX_EXTENSIONS as u64 })
    }

    fn entry(
        &mut self,
        header: &Header,
        kind: EntryType,
        size: u64,
        extensions: Extensions,
    ) -> Result<Entry, UnpackError> {
        let number = |value: io::Result<u64>| value.map_err(|e| malformed(e.to_string()));
        let id = |value: u64| {
            u32::try_from(value)
                .ok()
                .filter(|v| *v != u32::MAX)
                .ok_or_else(|| malformed("an owner is out of range"))
        };
        // As Go's reader, by which nearly all images are made: these have no content, whatever
        // their size field says.
        let bare = kind.is_hard_link()
            || kind.is_symlink()
            || kind.is_character_special()
            || kind.is_block_special()
            || kind.is_dir()
            || kind.is_fifo();
        let size = if bare { 0 } else { extensions.size.unwrap_or(size) };
        self.expect(size);
        // Old archives mark a directory by a slash alone.
        let path = extensions.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let kind = match kind {
            EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => {
                EntryType::Directory
            }
            kind => kind,
        };
        Ok(Entry {
            kind,
            path,
            link: match extensions.link {
                Some(link) => link,
                None => header.link_name_bytes().unwrap_or_default().into_owned(),
            },
            size,
            mode: header.mode().map_err(|e| malformed(e.to_string()))? & 0o7777,
            uid: id(extensions.uid.map_or_else(|| number(header.uid()), Ok)?)?,
            gid: id(extensions.gid.map_or_else(|| number(header.gid()), Ok)?)?,
            mtime: match extensions.mtime {
                Some(mtime) => mtime,
                None => (i64::try_from(number(header.mtime())?).unwrap_or(i64::MAX), 0),
            },
            xattrs: extensions.xattrs,
        })
    }

    /// The next part of the entry's content, empty at its end; [`Self::consume`] what was used.
    pub(crate) fn content(&mut self) -> Result<&[u8], UnpackError> {
        if self.remaining == 0 {
            return Ok(&[]);
        }
        let data = self.reader.fill_buf().map_err(UnpackError::from_read)?;
        if data.is_empty() {
            return Err(malformed("it ends within a file"));
        }
        let usable = usize::try_from(self.remaining).map_or(data.len(), |r| r.min(data.len()));
        Ok(&data[..usable])
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.reader.consume(count);
        self.remaining -= count as u64;
        self.position += count as u64;
    }

    fn expect(&mut self, size: u64) {
        self.remaining = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    fn skip_rest(&mut self) -> Result<(), UnpackError> {
        let rest = std::mem::take(&mut self.remaining)
            .checked_add(std::mem::take(&mut self.padding))
            .ok_or_else(|| malformed("a size is out of range"))?;
        self.reader.skip(rest).map_err(UnpackError::from_read)?;
        self.position += rest;
        Ok(())
    }

    /// The next header; `None` at a block of zeros or at the end of the stream.
    fn header(&mut self) -> Result<Option<Header>, UnpackError> {
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        let mut filled = 0;
        while filled < BLOCK {
            let data = self.reader.fill_buf().map_err(UnpackError::from_read)?;
            if data.is_empty() {
                break;
            }
            let used = data.len().min(BLOCK - filled);
            block[filled..filled + used].copy_from_slice(&data[..used]);
            self.reader.consume(used);
            self.position += used as u64;
            filled += used;
        }
        if filled == 0 || (filled == BLOCK && block.iter().all(|b| *b == 0)) {
            return Ok(None);
        }
        if filled < BLOCK {
            return Err(malformed("it ends within a header"));
        }
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) })
            .sum();
        match header.cksum() {
            Ok(expected) if expected == sum => Ok(Some(header)),
            _ => Err(malformed(
                "a header's checksum is wrong; this is no tar archive, or a damaged one",
            )),
        }
    }

    fn small(&mut self, what: &'static str, size: u64, limit: u64) -> Result<Vec<u8>, UnpackError> {
        if size > limit {
            return Err(UnpackError::Limit { what, limit });
        }
        let mut data = Vec::new();
        loop {
            let part = self.content()?;
            if part.is_empty() {
                return Ok(data);
            }
            data.extend_from_slice(part);
            let used = part.len();
            self.consume(used);
        }
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>, UnpackError> {
        let mut name = self.small("bytes in a path", size, MAX_PATH as u64 + 1)?;
        if let Some(end) = name.iter().position(|b| *b == 0) {
            name.truncate(end);
        }
        Ok(name)
    }
}

impl Extensions {
    /// Records of the form `LENGTH KEY=VALUE\n`; values may hold any byte.
    fn read_pax(&mut self, mut data: &[u8]) -> Result<(), UnpackError> {
        let broken = || malformed("a PAX header is broken");
        while !data.is_empty() {
            let space = data.iter().take(20).position(|b| *b == b' ').ok_or_else(broken)?;
            let length: usize = parse_number(&data[..space]).ok_or_else(broken)?;
            let record = data.get(space + 1..length).ok_or_else(broken)?;
            let record = record.strip_suffix(b"\n").ok_or_else(broken)?;
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(broken)?;
            self.pax_record(&record[..equals], &record[equals + 1..])?;
            data = &data[length..];
        }
        Ok(())
    }

    fn pax_record(&mut self, key: &[u8], value: &[u8]) -> Result<(), UnpackError> {
        let broken = || malformed(format!("PAX {} is broken", String::from_utf8_lossy(key)));
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(parse_number(value).ok_or_else(broken)?),
            b"uid" => self.uid = Some(parse_number(value).ok_or_else(broken)?),
            b"gid" => self.gid = Some(parse_number(value).ok_or_else(broken)?),
            b"mtime" => self.mtime = Some(parse_time(value).ok_or_else(broken)?),
            _ if key.starts_with(b"GNU.sparse.") => {
                return Err(malformed("sparse files in GNU's form are not read"));
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    if self.xattrs.len() == MAX_XATTRS {
                        let limit = MAX_XATTRS as u64;
                        return Err(UnpackError::Limit { what: "attributes of a file", limit });
                    }
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

fn parse_number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// Decimal seconds with a fraction; negative ones become 1970.
fn parse_time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if seconds < 0 {
        return Some((0, 0));
    }
    let nine: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    Some((seconds, nine.parse().ok()?))
}
