//! Tests of the running program: the real server, a real kubectl, real files.
//!
//! [`Server`] starts the program in standalone mode on a free port with a data folder of its own,
//! and can kill, terminate and restart it. [`Host`] starts replicas of it in aggregated mode behind
//! a real kube-apiserver; a [`Site`] is either of them, as seen by its users. [`Kubectl`] runs the
//! pinned kubectl against it, [`Helm`] the pinned helm on the chart. A [`Transcript`] is a text
//! file of shell commands and their output, as a user would see them; the test replays the commands
//! and compares the output, and `TRANSCRIPTS=overwrite` updates the file.
//!
//! Each test has its own server, home folder and port, so that all tests can run concurrently.
//! There are no sleeps: [`poll::until`] polls until a deadline.
//!
//! The environment, each optional:
//! * `KUBECTL`: the kubectl to use; else `hack/tools.sh` builds the pinned one.
//! * `KUBECONFIG_APISERVER`: the server to test; else cargo builds it in the profile of the test.
//! * `KUBECTL_KUBECONFIG`: the plugin to test; else cargo builds it likewise.
//! * `TEST_CLUSTER`: the program that runs a real cluster for the tour; else cargo builds it likewise.
//! * `FLUNDERS`: the example server to test; else cargo builds it likewise.
//! * `HISTORIES_MINUTES`: the duration of each test of histories; else twenty seconds.
//! * `HISTORIES_SEED`: the seed for the requests of its clients; else random.
//! * `TRANSCRIPTS`: `overwrite` writes the files instead of comparing.

pub mod client_go;
pub mod faults;
pub mod fixture;
pub mod flunders;
pub mod helm;
pub mod host;
pub mod kubectl;
pub mod oidc_provider;
pub mod program;
pub mod server;
pub mod shell;
pub mod site;
pub mod tour;
pub mod transcript;

mod certificate;
mod process;
mod programs;

pub use client_go::ClientGo;
pub use faults::Faults;
pub use flunders::Flunders;
pub use helm::Helm;
pub use host::{Host, HostOptions};
pub use kubectl::Kubectl;
pub use oidc_provider::OidcProvider;
pub use server::Server;
pub use shell::Shell;
pub use site::Site;
pub use test_cluster::http::{self, Client};
pub use test_cluster::poll;
pub use tour::Tour;
pub use transcript::Transcript;
