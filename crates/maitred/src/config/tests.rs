//! Where settings come from, which one wins, and what is refused.

use clap::{CommandFactory, Parser};

use super::*;

const DEFAULTS: &str = include_str!("../../maitred.default.toml");

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    flags: Flags,
}

fn flags(arguments: &[&str]) -> Flags {
    let arguments = std::iter::once("maitred").chain(arguments.iter().copied());
    Program::try_parse_from(arguments).expect("arguments that can be read").flags
}

/// A file with this content, for as long as the value lives.
struct Written(PathBuf);

impl Written {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("maitred-config-{name}-{}.toml", std::process::id()));
        std::fs::write(&path, text).expect("the temporary folder takes files");
        Written(path)
    }

    fn load(&self, arguments: &[&str]) -> Result<Config, ConfigError> {
        Config::load(Flags { config: Some(self.0.clone()), ..flags(arguments) })
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0); // left behind at worst
    }
}

#[test]
fn the_default_file_says_what_is_built_in() {
    assert_eq!(Written::new("defaults", DEFAULTS).load(&[]).unwrap(), Config::default());
}

/// The keys of a section's layer, as serde names them.
fn keys() -> Vec<String> {
    let value: toml::Table = DEFAULTS.parse().expect("TOML");
    let mut keys = Vec::new();
    for (section, table) in &value {
        keys.extend(table.as_table().expect("a section").keys().map(|key| format!("{section}.{key}")));
    }
    keys
}

#[test]
fn the_default_file_has_every_setting_with_its_flag_and_variable_and_the_help_its_value() {
    let command = Program::command();
    let settings: Vec<_> = command
        .get_arguments()
        .filter(|argument| !["config", "help"].contains(&argument.get_id().as_str()))
        .collect();
    assert_eq!(keys().len(), settings.len(), "a setting is in one and not in the other");
    for argument in settings {
        let flag = argument.get_long().expect("a flag");
        let variable = argument.get_env().and_then(|name| name.to_str()).expect("a variable");
        let named = format!("(--{flag}, {variable})");
        let comments: String = DEFAULTS.replace("\n# (", " (");
        assert!(comments.contains(&named), "the file does not name {named}");

        let value = comments
            .split_once(&named)
            .and_then(|(_, rest)| rest.split_once(" = "))
            .and_then(|(_, rest)| rest.lines().next())
            .expect("a value")
            .trim_matches('"');
        let help = argument.get_help().expect("help").to_string();
        assert!(help.contains(&format!("[default: {value}]")), "--{flag}: {help}");
    }
}

#[test]
fn a_flag_goes_before_the_file_and_that_before_the_default() {
    let file =
        Written::new("precedence", "[log]\nlevel = \"warn\"\nformat = \"json\"\n[server]\nauth = true\n");
    let config = file.load(&["--log-level", "debug"]).unwrap();
    assert_eq!((config.log.level.as_str(), config.log.format), ("debug", LogFormat::Json));
    assert!(config.server.auth);
    assert_eq!(config.limits, Limits::default());
    assert!(!file.load(&["--auth=false"]).unwrap().server.auth);
}

fn refused(text: &str) -> String {
    Written::new("refused", text).load(&[]).expect_err(text).to_string()
}

