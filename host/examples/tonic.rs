//! A gRPC service that lets in whoever holds a personal access token, with Patrol in its own process. The service is
//! the standard health check.
//!
//!     cargo run --package patrol --example tonic
//!
//! It makes a data directory that goes away with it, a user and a token, calls itself without the token and with it,
//! and shows what it is answered.
#![allow(clippy::print_stdout, reason = "an example says what it does")]

use std::error::Error;
use std::sync::Arc;

use patrol::{Caller, DAY, Gate, Meters, NewAccount, Patrol, PatrolLayer, Settings};
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::server::{TcpConnectInfo, TcpIncoming};
use tonic::transport::{Channel, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let data = tempfile::tempdir()?;
    let patrol = Arc::new(Patrol::open(Settings::new(data.path()))?);
    let secret = first_token(&patrol)?;
    let gate = Arc::new(Gate::new(Arc::clone(&patrol), Meters::default())?);
    let layer = PatrolLayer::new(gate).with_address(|extensions| {
        let peer = extensions.get::<TcpConnectInfo>();
        peer.and_then(|peer| Some(peer.remote_addr()?.ip()))
    });

    let (_reporter, health) = tonic_health::server::health_reporter();
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?)?;
    let address = incoming.local_addr()?;
    let done = CancellationToken::new();
    let server = Server::builder()
        .layer(layer)
        .add_service(health)
        .serve_with_incoming_shutdown(incoming, done.clone().cancelled_owned());
    let server = tokio::spawn(server);

    let channel = Channel::from_shared(format!("http://{address}"))?
        .connect()
        .await?;
    let mut client = HealthClient::new(channel);
    for (how, authorization) in [("without", None), ("with", Some(format!("Bearer {secret}")))] {
        let mut request = Request::new(HealthCheckRequest::default());
        if let Some(authorization) = authorization {
            let value = MetadataValue::try_from(authorization)?;
            request.metadata_mut().insert("authorization", value);
        }
        match client.check(request).await {
            Ok(answer) => println!("{how} the token: {:?}", answer.into_inner().status()),
            Err(status) => println!("{how} the token: {:?}, {}", status.code(), status.message()),
        }
    }
    done.cancel();
    drop(client);
    server.await??;
    Ok(())
}

/// What an administrator does once, with the `patrol` program or, as here, in Rust.
fn first_token(patrol: &Patrol) -> Result<String, Box<dyn Error>> {
    let operator = Caller::operator(Some("the example".to_owned()));
    patrol.create_tenant(&operator, "example", "password", false)?;
    let ann = NewAccount {
        name: "ann".to_owned(),
        email: None,
        roles: vec![],
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
