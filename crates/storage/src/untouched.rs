//! A disk that is looked at and not touched: what is written to it stays in memory.
//!
//! Opening a log mends what a crash tore. Whoever only wants to look opens it on this disk, and sees it mended
//! while the files stay as they are. What is written is kept by pages, so it should be little.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile};

/// The unit in which what was written is kept.
const PAGE_BYTES: u64 = 4096;

/// A disk over another one, which is only read.
#[derive(Debug)]
pub struct Untouched<D: Disk> {
    below: D,
    names: Mutex<Names<D::File>>,
}

#[derive(Debug)]
struct Names<F> {
    open: BTreeMap<String, UntouchedFile<F>>,
    removed: BTreeSet<String>,
}

/// A file of an [`Untouched`] disk.
#[derive(Debug)]
pub struct UntouchedFile<F>(Arc<Mutex<Content<F>>>);

#[derive(Debug)]
struct Content<F> {
    /// The file below, and how much of it there is.
    below: Option<(F, u64)>,
    length: u64,
    pages: BTreeMap<u64, Vec<u8>>,
}

impl<F> Clone for UntouchedFile<F> {
    fn clone(&self) -> Self {
        UntouchedFile(Arc::clone(&self.0))
    }
}

impl<D: Disk> Untouched<D> {
    /// A disk that shows what `below` has.
    pub fn new(below: D) -> Self {
        Untouched { below, names: Mutex::new(Names { open: BTreeMap::new(), removed: BTreeSet::new() }) }
    }

    fn names(&self) -> MutexGuard<'_, Names<D::File>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Disk> Disk for Untouched<D> {
    type File = UntouchedFile<D::File>;

    fn create(&self, name: &str) -> io::Result<Self::File> {
        if self.list()?.iter().any(|there| there == name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = Content { below: None, length: 0, pages: BTreeMap::new() };
        let file = UntouchedFile(Arc::new(Mutex::new(content)));
        let mut names = self.names();
        names.open.insert(name.to_owned(), file.clone());
        Ok(file)
    }

    fn open(&self, name: &str) -> io::Result<Self::File> {
        let mut names = self.names();
        if let Some(file) = names.open.get(name) {
            return Ok(file.clone());
        }
        if names.removed.contains(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let below = self.below.open(name)?;
        let length = below.length()?;
        let content = Content { below: Some((below, length)), length, pages: BTreeMap::new() };
        let file = UntouchedFile(Arc::new(Mutex::new(content)));
        names.open.insert(name.to_owned(), file.clone());
        Ok(file)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut all: BTreeSet<_> = self.below.list()?.into_iter().collect();
        let names = self.names();
        all.retain(|name| !names.removed.contains(name));
        all.extend(names.open.keys().cloned());
        Ok(all.into_iter().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let file = self.open(from)?;
        let mut names = self.names();
        names.open.remove(from);
        names.removed.insert(from.to_owned());
        names.open.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.open(name)?;
        let mut names = self.names();
        names.open.remove(name);
        names.removed.insert(name.to_owned());
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.below.free_bytes()
    }

    fn full_name(&self, name: &str) -> String {
        self.below.full_name(name)
    }
}

impl<F: DiskFile> UntouchedFile<F> {
    fn content(&self) -> MutexGuard<'_, Content<F>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: DiskFile> Content<F> {
    /// Fills `bytes` from `offset` on with what is there; zeros behind the end.
    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        bytes.fill(0);
        if let Some((below, length)) = &self.below {
            let len = length.saturating_sub(offset).min(bytes.len() as u64) as usize;
            below.read_at(&mut bytes[..len], offset)?;
        }
        let end = offset + bytes.len() as u64;
        for (&page, kept) in self.pages.range(offset / PAGE_BYTES..end.div_ceil(PAGE_BYTES)) {
            let start = page * PAGE_BYTES;
            let (from, to) = (offset.max(start), end.min(start + PAGE_BYTES));
            let kept = &kept[(from - start) as usize..(to - start) as usize];
            bytes[(from - offset) as usize..(to - offset) as usize].copy_from_slice(kept);
        }
        Ok(())
    }
}

impl<F: DiskFile> DiskFile for UntouchedFile<F> {
    fn length(&self) -> io::Result<u64> {
        Ok(self.content().length)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let content = self.content();
        if offset + bytes.len() as u64 > content.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        content.read(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut content = self.content();
        let end = offset + bytes.len() as u64;
        for page in offset / PAGE_BYTES..end.div_ceil(PAGE_BYTES) {
            let start = page * PAGE_BYTES;
            let mut kept = vec![0; PAGE_BYTES as usize];
            content.read(&mut kept, start)?;
            let (from, to) = (offset.max(start), end.min(start + PAGE_BYTES));
            kept[(from - start) as usize..(to - start) as usize]
                .copy_from_slice(&bytes[(from - offset) as usize..(to - offset) as usize]);
            content.pages.insert(page, kept);
        }
        content.length = content.length.max(end);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn drop_cache(&self) -> io::Result<()> {
        match &self.content().below {
            Some((below, _)) => below.drop_cache(),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn what_is_written_is_read_back_and_the_disk_below_stays_as_it_was() {
        let folder = std::env::temp_dir().join(format!("maitred-untouched-{}", std::process::id()));
        let below = RealDisk::new(&folder).unwrap();
        let bytes: Vec<u8> = (0..10_000_u32).map(|i| i as u8).collect();
        below.create("a").unwrap().write_at(&bytes, 0).unwrap();

        let disk = Untouched::new(below.clone());
        let file = disk.open("a").unwrap();
        file.write_at(&[0xff; 5_000], 3_000).unwrap();
        file.write_at(&[0xee; 10], 11_000).unwrap();
        let mut expected = bytes.clone();
        expected[3_000..8_000].fill(0xff);
        expected.resize(11_000, 0);
        expected.extend([0xee; 10]);
        let mut read = vec![0; expected.len()];
        disk.open("a").unwrap().read_at(&mut read, 0).unwrap();
        assert_eq!(read, expected);
        assert_eq!(file.read_at(&mut read, 1).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let mut part = [0; 100];
        file.read_at(&mut part, 7_950).unwrap();
        assert_eq!(part, expected[7_950..8_050]);

        disk.rename("a", "b").unwrap();
        disk.create("c").unwrap();
        assert_eq!(disk.create("b").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(disk.list().unwrap(), ["b", "c"]);
        disk.remove("b").unwrap();
        assert_eq!(disk.open("a").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(disk.list().unwrap(), ["c"]);

        assert_eq!(below.list().unwrap(), ["a"]);
        assert_eq!(std::fs::read(folder.join("a")).unwrap(), bytes);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
