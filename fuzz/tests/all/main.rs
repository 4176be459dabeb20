//! Every parser that reads from outside, one target each. Those of private parts are with the tests of their crates.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod certificates;
mod client_hello;
mod credentials;
mod documents;
mod jwt;
mod managed_fields;
mod patches;
mod requests;
mod selectors;

/// The outcome of a parser: an error by the beginning of its text without digits, which would make every input a new one.
fn outcome<T, E: std::fmt::Display>(result: &Result<T, E>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => {
            let text = error.to_string();
            text.chars()
                .filter(|it| !it.is_ascii_digit())
                .take(60)
                .collect()
        }
    }
}
