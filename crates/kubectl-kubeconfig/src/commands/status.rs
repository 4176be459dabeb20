//! `status`: prints the logins of the user and the state of the contexts in the user's files.

use std::collections::BTreeSet;

use anyhow::Result;
use machinery::time::Clock;

use super::print;
use crate::args::StatusArgs;
use crate::columns::columns;
use crate::environment::Environment;
use crate::files::Files;
use crate::files::origin::View;
use crate::folder::Folder;
use crate::session::Session;
use crate::standing::{Standing, Standings};
use crate::{record, say, session};

/// Runs the command.
pub(crate) async fn run(
    args: &StatusArgs,
    environment: &Environment,
    clock: &dyn Clock,
) -> Result<()> {
    let folder = Folder::open(environment.folder()?)?;
    let sessions = session::all(&folder)?;
    match sessions.is_empty() {
        true => say::line("You are not logged in at any server."),
        false => print(&columns(&logins(&sessions)))?,
    }
    let loaded = Files::new(args.kubeconfig.as_deref(), environment)?.load()?;
    let contexts = contexts(&View::new(&loaded), &folder, clock).await;
    match contexts.len() {
        ..=1 => Ok(()),
        _ => print(&format!("\n{}", columns(&contexts))),
    }
}

fn logins(sessions: &[Session]) -> Vec<Vec<String>> {
    let mut rows = vec![row(["SERVER", "ACCOUNT", "LOGIN"])];
    let login = |it: &Session| row([it.server.as_str(), &it.account, it.means.name()]);
    rows.extend(sessions.iter().map(login));
    rows
}

/// Returns a heading and a row for each context of a record. Prints each reason for an unknown
/// state to stderr, once.
async fn contexts(view: &View<'_>, folder: &Folder, clock: &dyn Clock) -> Vec<Vec<String>> {
    let heading = [
        "CURRENT",
        "CONTEXT",
        "KUBECONFIG",
        "SERVER",
        "EXPIRES",
        "STATE",
    ];
    let mut rows = vec![row(heading)];
    let mut standings = Standings::new(folder, clock);
    let mut unknown = BTreeSet::new();
    let now = clock.now();
    for (context, origin) in view.origins() {
        let (expires, state) = match standings.of(&origin).await {
            Standing::There(it) => (record::expires(&it, now), record::state(&it, now)),
            Standing::Gone => (String::new(), "Gone"),
            Standing::Unknown(why) => {
                unknown.insert(why);
                (String::new(), "Unknown")
            }
        };
        let is_current = view.current_context() == Some(context);
        let mark = if is_current { "*" } else { "" };
        rows.push(row([
            mark,
            context,
            &origin.kubeconfig,
            &origin.server,
            &expires,
            state,
        ]));
    }
    for why in unknown {
        say::line(format_args!("Unknown: {why}."));
    }
    rows
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}
