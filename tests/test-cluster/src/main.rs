//! Runs a real cluster until its standard input ends, for the tour of `make run` and for manual
//! experiments:
//!
//! ```sh
//! cargo run -p test-cluster
//! ```
//!
//! It prints the path of the administrator's kubeconfig and stores everything in a temporary
//! folder.

#![expect(clippy::print_stdout, reason = "the path is what this program is for")]

use std::io::{Read, stdin};

use test_cluster::{Options, TestCluster};

fn main() -> anyhow::Result<()> {
    let cluster = TestCluster::start(&Options::default())?;
    println!("{}", cluster.admin_kubeconfig().display());
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
