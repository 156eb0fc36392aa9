//! A web service that lets in whoever holds a personal access token, with Patrol in its own process.
//!
//!     cargo run --package patrol --example axum
//!
//! It makes a data directory that goes away with it, a user and a token, and says how to call it. Address and port can
//! be given; without, the machine chooses a free port.
#![allow(clippy::print_stdout, reason = "an example says what it does")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::routing::get;
use axum::{Extension, Router};
use patrol::{Caller, DAY, Gate, Housekeeping, Identity, Meters, NewAccount, Patrol, PatrolLayer, Settings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let data = tempfile::tempdir()?;
    let patrol = Arc::new(Patrol::open(Settings::new(data.path()))?);
    let secret = first_token(&patrol)?;

    // Writes last uses and refusals twice a second, and sweeps once a minute, until it is dropped.
    let _housekeeping = Housekeeping::start(&patrol)?;
    let gate = Arc::new(Gate::new(Arc::clone(&patrol), Meters::default())?);
    let layer = PatrolLayer::new(gate).with_address(|extensions| {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        peer.map(|peer| peer.0.ip())
    });
    let app = Router::new().route("/", get(greet)).layer(layer);

    let listener = tokio::net::TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    println!("With the token, which would otherwise be shown once and to its owner only:\n");
    println!("  printf 'oauth2-bearer = \"%s\"' '{secret}' | curl --config - http://{address}/\n");
    println!("Without:\n\n  curl --include http://{address}/");
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

/// Only callers with a token come here: the layer answers all others.
async fn greet(Extension(caller): Extension<Identity>) -> String {
    format!(
        "hello {}, with the roles {:?}\n",
        caller.user_name(),
        caller.roles()
    )
}

/// What an administrator does once, with the `patrol` program or, as here, in Rust.
fn first_token(patrol: &Patrol) -> Result<String, Box<dyn Error>> {
    let operator = Caller::operator(Some("the example".to_owned()));
    patrol.create_tenant(&operator, "example", "password", false)?;
    let ann = NewAccount {
        name: "ann".to_owned(),
        email: None,
        roles: vec!["admin".to_owned()],
    };
    let ann = patrol.create_user(&operator, "example", &ann)?;
    let audience = patrol.config().http.audience.clone();
    let token = patrol.issue(
        &operator,
        ann.id,
        "first",
        patrol.now().saturating_add(DAY),
        &audience,
    )?;
    Ok(String::from_utf8(token.secret.expose().to_vec())?)
}
