//! `maitred clock`: an operator's word on the clock of a running server.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use serde::Deserialize;

use super::client::Client;
use super::failure::{Done, Failure};
use super::out;
use super::place::runtime;

/// Say that the machine's clock is right, after it jumped ahead
#[derive(Debug, Subcommand)]
pub enum Clock {
    /// Confirm the clock of a running server: writes that were refused with `clock-suspect` go on
    Confirm(Confirm),
}

/// Options of `clock confirm`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example: maitred clock confirm --url http://127.0.0.1:8080 --key mk_…

A server whose wall clock is more than 60 seconds ahead of where it expects it refuses writes, because every later one \
must be stamped later. Compare the machine's time with another clock first (`date --utc`). If it is wrong, correct it, \
and writes go on by themselves; confirm it only if it is right. A key needs the role admin.")]
pub struct Confirm {
    /// Address of the running server
    #[arg(long, env = "MAITRED_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    url: String,
    /// API key (`mk_…`) of the role admin, where the server asks for one
    #[arg(long, env = "MAITRED_KEY", hide_env_values = true, value_name = "KEY")]
    key: Option<String>,
}

/// The server's answer.
#[derive(Debug, Deserialize)]
struct Confirmed {
    was_suspect: bool,
    expected: String,
    now: String,
}

impl Clock {
    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(self) -> Done {
        super::logging::start_quiet()?;
        let Clock::Confirm(Confirm { url, key }) = self;
        let client = Client::new(&url, key)?;
        let answer = runtime()?.block_on(client.json(Method::POST, "/v1/clock/confirm", None))?;
        let Confirmed { was_suspect, expected, now } = serde_json::from_value(answer)
            .map_err(|error| Failure::unable(format!("the answer is none on a clock: {error}")))?;
        if was_suspect {
            out::tell(format_args!(
                "confirmed: it is {now}, where the server expected {expected}; writes go on"
            ));
        } else {
            out::tell(format_args!(
                "confirmed: it is {now}; the server expected {expected}, and had refused nothing"
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}
