//! Where a command finds the data: in a folder that no server uses, or at a running server.

use std::path::{Path, PathBuf};

use clap::Args;
use maitred_storage::open::OpenError;

use super::client::Client;
use super::failure::{Failure, not_started};
use crate::assemble::{Node, StartError};
use crate::config::{Server, Storage};

/// Where the data are.
#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    /// Data folder of a stopped server [default: MAITRED_DATA, else ./maitred-data]
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data: Option<PathBuf>,
    /// Address of a running server, such as http://127.0.0.1:8080 [default: MAITRED_URL without --data]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// API key (`mk_…`) for the running server, where it asks for one
    #[arg(long, env = "MAITRED_KEY", hide_env_values = true, value_name = "KEY")]
    key: Option<String>,
}

/// Where the data are.
#[derive(Debug)]
pub(super) enum Place {
    /// In this folder.
    Folder(PathBuf),
    /// At this server.
    Server(Client),
}

impl PlaceArgs {
    /// What the flags and the environment say: a flag first, then `MAITRED_URL`, then `MAITRED_DATA`.
    ///
    /// # Errors
    /// [`Failure`] for a URL that cannot be read.
    pub(super) fn place(self) -> Result<Place, Failure> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let url = match (&self.data, self.url) {
            (None, None) => variable("MAITRED_URL"),
            (_, url) => url,
        };
        if let Some(url) = url {
            return Ok(Place::Server(Client::new(&url, self.key.filter(|key| !key.is_empty()))?));
        }
        Ok(Place::Folder(data_folder(self.data)))
    }
}

/// The folder that a flag names, or `MAITRED_DATA`, or the default.
pub(super) fn data_folder(flag: Option<PathBuf>) -> PathBuf {
    let variable = || std::env::var_os("MAITRED_DATA").filter(|value| !value.is_empty()).map(PathBuf::from);
    flag.or_else(variable).unwrap_or_else(|| Server::default().data)
}

/// Refuses a folder that no server has used: a typo makes no new one.
///
/// # Errors
/// [`Failure`].
pub(super) fn require_folder(dir: &Path) -> Result<(), Failure> {
    if dir.join("log").is_dir() {
        return Ok(());
    }
    let dir = dir.display();
    Err(Failure::unable(format!("{dir} is no data folder of a server; name one with --data")))
}

/// Starts an engine on a folder, without a server.
///
/// # Errors
/// [`Failure`].
pub(super) fn open(dir: &Path) -> Result<Node, Failure> {
    let settings = Storage { snapshot_log_bytes: 0, ..Storage::default() };
    Node::open_with(dir, &settings).map_err(|error| match error {
        StartError::Open(OpenError::InUse { .. }) => Failure::unable(format!(
            "{error}; a running server is asked with --url (such as --url http://127.0.0.1:8080) instead of --data"
        )),
        error => not_started(&error, dir),
    })
}

/// A runtime for a command that does one thing at a time.
///
/// # Errors
/// [`Failure`].
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
