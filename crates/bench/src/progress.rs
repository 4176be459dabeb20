//! Progress messages, on standard error; standard output is for the table.

/// Prints the current measurement.
#[expect(
    clippy::print_stderr,
    reason = "telling the one who waits is its purpose"
)]
pub(crate) fn say(what: &str) {
    eprintln!("bench: {what}");
}
