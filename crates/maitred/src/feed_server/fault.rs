//! What may be wrong with a feed, or with its server.

use clap::ValueEnum;

/// What goes wrong when a feed is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Fault {
    /// Nothing
    #[default]
    None,
    /// 500
    #[value(name = "500")]
    Error,
    /// 503 with Retry-After: 1
    #[value(name = "503")]
    Busy,
    /// 404
    #[value(name = "404")]
    Absent,
    /// 302 to the same feed without a fault
    Redirect,
    /// No answer, ever
    Hang,
    /// Half of the feed, then nothing
    HangWithin,
    /// A byte every 100 ms
    Drip,
    /// The connection ends within the feed
    Truncate,
    /// A whole answer with half of a feed in it
    Cut,
    /// An answer with nothing in it
    Empty,
    /// A list without events
    NoEvents,
    /// A page for people
    Html,
    /// A document type with entities that grow
    Bomb,
    /// An answer that never ends
    Endless,
    /// Each event ten times
    Repeat,
    /// Each event ten times, in other words each time
    RepeatOtherwise,
    /// The programme goes back in time, as if the provider's clock did
    Backwards,
    /// Half of the events
    Fewer,
    /// Prices that are none, dates that do not exist, titles that are missing
    BadRecords,
    /// ISO-8859-1, declared
    Latin1,
    /// Windows-1252 bytes that are not declared
    Undeclared,
    /// UTF-16 with its mark
    Utf16,
    /// Shift_JIS, declared
    ShiftJis,
}

impl Fault {
    /// Reads a name, as the command line has it.
    pub fn parse(name: &str) -> Option<Fault> {
        <Fault as ValueEnum>::from_str(name, false).ok()
    }
}
