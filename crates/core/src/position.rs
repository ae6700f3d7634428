//! Where something stands in a log.

use std::fmt;
use std::str::FromStr;

/// The number of a batch in its log; the first is 1, and 0 means "before the first".
pub type Seq = u64;
/// The place of a fact within its batch, from 0.
pub type Ordinal = u32;
/// The number of a partition. One machine has exactly partition 0.
pub type PartitionId = u32;

/// A point in a log, as clients see it: `<partition>.<seq>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Which log.
    pub partition: PartitionId,
    /// The batch up to which everything is included.
    pub seq: Seq,
}

/// A fact's place in its log: it orders versions and changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ChangeId {
    /// The batch.
    pub seq: Seq,
    /// The place within it.
    pub ordinal: Ordinal,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.partition, self.seq)
    }
}

/// A text that is no position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAPosition;

impl fmt::Display for NotAPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a position has the form <partition>.<seq>, such as 0.42")
    }
}

impl std::error::Error for NotAPosition {}

fn number<T: FromStr>(text: &str) -> Result<T, NotAPosition> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().map_err(|_| NotAPosition) } else { Err(NotAPosition) }
}

impl FromStr for Position {
    type Err = NotAPosition;
    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let (partition, seq) = text.split_once('.').ok_or(NotAPosition)?;
        Ok(Position { partition: number(partition)?, seq: number(seq)? })
    }
}

impl ChangeId {
    /// The id as clients see it: `<partition>.<seq>.<ordinal>`.
    pub fn to_text(self, partition: PartitionId) -> String {
        format!("{partition}.{}.{}", self.seq, self.ordinal)
    }

    /// Reads `<partition>.<seq>.<ordinal>`, or a position `<partition>.<seq>`, which means "after all of
    /// that batch".
    ///
    /// # Errors
    /// [`NotAPosition`] for any other text.
    pub fn parse(text: &str) -> Result<(PartitionId, ChangeId), NotAPosition> {
        let (head, last) = text.rsplit_once('.').ok_or(NotAPosition)?;
        if head.contains('.') {
            let Position { partition, seq } = head.parse()?;
            return Ok((partition, ChangeId { seq, ordinal: number(last)? }));
        }
        let Position { partition, seq } = text.parse()?;
        Ok((partition, ChangeId { seq, ordinal: Ordinal::MAX }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_they_are_written() {
        let position = Position { partition: 0, seq: 42 };
        assert_eq!(position.to_string().parse(), Ok(position));
        let change = ChangeId { seq: 42, ordinal: 7 };
        assert_eq!(ChangeId::parse(&change.to_text(3)), Ok((3, change)));
        assert_eq!(ChangeId::parse("0.42"), Ok((0, ChangeId { seq: 42, ordinal: u32::MAX })));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", ".", "0", "0.", ".1", "0.1.2", "+0.1", "0.-1", "a.b", "0.99999999999999999999"] {
            assert_eq!(text.parse::<Position>(), Err(NotAPosition), "{text:?}");
        }
        for text in ["", "..", "0.1.", "0.1.2.3", "0.1.4294967296"] {
            assert_eq!(ChangeId::parse(text), Err(NotAPosition), "{text:?}");
        }
    }
}
