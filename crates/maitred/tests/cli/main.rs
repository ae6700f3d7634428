//! The program as a shell sees it: arguments, output, exit statuses, signals.

mod check;
mod clock;
mod config;
mod help;
mod keys;
mod program;
mod serve;
mod transfer;
