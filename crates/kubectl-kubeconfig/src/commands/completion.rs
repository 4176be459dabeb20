//! `completion`: completion scripts for shells, and the candidates that kubectl requests after TAB
//! in `kubectl kubeconfig`.

use std::collections::BTreeSet;

use anyhow::Result;
use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory, ValueHint};
use clap_complete::{Shell, generate};
use machinery::time::Clock;

use super::print;
use crate::access::Access;
use crate::args::{Args, CompletionArgs, CompletionFor, ServerArgs};
use crate::environment::Environment;
use crate::files::{Files, Section};
use crate::record;
use crate::say::printable;

/// The script for kubectl, which runs a program of this name in PATH with the words after the name
/// of the plugin.
const FOR_KUBECTL: &str = "\
#!/bin/sh
# Completion of `kubectl kubeconfig`. Put this into your PATH, executable, as kubectl_complete-kubeconfig.
exec kubectl-kubeconfig __complete \"$@\"
";

/// Cobra's directive for a complete list, after which the shell offers no files
/// (`ShellCompDirectiveNoFileComp`).
const NO_FILES: &str = ":4\n";

/// Cobra's directive for offering files (`ShellCompDirectiveDefault`).
const FILES: &str = ":0\n";

/// Runs `completion`.
pub(crate) fn run(args: &CompletionArgs) -> Result<()> {
    let shell = match args.shell {
        CompletionFor::Bash => Shell::Bash,
        CompletionFor::Fish => Shell::Fish,
        CompletionFor::Zsh => Shell::Zsh,
        CompletionFor::Kubectl => return print(FOR_KUBECTL),
    };
    let mut script = Vec::new();
    generate(
        shell,
        &mut Args::command(),
        "kubectl-kubeconfig",
        &mut script,
    );
    print(&String::from_utf8_lossy(&script))
}

/// Runs `__complete`: prints the candidates for the last of `words`, which is unfinished.
pub(crate) async fn complete(
    words: &[String],
    environment: &Environment,
    clock: &dyn Clock,
) -> Result<()> {
    let root = Args::command();
    let offer = Offer::new(&root, words);
    let mut lines = match offer.wanted {
        Wanted::Lines(lines) => lines,
        Wanted::Contexts => contexts(environment).unwrap_or_default(),
        Wanted::Records => records(environment, clock).await.unwrap_or_default(),
        Wanted::Files => return print(FILES),
    };
    lines.retain(|line| line.starts_with(offer.typed));
    print(&(lines.concat() + NO_FILES))
}

/// The kind of candidates for the word at the cursor.
#[derive(Debug, PartialEq, Eq)]
struct Offer<'a> {
    wanted: Wanted,
    /// The prefix of the candidates.
    typed: &'a str,
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Lines(Vec<String>),
    Contexts,
    Records,
    Files,
}

impl<'a> Offer<'a> {
    fn new(root: &Command, words: &'a [String]) -> Self {
        let Some((unfinished, before)) = words.split_last() else {
            return Self {
                wanted: Wanted::Lines(subcommands(root)),
                typed: "",
            };
        };
        let command = before.iter().fold(root, |command, word| {
            command.find_subcommand(word).unwrap_or(command)
        });
        if let Some((flag, typed)) = unfinished.split_once('=') {
            let wanted = flag_of(command, flag).map_or(Wanted::Lines(Vec::new()), value);
            return Self { wanted, typed };
        }
        let flag = before.last().and_then(|word| flag_of(command, word));
        let takes_next =
            |flag: &&Arg| flag.get_action().takes_values() && !flag.is_require_equals_set();
        let wanted = match flag.filter(takes_next) {
            Some(flag) => value(flag),
            None if unfinished.starts_with('-') => Wanted::Lines(flags(command)),
            None if command.has_subcommands() => Wanted::Lines(subcommands(command)),
            None => positional(command),
        };
        Self {
            wanted,
            typed: unfinished,
        }
    }
}

/// Returns the flag that `word` names.
fn flag_of<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let mut flags = command.get_arguments();
    flags.find(|flag| {
        let short = flag.get_short().map(|short| format!("-{short}"));
        let long = flag.get_long().map(|long| format!("--{long}"));
        [short, long].iter().flatten().any(|name| name == word)
    })
}

