//! `maitred check`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use maitred_web::AsOf;

use super::failure::{Done, Failure};
use super::out;
use super::place::{data_folder, require_folder};
use crate::check::{self, Finding, Watch};

/// Options of `check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example: maitred check --data ./maitred-data

The server must be stopped. Verified are every checksum, hash and link of the log; the view, which is rebuilt from the \
log alone and compared with the stored one and with the snapshots; and the invariants: no two claims on a resource \
overlap, versions have no gap. With --as-of, the view is rebuilt up to then, and each sale that there was is \
reconciled as it stood: what is stored is of the present, and is not compared. Nothing is changed or left behind. It needs as much free space as two views take. The \
exit status is 0 if all is well, 1 if not, also where nobody reads all of the output (`maitred check | head`).")]
pub struct Check {
    /// Data folder of a stopped server [default: MAITRED_DATA, else ./maitred-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Look at the data as they were then: an RFC 3339 instant, or a position such as 0.42
    #[arg(long, value_name = "TIME", value_parser = read_as_of)]
    as_of: Option<AsOf>,
}

fn read_as_of(text: &str) -> Result<AsOf, &'static str> {
    AsOf::parse(text)
        .ok_or("an RFC 3339 instant such as 2026-11-21T09:30:00Z or a position such as 0.42 is expected")
}

impl Check {
    /// Looks, and says what was found.
    ///
    /// # Errors
    /// [`Failure`] when it cannot look.
    pub fn run(self) -> Done {
        super::logging::start(&crate::config::Log { level: "off".to_owned(), ..Default::default() })?;
        let dir = data_folder(self.data);
        require_folder(&dir)?;
        let bar = Bar(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()));
        bar.0.enable_steady_tick(Duration::from_millis(200));
        let problems = check::check(&dir, self.as_of, &bar).map_err(Failure::unable)?;
        bar.0.finish_and_clear();
        match problems {
            0 => out::tell(format_args!("{}: all is well", dir.display())),
            1 => out::tell(format_args!("{}: 1 problem", dir.display())),
            problems => out::tell(format_args!("{}: {problems} problems", dir.display())),
        }
        Ok(ExitCode::from(u8::from(problems > 0)))
    }
}

struct Bar(ProgressBar);

impl Watch for Bar {
    fn begin(&self, what: &'static str, steps: u64) {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {percent}% {eta}");
        self.0.set_style(style.expect("a template that can be read"));
        self.0.reset();
        self.0.set_length(steps);
        self.0.set_message(what);
    }

    fn reach(&self, step: u64) {
        self.0.set_position(step);
    }

    fn found(&self, finding: &Finding) {
        self.0.suspend(|| out::tell(finding));
    }
}
