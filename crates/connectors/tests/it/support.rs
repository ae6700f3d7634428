//! Reading a whole input, however it is cut.

use maitred_connectors::salon::{Kind, Record};
use maitred_connectors::{Format, Place, Problem, Reader};

pub(crate) type Read = Result<(Place, Record), Problem>;

/// What a reader gives for this input in pieces of these sizes, again and again.
pub(crate) fn read_cut(format: Format, kind: Option<Kind>, input: &[u8], sizes: &[usize]) -> Vec<Read> {
    let mut reader = Reader::new(format, kind);
    let mut items = Vec::new();
    let (mut rest, mut sizes) = (input, sizes.iter().cycle());
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |size| (*size).clamp(1, rest.len()));
        let (piece, behind) = rest.split_at(size);
        rest = behind;
        reader.push(piece);
        items.extend(std::iter::from_fn(|| reader.next()));
    }
    reader.end();
    items.extend(std::iter::from_fn(|| reader.next()));
    items
}

/// The same in one piece.
pub(crate) fn read(format: Format, input: &[u8]) -> Vec<Read> {
    read_cut(format, None, input, &[])
}

/// The ids of the records, and `line:code` for each problem.
pub(crate) fn summary(items: &[Read]) -> Vec<String> {
    let name = |item: &Read| match item {
        Ok((_, Record::Customer(customer))) => customer.id.clone(),
        Ok((_, Record::Booking(booking))) => booking.id.clone(),
        Err(problem) => format!("{}:{}", problem.place.line.unwrap_or(0), problem.code),
    };
    items.iter().map(name).collect()
}

/// Asserts what is read, whole and byte by byte.
#[track_caller]
pub(crate) fn check(format: Format, input: &str, expected: &[&str]) {
    let items = read(format, input.as_bytes());
    assert_eq!(summary(&items), expected, "{items:?}");
    assert_eq!(read_cut(format, None, input.as_bytes(), &[1]), items, "cut into bytes");
}
