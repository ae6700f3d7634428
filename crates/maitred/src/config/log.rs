//! What the server writes to its standard error.

use super::settings;

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

settings! {
    /// What the server writes to its standard error.
    Log, layer LogLayer {
        /// Form of a log line [default: text]
        format: LogFormat = LogFormat::Text, "log-format" "MAITRED_LOG_FORMAT" [value_enum, value_name = "FORMAT"];
        /// What is logged: error, warn, info, debug, trace, or a filter such as `info,maitred::http=debug`
        /// [default: info]
        level: String = "info".to_owned(), "log-level" "MAITRED_LOG_LEVEL" [value_name = "LEVEL"];
    }
}
