//! The command line as people type it, and what it says to a kernel.

mod kernel;

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};

use super::*;

/// Reads a line as a shell would, without quoting.
fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_command_line_is_sound_and_every_command_says_what_it_does() {
    fn walk(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        assert!(
            command.get_about().is_some(),
            "{path} says nothing about itself"
        );
        for argument in command.get_arguments().filter(|one| !one.is_hide_set()) {
            assert!(
                argument.get_help().is_some(),
                "{path}: {}",
                argument.get_id()
            );
        }
        command.get_subcommands().for_each(|one| walk(one, &path));
    }
    let mut command = Cli::command();
    command.clone().debug_assert();
    command.build();
    command
        .get_subcommands()
        .filter(|one| one.get_name() != "help")
        .for_each(|one| walk(one, ""));
}

#[test]
fn the_top_level_names_the_commands_there_are() {
    let mut command = Cli::command();
    let shown: Vec<&str> = command
        .get_subcommands()
        .filter(|one| !one.is_hide_set())
        .map(clap::Command::get_name)
        .filter(|name| *name != "dev")
        .collect();
    assert_eq!(
        shown,
        [
            "init",
            "serve",
            "config",
            "status",
            "tenant",
            "token",
            "runtime",
            "grant",
            "provider",
            "key",
            "license",
            "audit",
            "backup",
            "store",
            "connector"
        ]
    );
    // The developer's mode is a feature; everything else is the same with and without it.
    let help = command.render_help().to_string();
    let help: Vec<&str> = help
        .lines()
        .filter(|line| !line.starts_with("  dev "))
        .collect();
    assert_eq!(help.join("\n"), include_str!("tests/help.txt").trim_end());
}

#[test]
fn what_the_issue_asks_for_can_be_typed() {
    for line in [
        "provost init --data d --name Vendor --time-zone Europe/Lisbon --output json",
        "provost serve --config f",
        "provost serve --data d",
        "provost config check --config f",
        "provost status --admin http://127.0.0.1:1 --key-file f",
        "provost tenant create Acme --type company --security-level enterprise --operator T",
        "provost tenant list --limit 5 --output json",
        "provost tenant show T",
        "provost tenant suspend T --reason unpaid",
        "provost tenant resume T",
        "provost tenant attach T R",
        "provost tenant detach T R",
        "provost token create T --type app --mode on_prem --uses 2 --ttl 24h --out f",
        "provost token list T",
        "provost token revoke T T",
        "provost runtime list T",
        "provost runtime show T R",
        "provost runtime suspend T R --reason r",
        "provost runtime resume T R",
        "provost runtime kill T R --reason r",
        "provost runtime limit T R a.b:c --limit 10 --until 2027-01-01T00:00:00Z --reason r",
        "provost runtime limit T R a.b --limit false --until 2027-01-01T00:00:00Z",
        "provost runtime unlimit T R a.b:c",
        "provost runtime resolve-clone T R --reason r",
        "provost runtime allow-recovery T R --reason r",
        "provost runtime revoke T R",
        "provost runtime revoke T R --serial 0f --reason r",
        "provost runtime revoke-all T --reason r",
        "provost key list",
        "provost key rotate ca --status --limit 5 --output json",
        "provost key rotate ca --prepare",
        "provost key rotate ca --activate --force",
        "provost key rotate ca --retire --force --admin http://127.0.0.1:1 --key-file k",
        "provost key rotate ca --abort",
        "provost grant set T a.b:c --limit 10 --window month --mode warn --until 2027-01-01T00:00:00Z",
        "provost grant set T a --limit unlimited --runtime R --idempotency-key k",
        "provost grant list T",
        "provost grant remove T a.b --runtime R",
        "provost provider add T --issuer i --audience a --jwks-url u --require org=acme --individuals",
        "provost provider add T --issuer i --audience a --jwks f --algorithm ES256 --algorithm EdDSA",
        "provost provider list T",
        "provost provider remove T T",
        "provost license show T R",
        "provost license show --file f",
        "provost license verify f --key k --key l --cnf C --now 2027-01-01T00:00:00Z --highest 1.7",
        "provost audit tail T -n 5 --follow",
        "provost audit query T --type a.b --actor u --runtime R --correlation R --since 24h",
        "provost audit query T --since 2027-01-01T00:00:00Z --until 1h --limit 5 --output json",
        "provost audit query T --all --admin http://127.0.0.1:1 --key-file f",
        "provost audit prove T 7 --out d",
        "provost audit verify --proof p --leaf l --key f",
        "provost audit verify --proof p --leaf l --vkey k --output json",
        "provost audit verify --export d",
        "provost audit verify --export d --key f",
        "provost backup create --data d --to f --output json",
        "provost backup create --config f --to f",
        "provost backup verify f",
        "provost backup restore f --to d --expect-install 01890a5d-ac96-774b-bcce-b302099a8057",
        "provost backup restore f --to d --expect-config f",
        "provost store rebuild --data d",
        "provost store rebuild --config f",
        "provost audit verify --data d --output json",
        "provost audit export T --out d",
        "provost connector run --data d",
    ] {
        let line = line
            .replace(" T", &format!(" {ID}"))
            .replace(" R", &format!(" {ID}"));
        let line = line.replace(" C ", &format!(" {} ", "ab".repeat(32)));
        parse(&line).unwrap_or_else(|error| panic!("{line}\n{error}"));
    }
}

