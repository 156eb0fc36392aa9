//! `--watch`: running again whenever something changed, by asking for lengths and times of change a few times a second.
//! That needs nothing of the file system, and the files are few.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;

use super::{RunArgs, files, once};
use crate::cli::Session;
use crate::cli::failure::{self, Exit};

/// Between two looks.
const EVERY: Duration = Duration::from_millis(200);

/// What is seen of a file: its length and when it was changed; nothing where it is not there.
type Seen = Vec<(PathBuf, Option<(u64, SystemTime)>)>;

/// Runs until Ctrl-C, and ends as the last run did.
pub(super) fn run(session: &mut Session, args: &RunArgs) -> anyhow::Result<Exit> {
    let interrupted = interruption()?;
    loop {
        // Seen before it is read: a change while it runs is not missed.
        let seen = look(args);
        let json = session.out.is_json();
        // A mistake, or a policy that does not load, is there to be mended.
        let exit = once(session, args).unwrap_or_else(|error| failure::report(&error, json));
        if exit == Exit::BrokenPipe {
            return Ok(exit);
        }
        if !json {
            session.out.line("watching for changes; Ctrl-C ends")?;
        }
        session.out.flush()?;
        loop {
            match interrupted.recv_timeout(EVERY) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(exit),
            }
            if look(args) != seen {
                break;
            }
        }
    }
}

fn look(args: &RunArgs) -> Seen {
    // Where directories cannot be read now, they are looked at themselves.
    let files = files(&args.paths).unwrap_or_else(|_| args.paths.clone());
    let all = files.into_iter().chain(args.policy.clone());
    all.map(|path| {
        let state = state(&path);
        (path, state)
    })
    .collect()
}

fn state(path: &Path) -> Option<(u64, SystemTime)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}

/// Hears of Ctrl-C. The scenario under way is finished first, so that its data is thrown away.
fn interruption() -> anyhow::Result<Receiver<()>> {
    let (sender, receiver) = channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot wait for signals")?;
    std::thread::Builder::new()
        .name("interruption".to_owned())
        .spawn(move || {
            // A failure ends the watching, too.
            let _ = runtime.block_on(tokio::signal::ctrl_c());
            let _ = sender.send(());
        })
        .context("cannot wait for signals")?;
    Ok(receiver)
}
