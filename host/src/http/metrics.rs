//! `/metrics`, on a listener of its own: whoever can reach the checks need not see the numbers, and whoever collects
//! the numbers need not reach the checks.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::App;
use crate::gate::Gate;

/// Between two rounds of upkeep: what was noted of verdicts takes eight bytes each until then.
const UPKEEP_EVERY: Duration = Duration::from_secs(2);

/// All that the listener for the metrics answers.
pub fn metrics_router(gate: Arc<Gate>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(App::new(gate))
}

async fn metrics(State(app): State<App>) -> Response {
    let gate = Arc::clone(&app.gate);
    let rendered = app
        .blocking(move |patrol| Ok(gate.meters().render(patrol, gate.is_draining())))
        .await;
    match rendered {
        Ok(text) => {
            let format = "text/plain; version=0.0.4; charset=utf-8";
            ([(header::CONTENT_TYPE, format)], text).into_response()
        }
        Err(_) => crate::gate::Denial::undecided().into_response(),
    }
}

/// The thread that keeps the numbers; stops soon after this is dropped.
pub struct Bookkeeping {
    _stop: Sender<()>,
}

impl Bookkeeping {
    /// Starts it.
    ///
    /// # Errors
    /// Where the machine has no thread to give.
    pub fn start(gate: &Arc<Gate>) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let gate = Arc::downgrade(gate);
        std::thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || {
                let mut due = Instant::now();
                while let Some(wait) = keep(&gate, &mut due) {
                    if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            })?;
        Ok(Self { _stop: stop })
    }
}

/// One round; how long to wait for the next, if there is one.
fn keep(gate: &Weak<Gate>, due: &mut Instant) -> Option<Duration> {
    let gate = gate.upgrade()?;
    gate.meters().upkeep();
    let now = Instant::now();
    if now >= *due {
        let wait = gate.meters().take_stock(gate.patrol());
        *due = now.checked_add(wait).unwrap_or(now);
    }
    Some(UPKEEP_EVERY)
}
