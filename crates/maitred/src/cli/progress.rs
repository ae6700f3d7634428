//! How far a command is, on a terminal: a bar with the rate and the time left. Elsewhere nothing is shown.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often the bar is drawn at least, so that a command that waits is seen to be alive.
const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// A bar on standard error, which is taken away when it is dropped.
#[derive(Debug)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// A bar of so many things.
    pub(super) fn new(whole: u64, things: &str) -> Self {
        Bar::with_template(
            whole,
            &format!("[{{bar:30}}] {{percent:>3}} %  {{human_pos}} {things}  {{per_sec}}  {{eta}} left"),
        )
    }

    /// A bar of so many bytes, with a message behind it. Without their number it only turns.
    pub(super) fn of_bytes(whole: Option<u64>) -> Self {
        match whole {
            Some(whole) => Bar::with_template(
                whole,
                "[{bar:30}] {percent:>3} %  {bytes} of {total_bytes}  {msg}  {eta} left",
            ),
            None => Bar::with_template(0, "{spinner} {bytes}  {msg}"),
        }
    }

    fn with_template(whole: u64, template: &str) -> Self {
        let bar = ProgressBar::new(whole);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(DRAWN_EVERY);
        Bar(bar)
    }

    /// So many more are done.
    pub(super) fn advance(&self, count: u64) {
        self.0.inc(count);
    }

    /// So many are done.
    pub(super) fn reach(&self, count: u64) {
        self.0.set_position(count);
    }

    /// Says something behind the bar.
    pub(super) fn say(&self, message: String) {
        self.0.set_message(message);
    }

    /// How long it has been there.
    pub(super) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
