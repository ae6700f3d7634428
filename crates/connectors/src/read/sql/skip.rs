//! Leaving out what stands between rows and statements, however long it is: byte by byte, so that pieces may end
//! anywhere.

/// Where in a comment or text the skipping is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Within {
    #[default]
    Nothing,
    LineComment,
    BlockComment,
    /// A text or a name, up to this mark. A doubled mark ends it and begins it again.
    Quotes(u8),
}

impl Within {
    /// How many bytes are blanks and comments, and whether something else follows them. When not, more is needed to
    /// tell, or the input is over.
    pub(super) fn blanks(&mut self, bytes: &[u8], ended: bool) -> (usize, bool) {
        self.skip(bytes, ended, |byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
    }

    /// How many bytes there are up to the end of the statement, and whether it is there: the next byte.
    pub(super) fn statement(&mut self, bytes: &[u8], ended: bool) -> (usize, bool) {
        self.skip(bytes, ended, |byte| byte == b';')
    }

    fn skip(&mut self, bytes: &[u8], ended: bool, stops: impl Fn(u8) -> bool) -> (usize, bool) {
        let mut at = 0;
        while let Some(byte) = bytes.get(at).copied() {
            let next = bytes.get(at + 1).copied();
            let two = matches!((*self, byte), (Within::Nothing, b'-' | b'/') | (Within::BlockComment, b'*'));
            if two && next.is_none() && !ended {
                return (at, false);
            }
            let mut length = 1;
            match (*self, byte, next) {
                (Within::Nothing, b'-', Some(b'-')) | (Within::Nothing, b'#', _) => {
                    *self = Within::LineComment;
                }
                (Within::Nothing, b'/', Some(b'*')) => {
                    *self = Within::BlockComment;
                    length = 2;
                }
                (Within::Nothing, byte, _) if stops(byte) => return (at, true),
                (Within::Nothing, b'\'' | b'"' | b'`', _) => *self = Within::Quotes(byte),
                (Within::LineComment, b'\n', _) => *self = Within::Nothing,
                (Within::BlockComment, b'*', Some(b'/')) => {
                    *self = Within::Nothing;
                    length = 2;
                }
                (Within::Quotes(mark), byte, _) if byte == mark => *self = Within::Nothing,
                _ => {}
            }
            at += length;
        }
        (at, false)
    }
}