#[test]
fn what_cannot_be_meant_is_a_mistake_of_usage() {
    for (line, kind) in [
        (
            "provost",
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
        ),
        ("provost top", ErrorKind::InvalidSubcommand),
        ("provost init", ErrorKind::MissingRequiredArgument),
        (
            "provost serve --config f --data d",
            ErrorKind::ArgumentConflict,
        ),
        ("provost tenant show 1", ErrorKind::ValueValidation),
        (
            "provost tenant create A --type guild",
            ErrorKind::InvalidValue,
        ),
        ("provost tenant list --limit 0", ErrorKind::ValueValidation),
        (
            "provost tenant list --key pvk_x",
            ErrorKind::UnknownArgument,
        ),
        (
            "provost token create T --type app",
            ErrorKind::MissingRequiredArgument,
        ),
        (
            "provost token create T --type app --mode shared --ttl 1w",
            ErrorKind::ValueValidation,
        ),
        ("provost grant set T a..b", ErrorKind::ValueValidation),
        (
            "provost grant set T a --limit 1.5",
            ErrorKind::ValueValidation,
        ),
        (
            "provost grant set T a --window fortnight",
            ErrorKind::ValueValidation,
        ),
        (
            "provost provider add T --issuer i --audience a",
            ErrorKind::MissingRequiredArgument,
        ),
        (
            "provost license verify f",
            ErrorKind::MissingRequiredArgument,
        ),
        (
            "provost license verify f --key k --cnf ab",
            ErrorKind::ValueValidation,
        ),
        (
            "provost audit query T --limit 0",
            ErrorKind::ValueValidation,
        ),
        (
            "provost audit query T --since yesterday",
            ErrorKind::ValueValidation,
        ),
        (
            "provost audit query T --all --limit 5",
            ErrorKind::ArgumentConflict,
        ),
        (
            "provost audit prove T 0 --out d",
            ErrorKind::ValueValidation,
        ),
        (
            "provost audit prove T 1",
            ErrorKind::MissingRequiredArgument,
        ),
        ("provost audit verify", ErrorKind::MissingRequiredArgument),
        (
            "provost audit verify --data d --key f",
            ErrorKind::ArgumentConflict,
        ),
        (
            "provost audit verify --proof p --leaf l",
            ErrorKind::MissingRequiredArgument,
        ),
        (
            "provost audit verify --proof p --leaf l --key f --vkey k",
            ErrorKind::ArgumentConflict,
        ),
        (
            "provost audit verify --proof p --leaf l --key f --export d",
            ErrorKind::ArgumentConflict,
        ),
        ("provost license show", ErrorKind::MissingRequiredArgument),
        (
            "provost license show T --file f",
            ErrorKind::ArgumentConflict,
        ),
    ] {
        let line = line.replace(" T", &format!(" {ID}"));
        let error = parse(&line).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), kind, "{line}");
        if kind != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}

#[test]
fn every_command_has_an_example_and_every_example_can_be_typed() {
    let page = include_str!("../../docs/cli.md");
    let joined = page.replace("\\\n", " ");
    let examples: Vec<&str> = joined
        .lines()
        .filter(|line| line.starts_with("provost "))
        .flat_map(|line| line.split(" | "))
        .collect();
    let mut typed = Vec::new();
    for example in examples {
        let example = example.split(" < ").next().unwrap_or_default();
        let digest = "ab".repeat(32);
        let words = example.split('"').enumerate().flat_map(|(index, part)| {
            // What stands between quotes is one word; a variable is an id or a digest.
            let word = match part {
                "$CNF" | "$LICENSE_KEY" => digest.as_str(),
                variable if variable.starts_with('$') => ID,
                plain => plain,
            };
            if index % 2 == 1 {
                vec![word]
            } else {
                word.split_whitespace().collect()
            }
        });
        if let Err(error) = Cli::try_parse_from(words) {
            panic!("{example}\n{error}");
        }
        typed.push(example.to_owned());
    }
    let mut command = Cli::command();
    command.build();
    for group in command
        .get_subcommands()
        .filter(|one| !one.is_hide_set() && one.get_name() != "help")
    {
        let mut paths: Vec<String> = group
            .get_subcommands()
            .filter(|one| one.get_name() != "help")
            .map(|one| format!("provost {} {}", group.get_name(), one.get_name()))
            .collect();
        if paths.is_empty() {
            paths.push(format!("provost {}", group.get_name()));
        }
        for path in paths.into_iter().filter(|path| path != "provost dev") {
            assert!(
                typed.iter().any(|one| one.starts_with(&path)),
                "no example of {path}"
            );
        }
    }
}

/// Some UUID of version 7.
const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