#[test]
fn what_cannot_be_is_refused_and_the_key_is_named() {
    for (text, said) in [
        ("[log]\nlevle = \"info\"", "log.levle: "),
        ("[log]\nlevle = \"info\"", "unknown field `levle`, expected `format` or `level`"),
        ("[lgo]\n", "unknown field `lgo`"),
        ("listen = \"127.0.0.1:80\"", "unknown field `listen`"),
        ("[limits]\n\nrequest_seconds = \"ten\"", "limits.request_seconds: "),
        ("[limits]\nrequest_seconds = 0", "limits.request_seconds: 0 is not between 1 and 86400"),
        ("[limits]\nheader_bytes = 4096", "limits.header_bytes: 4096 is not between 8192 and 1048576"),
        ("[limits]\nconnections = 0", "limits.connections: 0 is not between 1 and 1048576"),
        ("[limits]\ndrain_seconds = 86401", "limits.drain_seconds: 86401 is not between 0 and 86400"),
        (
            "[storage]\noverlay_bytes = 1048576",
            "storage.overlay_bytes: 1048576 is not between 33554432 and 68719476736; choose a value in this range",
        ),
        ("[rates]\nkey_per_minute = 6000001", "rates.key_per_minute: 6000001 is not between 0 and 6000000"),
        ("[server]\ntrusted_proxies = [\"10.0.0.1/8\"]", "write 10.0.0.0/8, or 10.0.0.1 alone"),
        ("[server]\nproxy_header = \"via\"", "server.proxy_header: "),
        ("[server]\nlisten = \"local host\"", "server.listen: "),
        ("[server]\nlisten = \"0.0.0.0:80\"", "server.listen: 0.0.0.0:80 is not a loopback address"),
        ("[server]\ndefault_tenant = \" \"", "server.default_tenant: "),
        ("[storage]\nsegment_bytes = 100000", "storage.segment_bytes: 100000 is not a multiple of 4096"),
        ("[log]\nlevel = \"a=b=c\"", "log.level: "),
        ("[log", "line 1"),
    ] {
        let error = refused(text);
        assert!(error.contains(said), "{text:?}: {error}");
    }
    let missing = Config::load(flags(&["--config", "/nowhere/maitred.toml"])).unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/maitred.toml: "), "{missing}");
}

#[test]
fn any_address_is_taken_with_authentication() {
    let config = Config::load(flags(&["--listen", "0.0.0.0:80", "--auth"])).unwrap();
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:80");
    assert!(Config::load(flags(&["--listen", "[::1]:80"])).is_ok());
}

#[test]
fn the_secrets_of_tokens_come_from_a_file_or_a_variable_and_are_not_shown() {
    let long = "0123456789abcdef0123456789abcdef";
    let file = Written::new("token-secret", &format!("{long}\n"));
    let path = file.0.display().to_string();
    let tokens = |arguments: &[&str]| Config::load(flags(arguments)).expect("settings that can be").tokens;
    let variable = |name: &'static str, value: &'static str| {
        move |asked: &str| (asked == name).then(|| value.to_owned())
    };
    let none = |_: &str| None;
    assert_eq!(tokens(&[]).secrets_with(none).unwrap(), TokenSecrets::default());
    let by_file = tokens(&["--token-secret-file", &path]).secrets_with(none).unwrap();
    let by_variable = tokens(&[]).secrets_with(variable(tokens::SECRET_VARIABLE, long)).unwrap();
    assert!(by_file.current.is_some() && by_file.previous.is_none());
    assert_eq!(by_file, by_variable, "the end of the file's line is no part of the secret");
    let before = tokens(&["--token-previous-secret-file", &path]).secrets_with(none).unwrap();
    assert_eq!((before.current, before.previous), (None, by_file.current));
    assert_eq!(format!("{by_file:?}"), "TokenSecrets(…)");

    for (arguments, value, said) in [
        (&["--token-secret-file", &path][..], long, "given twice"),
        (&[], "too short", "has 9 bytes; it needs at least 32"),
        (&["--token-secret-file", "/nowhere/secret"], "", "/nowhere/secret: "),
    ] {
        let refused = tokens(arguments).secrets_with(variable(tokens::SECRET_VARIABLE, value));
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(said) && !error.contains("too short"), "{error}");
    }
}

#[test]
fn no_two_settings_have_one_name() {
    let command = Program::command();
    let mut names: Vec<_> = command.get_arguments().map(|argument| argument.get_id().clone()).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(
        names.len(),
        all,
        "clap knows settings by their names alone, whatever their section: {names:?}"
    );
}
