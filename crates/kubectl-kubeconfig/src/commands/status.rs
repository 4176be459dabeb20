//! `status`: the logins of the user, and how the contexts of their files stand.

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
    let mut logins = vec![vec![
        "SERVER".to_owned(),
        "ACCOUNT".to_owned(),
        "LOGIN".to_owned(),
    ]];
    logins.extend(sessions.iter().map(|it| {
        vec![
            it.server.to_string(),
            it.account.clone(),
            it.means.name().to_owned(),
        ]
    }));
    match sessions.is_empty() {
        true => say::line("You are not logged in at any server."),
        false => print(&columns(&logins))?,
    }
    let loaded = Files::new(args.kubeconfig.as_deref(), environment)?.load()?;
    let view = View::new(&loaded);
    let heading = [
        "CURRENT",
        "CONTEXT",
        "KUBECONFIG",
        "SERVER",
        "EXPIRES",
        "STATE",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let mut standings = Standings::new(&folder, clock);
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
        let cells = [
            mark,
            context,
            &origin.kubeconfig,
            &origin.server,
            &expires,
            state,
        ];
        rows.push(cells.map(str::to_owned).to_vec());
    }
    if rows.len() > 1 {
        print(&format!("\n{}", columns(&rows)))?;
    }
    for why in unknown {
        say::line(format_args!("Unknown: {why}."));
    }
    Ok(())
}
