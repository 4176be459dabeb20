//! What is going on, on standard error; standard output is for the table.

/// Says what is measured now.
#[expect(
    clippy::print_stderr,
    reason = "telling the one who waits is its purpose"
)]
pub(crate) fn say(what: &str) {
    eprintln!("bench: {what}");
}
