//! A file that is imported, and what it holds.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use maitred_connectors::Format;
use serde::Deserialize;

use crate::cli::failure::Failure;

/// How much of the content is looked at.
const BEGINNING_BYTES: u64 = 4 * 1024;

/// A file, or standard input.
pub(super) struct Input {
    pub(super) path: PathBuf,
    /// All of it.
    pub(super) reader: Box<dyn Read + Send + Sync>,
    /// How many bytes it has, where that is known.
    pub(super) bytes: Option<u64>,
    beginning: Vec<u8>,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// What `export` has written.
    Export,
    /// Records of another system.
    Records(Format),
}

impl Input {
    /// Opens a file and reads its beginning.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let unreadable = |error| Failure::unable(format!("{}: {error}", path.display()));
        let (mut reader, bytes): (Box<dyn Read + Send + Sync>, _) = if path.as_os_str() == "-" {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(path).map_err(unreadable)?;
            let metadata = file.metadata().map_err(unreadable)?;
            (Box::new(file), metadata.is_file().then_some(metadata.len()))
        };
        let mut beginning = Vec::new();
        reader.by_ref().take(BEGINNING_BYTES).read_to_end(&mut beginning).map_err(unreadable)?;
        let reader = Box::new(Cursor::new(beginning.clone()).chain(reader));
        Ok(Input { path: path.to_owned(), reader, bytes, beginning })
    }

    /// What it holds, by its extension and its content.
    pub(super) fn content(&self) -> Content {
        let extension = self.path.extension().and_then(|extension| extension.to_str());
        content(extension, &self.beginning)
    }

    /// Whether it is standard input.
    pub(super) fn is_standard_input(&self) -> bool {
        self.path.as_os_str() == "-"
    }
}

fn content(extension: Option<&str>, beginning: &[u8]) -> Content {
    let format = extension.and_then(Format::from_name).unwrap_or_else(|| Format::of_content(beginning));
    if format == Format::Json && begins_export(beginning) {
        return Content::Export;
    }
    Content::Records(format)
}

/// Whether this is the first line of an export, which says its type before all else.
fn begins_export(beginning: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct First {
        r#type: String,
    }
    let line = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let known = |first: First| matches!(&*first.r#type, "tenant" | "appointment" | "end");
    serde_json::from_slice(line).is_ok_and(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_told_by_extension_and_beginning() {
        use Content::{Export, Records};
        let tenant = "{\"type\":\"tenant\",\"format\":1}\n{\"type\":\"end\"}";
        for (extension, beginning, content_expected) in [
            (Some("ndjson"), tenant, Export),
            (None, tenant, Export),
            (Some("ndjson"), "{\"id\":\"c1\",\"name\":\"Ann\"}", Records(Format::Json)),
            (Some("json"), "[{\"id\":1}]", Records(Format::Json)),
            (Some("CSV"), "id;name", Records(Format::Csv)),
            (Some("txt"), "INSERT INTO a VALUES (1);", Records(Format::Sql)),
            (None, "Obj\u{1}…", Records(Format::Avro)),
            (None, "id,name", Records(Format::Csv)),
        ] {
            assert_eq!(content(extension, beginning.as_bytes()), content_expected, "{beginning}");
        }
    }
}
