//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

/// Measures the server, and compares each figure with its limit on this machine.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Options {
    /// Seconds for each measurement, and as many for its limit
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,

    /// Records in the store while reads are measured
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..))]
    records: u32,

    /// Watchers of the fan-out
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    watchers: u32,

    /// Measure only these groups, separated by commas; by default all but attacks
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    only: Vec<Group>,

    /// Run only attacks whose name contains this text
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) attack: String,

    /// Exit with 1 if a figure is below its floor
    #[arg(long)]
    pub(crate) gate: bool,

    /// The program of the server; by default the one in the folder of this program
    #[arg(long, value_name = "FILE")]
    pub(crate) server: Option<PathBuf>,

    /// Folder for the data, on the disk to be measured; by default the folder of this program,
    /// because the system's temporary folder may be in memory
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,

    /// The kubectl whose proxy is compared with the gateway
    #[arg(long, value_name = "FILE", default_value = "kubectl")]
    pub(crate) kubectl: PathBuf,

    #[command(subcommand)]
    pub(crate) mode: Option<Mode>,
}

/// Quantities that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// Creates by one client and by many
    Create,
    /// Creates of files with many clusters
    Files,
    /// Lists and creates by users whose access comes from grants
    Grants,
    /// Gets of single records
    Get,
    /// Lists of all records, in each form, and of few
    List,
    /// The fan-out to many watchers
    Watch,
    /// Cold starts, and memory after them
    Start,
    /// Reviews of tokens for a cluster
    Review,
    /// The gateway compared with other proxies
    Gateway,
    /// Creates with records in etcd, compared with raw puts
    Etcd,
    /// Requests through a kube-apiserver, compared with a custom resource
    Aggregated,
    /// Honest users during attacks, compared with those of a kube-apiserver; takes some minutes
    /// more
    Attacks,
}

/// The modes of this program other than the bench.
#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// The bare server that limits are measured with; the bench starts it by itself
    #[command(hide = true)]
    Bare {
        /// Folder for its certificate and its log of durable writes
        #[arg(long)]
        folder: PathBuf,
    },
    /// One attack on a server; the bench starts it by itself
    #[command(hide = true)]
    Attack,
}

impl Options {
    /// Returns the measuring time of one quantity.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// Returns the number of records that exist while reads are measured.
    pub(crate) fn records(&self) -> usize {
        self.records as usize
    }

    /// Returns whether a group is to be measured.
    pub(crate) fn wants(&self, group: Group) -> bool {
        let by_default = self.only.is_empty() && group != Group::Attacks;
        by_default || self.only.contains(&group)
    }

    /// Returns whether no other group is to be measured.
    pub(crate) fn wants_only(&self, group: Group) -> bool {
        self.only == [group]
    }

    /// Returns the number of watchers of the fan-out.
    pub(crate) fn watchers(&self) -> usize {
        self.watchers as usize
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("must be a number from 0.1 to 3600".into()),
    }
}
