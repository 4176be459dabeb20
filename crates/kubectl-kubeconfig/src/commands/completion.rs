//! `completion`: scripts for shells, and what kubectl asks when somebody presses TAB behind
//! `kubectl kubeconfig`.

use anyhow::Result;
use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};

use super::print;
use crate::args::{Args, CompletionArgs, CompletionFor};

/// kubectl runs a program of this name in PATH, with the words behind the name of the plugin.
const FOR_KUBECTL: &str = "\
#!/bin/sh
# Completion of `kubectl kubeconfig`. Put this into your PATH, executable, as kubectl_complete-kubeconfig.
exec kubectl-kubeconfig __complete \"$@\"
";

/// Cobra's word for: these are all, do not offer files. (`ShellCompDirectiveNoFileComp`)
const NO_FILES: &str = ":4\n";

/// Cobra's word for: offer files. (`ShellCompDirectiveDefault`)
const FILES: &str = ":0\n";

/// `completion`.
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

/// `__complete`: what can follow these words, the last of which is unfinished.
pub(crate) fn complete(words: &[String]) -> Result<()> {
    print(&candidates(words))
}

fn candidates(words: &[String]) -> String {
    let Some((unfinished, words)) = words.split_last() else {
        return NO_FILES.to_owned();
    };
    let root = Args::command();
    let command = words.iter().fold(&root, |command, word| {
        command.find_subcommand(word).unwrap_or(command)
    });
    let mut lines = subcommands(command);
    if unfinished.starts_with('-') {
        lines = flags(command);
    }
    lines.retain(|line| line.starts_with(unfinished.as_str()));
    let directive = match unfinished.starts_with('-') || command.has_subcommands() {
        true => NO_FILES,
        false => FILES,
    };
    lines.concat() + directive
}

fn subcommands(command: &Command) -> Vec<String> {
    let shown = command.get_subcommands().filter(|it| !it.is_hide_set());
    shown
        .map(|it| line(it.get_name(), it.get_about()))
        .collect()
}

fn flags(command: &Command) -> Vec<String> {
    let shown = command.get_arguments().filter(|it| !it.is_hide_set());
    let named = shown.filter_map(|it| Some((it, it.get_long()?)));
    named
        .map(|(it, long)| line(&format!("--{long}"), it.get_help()))
        .collect()
}

/// A candidate, and behind a tab what it is.
fn line(name: &str, about: Option<&clap::builder::StyledStr>) -> String {
    let about = about.map(ToString::to_string).unwrap_or_default();
    let about = about.lines().next().unwrap_or_default();
    format!("{name}\t{}\n", about.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[&str], expected: &str) {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        assert_eq!(candidates(&words), expected);
    }

    #[test]
    fn a_tab_offers_what_can_follow() {
        check(&[], ":4\n");
        check(
            &["log"],
            "login\tLogs in at a server, and keeps the login for `credential` and the other commands\n\
                         logout\tForgets logins, and takes back the credentials that they were exchanged for\n:4\n",
        );
        check(&["logout", "--a"], "--all\tLog out everywhere\n:4\n");
        check(&["merge", ""], ":0\n");
        check(&["nothing", "x"], ":4\n");
    }
}