/// Returns the possible values of a flag.
fn value(flag: &Arg) -> Wanted {
    match flag.get_value_hint() {
        ValueHint::AnyPath => Wanted::Files,
        _ if ["context", "from_context"].contains(&flag.get_id().as_str()) => Wanted::Contexts,
        _ => {
            let values = flag.get_possible_values();
            let values = values
                .iter()
                .map(|it| line(it.get_name(), &told(it.get_help())));
            Wanted::Lines(values.collect())
        }
    }
}

/// Returns the possible positional arguments of a command.
fn positional(command: &Command) -> Wanted {
    match command.get_positionals().next() {
        Some(_) if command.get_name() == "delete" => Wanted::Records,
        Some(argument) => value(argument),
        None => Wanted::Lines(Vec::new()),
    }
}

fn subcommands(command: &Command) -> Vec<String> {
    let shown = command.get_subcommands().filter(|it| !it.is_hide_set());
    shown
        .map(|it| line(it.get_name(), &told(it.get_about())))
        .collect()
}

fn flags(command: &Command) -> Vec<String> {
    let shown = command.get_arguments().filter(|it| !it.is_hide_set());
    let named = shown.filter_map(|it| Some((it, it.get_long()?)));
    named
        .map(|(it, long)| line(&format!("--{long}"), &told(it.get_help())))
        .collect()
}

fn contexts(environment: &Environment) -> Result<Vec<String>> {
    let files = Files::new(None, environment)?.load()?;
    let names = files
        .iter()
        .flat_map(|file| file.document.names(Section::Contexts));
    let names: BTreeSet<&str> = names.collect();
    Ok(names.into_iter().map(|name| line(name, "")).collect())
}

/// Returns the records at the server of the current context. Never asks the user to log in.
async fn records(environment: &Environment, clock: &dyn Clock) -> Result<Vec<String>> {
    let access = Access::new(&ServerArgs::default(), environment, clock).await?;
    let records = record::all(&access).await?;
    let described = records
        .iter()
        .map(|(name, record)| line(name, &record.spec.description));
    Ok(described.collect())
}

/// Returns a candidate line: the name, a tab and the description.
fn line(name: &str, about: &str) -> String {
    let about = printable(about.lines().next().unwrap_or_default());
    let name = printable(name);
    format!("{name}\t{}\n", about.trim_end_matches('.'))
}

fn told(about: Option<&StyledStr>) -> String {
    about.map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[&str], wanted: Wanted, typed: &str) {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let expected = Offer { wanted, typed };
        assert_eq!(Offer::new(&Args::command(), &words), expected, "{words:?}");
    }

    fn names(wanted: &Wanted) -> Vec<&str> {
        match wanted {
            Wanted::Lines(lines) => lines
                .iter()
                .filter_map(|line| line.split('\t').next())
                .collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn a_tab_offers_what_can_follow() {
        let root = Args::command();
        let offer = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            let wanted = Offer::new(&root, &words).wanted;
            names(&wanted)
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let commands = [
            "credential",
            "login",
            "logout",
            "clean",
            "create",
            "list",
            "access",
            "merge",
            "prune",
            "delete",
            "status",
            "completion",
        ];
        assert_eq!(offer(&[]), commands);
        assert_eq!(offer(&["lo"]), commands);
        assert_eq!(offer(&["logout", "--"]), ["--server", "--all"]);
        let formats = ["table", "name", "json", "yaml"];
        for words in [
            &["list", "--output="][..],
            &["list", "--output", ""],
            &["list", "-o", "t"],
        ] {
            assert_eq!(offer(words), formats, "{words:?}");
        }
        assert_eq!(
            offer(&["completion", ""]),
            ["bash", "fish", "zsh", "kubectl"]
        );
    }

    #[test]
    fn files_contexts_and_records_are_looked_for() {
        let none = || Wanted::Lines(Vec::new());
        check(&["merge", "pro"], Wanted::Files, "pro");
        check(&["login", "--token-file", ""], Wanted::Files, "");
        check(&["login", "--token-file=~/t"], Wanted::Files, "~/t");
        check(&["list", "--context=pr"], Wanted::Contexts, "pr");
        check(&["list", "--context", "pr"], Wanted::Contexts, "pr");
        check(&["login", "--from-context=pr"], Wanted::Contexts, "pr");
        check(&["delete", "kubeconfig-"], Wanted::Records, "kubeconfig-");
        check(&["delete", "kubeconfig-a", ""], Wanted::Records, "");
        check(&["clean", ""], none(), "");
        check(&["login", "--server=https"], none(), "https");
        check(&["clean", "--nothing="], none(), "");
    }
}
