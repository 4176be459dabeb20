//! Tests of the harness itself, without a server: a transcript matches the output of a shell.

use std::time::Duration;

use anyhow::bail;
use e2e::{Shell, Transcript, poll, transcript};
use snapbox::assert::Action;

/// Checks that replaying `text` gives `expected`.
#[track_caller]
fn check(text: &str, expected: &str) {
    let shell = Shell::new().unwrap();
    let replayed = Transcript::parse(text).unwrap().replay(&shell).unwrap();
    assert_eq!(replayed, expected);
}

#[track_caller]
fn check_same(text: &str) {
    check(text, text);
}

fn check_file(text: &str) -> anyhow::Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), text)?;
    transcript::compare(file.path(), &Shell::new()?, Action::Verify)
}

#[test]
fn a_true_transcript_is_replayed_as_it_is() {
    check_same("# Two commands.\n# Of a shell.\n\n$ echo one\none\n\n$ echo two\ntwo\n");
}

#[test]
fn a_false_answer_is_replaced() {
    check("$ echo one\ntwo\n", "$ echo one\none\n");
}

#[test]
fn an_exit_code_follows_the_answer() {
    check_same("$ echo no; false\nno\n[exit 1]\n");
    check_same("$ (exit 42)\n[exit 42]\n");
}

#[test]
fn both_outputs_are_in_order() {
    check_same("$ echo 1; echo 2 >&2; echo 3\n1\n2\n3\n");
}

#[test]
fn variables_functions_and_files_live_on() {
    check_same("$ x=5; twice() { echo $(($1 * 2)); }\n\n$ twice $x > out\n\n$ cat out\n10\n");
}

#[test]
fn a_command_may_have_several_lines() {
    check_same("$ echo a \\\n    b\na b\n");
    check_same("$ grep -c '' <<END; echo c\na\n\n# b\n$ x\nEND\n4\nc\n");
    check_same("$ cat <<'A' - <<B\n$x\nA\nb\nB\nb\n");
    check_same("$ cat <<< word\nword\n");
}

#[test]
fn an_answer_may_have_empty_lines_and_marks() {
    check_same("$ printf '# a\\n\\nb\\n'\n# a\n\nb\n");
    check_same("$ printf 'no end of line'\nno end of line\n");
}

#[test]
fn a_syntax_error_stays_within_its_command() {
    check_file("$ if\n<steps>/0.sh: line 2: syntax error[..]\n[exit 2]\n\n$ echo on\non\n")
        .unwrap();
}

#[test]
fn the_background_ends_with_the_transcript() {
    check_same("$ sleep 1000 & echo on\non\n");
}

#[test]
fn a_shell_that_ends_early_is_an_error() {
    let shell = Shell::new().unwrap();
    let transcript = Transcript::parse("$ echo 1\n\n$ exit\n\n$ echo 2\n").unwrap();
    let error = transcript.replay(&shell).unwrap_err();
    assert_eq!(error.to_string(), "the shell ended at command 2");
}

#[test]
fn text_before_the_first_command_must_be_prose() {
    let error = Transcript::parse("# ok\n\nhello\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "neither a command, prose nor an answer: hello"
    );
    let error = Transcript::parse("$ cat <<END\nhello\n").unwrap_err();
    assert_eq!(error.to_string(), "a here-document without END");
}

#[test]
fn a_file_is_compared_with_wildcards() {
    check_file("$ echo $RANDOM words\n[..] words\n").unwrap();
    check_file("$ seq 9\n1\n...\n9\n").unwrap();
    check_file("$ echo 'a\\b'\na/b\n").unwrap_err();
}

#[test]
fn polling_ends_with_an_answer_an_error_or_the_limit() {
    let long = Duration::from_secs(60);
    let mut asked = 0;
    let answer = poll::until("three", long, || {
        asked += 1;
        Ok((asked == 3).then_some(asked))
    });
    assert_eq!(answer.unwrap(), 3);
    let error = poll::until::<()>("never", long, || bail!("broken")).unwrap_err();
    assert_eq!(error.to_string(), "broken");
    let error = poll::until::<()>("never", Duration::ZERO, || Ok(None)).unwrap_err();
    assert_eq!(error.to_string(), "never: not so after 0ns");
}
