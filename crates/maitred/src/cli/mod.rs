//! The commands of `maitred`: one file each, which parses, does, and answers.

pub mod check;
mod client;
pub mod clock;
pub mod completions;
pub mod export;
pub mod failure;
pub mod feed_server;
pub mod generate;
pub mod import;
pub mod keys;
pub mod load;
mod logging;
pub mod openapi;
mod out;
mod place;
mod progress;
pub mod project;
pub mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The booking engine: gives out what is scarce, exactly once
#[derive(Debug, Parser)]
#[command(name = "maitred", version, arg_required_else_help = true, after_help = failure::EXIT_STATUSES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(Box<serve::Serve>),
    /// Verify the data of a stopped server, and say in words what was found
    Check(check::Check),
    /// Write a tenant, with all of its history, as lines of JSON
    Export(export::Export),
    /// Take lines of an export over
    Import(import::Import),
    /// Keep tables in PostgreSQL up with a running server, for people with SQL tools
    Project(Box<project::Project>),
    /// Make test data
    #[command(subcommand)]
    Generate(generate::Generate),
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Confirm the clock of a running server
    #[command(subcommand)]
    Clock(clock::Clock),
    /// Print the OpenAPI document
    Openapi(openapi::OpenApi),
    /// Serve made-up feeds of events, and let them fail
    FeedServer(feed_server::FeedServerCommand),
    /// Measure a running server, fill it, or check what it has kept
    #[command(subcommand)]
    Load(Box<load::LoadCommand>),
    /// Print a script that completes commands and options in a shell
    Completions(completions::Completions),
}

/// Runs the command that the arguments name.
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Check(check) => check.run(),
        Command::Export(export) => export.run(),
        Command::Import(import) => import.run(),
        Command::Project(project) => project.run(),
        Command::Generate(generate) => generate.run(),
        Command::Keys(keys) => keys.run(),
        Command::Clock(clock) => clock.run(),
        Command::Openapi(openapi) => openapi.run(),
        Command::FeedServer(feed_server) => feed_server.run(),
        Command::Load(load) => Ok(load::run(&load)),
        Command::Completions(completions) => completions.run(),
    };
    done.unwrap_or_else(|failure| failure.report())
}
