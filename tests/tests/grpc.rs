//! Envoy's door over gRPC, asked by a client of the same protocol: what it says yes and no to, and how it comes and
//! goes. The same with a real Envoy is in `gateways`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::config::core::v3::address::Address as Kind;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{
    Address, HeaderMap, HeaderValue, HeaderValueOption, Pipe, SocketAddress,
};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use patrol::config::{Challenge, Config};
use patrol::doors::grpc;
use patrol::gate::{Gate, Meters};
use patrol::service::{NewToken, Patrol};
use patrol::time::rfc3339;
use patrol_policy::types::DAY;
use patrol_tests::deployment::{Deployment, START, id, operator};
use patrol_tests::hostile;
use patrol_tests::needles::Needles;
use patrol_tests::program::Program;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::codegen::tokio_stream::StreamExt as _;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

const SERVICE: &str = "envoy.service.auth.v3.Authorization";

/// The door, in this process.
struct Door {
    address: SocketAddr,
    gate: Arc<Gate>,
    shutdown: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
}

impl Door {
    fn open(patrol: &Arc<Patrol>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Arc::new(Gate::new(Arc::clone(patrol), Meters::default()).unwrap());
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(grpc::serve(Arc::clone(&gate), listener, shutdown.clone()));
        Self {
            address,
            gate,
            shutdown,
            served,
        }
    }

    async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        endpoint.connect().await.unwrap()
    }

    async fn client(&self) -> AuthorizationClient<Channel> {
        AuthorizationClient::new(self.channel().await)
    }

    /// The answer to one question.
    async fn ask(&self, http: HttpRequest) -> Answer {
        let request = question(Some(http), "192.0.2.7");
        Answer(self.client().await.check(request).await.unwrap().into_inner())
    }

    /// The answer to a question with these headers, as Envoy sends them unless told otherwise.
    async fn joined(&self, headers: &[(&str, &str)]) -> Answer {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        self.ask(HttpRequest {
            headers: headers.collect(),
            ..get()
        })
        .await
    }

    /// The same with `encode_raw_headers`.
    async fn raw(&self, headers: &[(&str, &[u8])]) -> Answer {
        self.ask(HttpRequest {
            header_map: Some(raw(headers)),
            ..get()
        })
        .await
    }

    async fn bearer(&self, token: &str) -> Answer {
        self.joined(&[("authorization", &format!("Bearer {token}"))])
            .await
    }

    /// Shuts it down, and says how long that took.
    async fn close(self) -> Duration {
        let begun = Instant::now();
        self.shutdown.cancel();
        self.served.await.unwrap().unwrap();
        begun.elapsed()
    }
}

fn get() -> HttpRequest {
    HttpRequest {
        method: "GET".to_owned(),
        path: "/thing?secret=x".to_owned(),
        ..HttpRequest::default()
    }
}

fn raw(headers: &[(&str, &[u8])]) -> HeaderMap {
    let headers = headers.iter().map(|(name, value)| HeaderValue {
        key: (*name).to_owned(),
        raw_value: value.to_vec(),
        ..HeaderValue::default()
    });
    HeaderMap {
        headers: headers.collect(),
    }
}

fn question(http: Option<HttpRequest>, from: &str) -> CheckRequest {
    let address = Kind::SocketAddress(SocketAddress {
        address: from.to_owned(),
        ..SocketAddress::default()
    });
    asked(http, address)
}

fn asked(http: Option<HttpRequest>, address: Kind) -> CheckRequest {
    let source = Peer {
        address: Some(Address {
            address: Some(address),
        }),
        ..Peer::default()
    };
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(source),
            request: Some(Request {
                http,
                ..Request::default()
            }),
            ..AttributeContext::default()
        }),
    }
}

fn text(token: &NewToken) -> String {
    String::from_utf8(token.secret.expose().to_vec()).unwrap()
}

#[derive(Debug, PartialEq)]
struct Answer(CheckResponse);

impl Answer {
    fn code(&self) -> Code {
        Code::from(self.0.status.as_ref().unwrap().code)
    }

    /// The headers that a yes sets, and those that it removes. They replace what is there.
    fn yes(&self) -> (HashMap<&str, &str>, BTreeSet<&str>) {
        assert_eq!(self.code(), Code::Ok, "{self:?}");
        let Some(HttpResponse::OkResponse(ok)) = &self.0.http_response else {
            panic!("{self:?}");
        };
        let remove = ok.headers_to_remove.iter().map(String::as_str).collect();
        (headers(&ok.headers), remove)
    }

    /// The status, the headers and the body of a no.
    fn no(&self) -> (i32, HashMap<&str, &str>, Value) {
        assert_ne!(self.code(), Code::Ok, "{self:?}");
        // An error response would be let in by `failure_mode_allow`.
        let Some(HttpResponse::DeniedResponse(denied)) = &self.0.http_response else {
            panic!("{self:?}");
        };
        let status = denied.status.as_ref().unwrap().code;
        let body = serde_json::from_str(&denied.body).unwrap();
        (status, headers(&denied.headers), body)
    }

    /// Asserts that it is a no with this status and error code.
    #[track_caller]
    fn refuses(&self, status: i32, code: &str) {
        let (told, _, body) = self.no();
        assert_eq!((told, &body["errorCode"]), (status, &json!(code)), "{self:?}");
    }
}

fn headers(options: &[HeaderValueOption]) -> HashMap<&str, &str> {
    let read = |option: &HeaderValueOption| {
        assert_eq!(option.append_action(), HeaderAppendAction::OverwriteIfExistsOrAdd);
    };
    options.iter().for_each(read);
    let pairs = options.iter().map(|option| option.header.as_ref().unwrap());
    let all: HashMap<_, _> = pairs.map(|pair| (&*pair.key, &*pair.value)).collect();
    assert_eq!(all.len(), options.len(), "one is there twice: {options:?}");
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_names_the_caller_in_place_of_what_the_client_claims_and_takes_the_credential_away() {
    let mut config = Config::default();
    config.http.credential_headers = vec!["X-Api-Key".to_owned()];
    let it = Deployment::with(config);
    let door = Door::open(&it.patrol);
    let token = it.issue(it.alice, "nightly \u{2013} backup");
    let secret = text(&token);
    let [bearer, basic, scheme] = [
        format!("Bearer {secret}"),
        format!("Basic {}", base64_of(&format!("anybody:{secret}"))),
        format!("token {secret}"),
    ];
    let forms = [
        ("authorization", &bearer),
        ("authorization", &basic),
        ("authorization", &scheme),
        ("x-api-key", &secret),
    ];
    for (name, value) in forms {
        let answers = [
            door.joined(&[(name, value), ("x-patrol-user", "root"), (":path", "/thing")])
                .await,
            door.raw(&[
                (name, value.as_bytes()),
                ("X-Patrol-User", b"root"),
                (":path", b"/thing"),
            ])
            .await,
        ];
        for answer in answers {
            let (set, removed) = answer.yes();
            let (user, tenant, id) = (
                it.alice.to_string(),
                it.tenant.to_string(),
                id(&token).to_string(),
            );
            let expires = rfc3339(START + 15 * DAY);
            let expected = [
                ("x-patrol-user", &*user),
                ("x-patrol-user-name", "alice"),
                ("x-patrol-tenant", &tenant),
                ("x-patrol-roles", "admin"),
                ("x-patrol-token-id", &id),
                ("x-patrol-token-name", "nightly %E2%80%93 backup"),
                ("x-patrol-session", ""),
                ("x-patrol-expires", &expires),
                // Signing is off: empty, so that no copy of the client's survives.
                ("x-patrol-identity", ""),
            ];
            assert_eq!(set, HashMap::from(expected), "{name}");
            let credentials = ["authorization", "x-api-key", "x-tableau-session-token"];
            assert_eq!(removed, BTreeSet::from(credentials));
            assert!(
                !format!("{answer:?}").contains(&secret),
                "the secret is in the answer"
            );
        }
    }
    let session = String::from_utf8(it.sign_in(&token)).unwrap();
    let answer = door.joined(&[("x-tableau-session-token", &session)]).await;
    let expected = it.check(session.as_bytes()).unwrap().session.unwrap().to_string();
    assert_eq!(answer.yes().0["x-patrol-session"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_no_is_the_same_whatever_is_wrong_with_the_token() {
    let it = Deployment::new();
    let door = Door::open(&it.patrol);
    let [good, revoked] = ["good", "revoked"].map(|name| it.issue(it.alice, name));
    it.patrol.revoke(&operator(), id(&revoked)).unwrap();
    let elsewhere = it
        .patrol
        .issue(&operator(), it.alice, "elsewhere", START + DAY, "reports")
        .unwrap();
    let first = door.bearer("nonsense").await;
    let (status, headers, body) = first.no();
    assert_eq!((status, first.code()), (401, Code::Unauthenticated));
    let expected = [
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        (
            "www-authenticate",
            r#"Bearer realm="patrol", error="invalid_token""#,
        ),
    ];
    assert_eq!(headers, HashMap::from(expected));
    let expected = json!({ "errorCode": "E_401_UNAUTHORIZED", "message": "the token is not accepted" });
    assert_eq!(body, expected);
    let mistyped = format!("{}x", text(&good));
    for token in [&text(&revoked), &text(&elsewhere), &mistyped] {
        assert_eq!(door.bearer(token).await, first, "R8, R12");
    }
    door.bearer(&text(&good)).await.yes();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_presents_nothing_is_challenged_without_an_error_and_it_is_no_attempt() {
    let mut config = Config::default();
    config.http.challenge = Challenge::Basic;
    for (config, challenge) in [
        (Config::default(), r#"Bearer realm="patrol""#),
        (config, r#"Basic realm="patrol", charset="UTF-8""#),
    ] {
        let it = Deployment::with(config);
        let door = Door::open(&it.patrol);
        for headers in [&[][..], &[("authorization", "Negotiate abc")]] {
            let answer = door.joined(headers).await;
            let (status, headers, _) = answer.no();
            assert_eq!((status, headers["www-authenticate"]), (401, challenge));
        }
        assert_eq!(it.events("verify_personal_access_token").len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_credentials_are_refused_joined_by_a_comma_or_not() {
    let it = Deployment::new();
    let door = Door::open(&it.patrol);
    let token = it.issue(it.alice, "one");
    let session = String::from_utf8(it.sign_in(&token)).unwrap();
    let bearer = format!("Bearer {}", text(&token));
    let joined = format!("{bearer},{bearer}");
    let name = "authorization";
    let answers = [
        door.joined(&[(name, &joined)]).await,
        door.joined(&[(name, &bearer), ("x-tableau-session-token", &session)])
            .await,
        door.raw(&[(name, bearer.as_bytes()), (name, bearer.as_bytes())])
            .await,
        door.raw(&[(name, bearer.as_bytes()), ("Authorization", b"Bearer x")])
            .await,
        door.raw(&[(name, joined.as_bytes())]).await,
    ];
    for answer in answers {
        answer.refuses(400, "E_400_CREDENTIALS");
        assert_eq!(answer.code(), Code::InvalidArgument);
    }
    // Envoy joins any two headers of a name. A session with a comma is none.
    let twice = format!("{session},{session}");
    door.joined(&[("x-tableau-session-token", &twice)])
        .await
        .refuses(401, "E_401_UNAUTHORIZED");
    // Envoy tells the headers in one way or the other, never in both.
    let both = HttpRequest {
        headers: HashMap::from([(name.to_owned(), bearer.clone())]),
        header_map: Some(raw(&[("x-other", b"x")])),
        ..get()
    };
    door.ask(both).await.refuses(400, "E_400_HEADERS");
    let mut twofold = raw(&[(name, bearer.as_bytes())]);
    twofold.headers[0].value = "Bearer x".to_owned();
    let twofold = HttpRequest {
        header_map: Some(twofold),
        ..get()
    };
    door.ask(twofold).await.refuses(400, "E_400_HEADERS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_without_method_or_path_is_denied_whoever_asks() {
    let it = Deployment::new();
    let door = Door::open(&it.patrol);
    let bearer = format!("Bearer {}", text(&it.issue(it.alice, "one")));
    let good = HttpRequest {
        headers: HashMap::from([("authorization".to_owned(), bearer)]),
        ..get()
    };
    door.ask(good.clone()).await.yes();
    let without = |change: fn(&mut HttpRequest)| {
        let mut http = good.clone();
        change(&mut http);
        question(Some(http), "192.0.2.7")
    };
    let questions = [
        CheckRequest { attributes: None },
        CheckRequest {
            attributes: Some(AttributeContext::default()),
        },
        question(None, "192.0.2.7"),
        without(|http| http.method.clear()),
        without(|http| http.path.clear()),
    ];
    for question in questions {
        let answer = door.client().await.check(question).await.unwrap().into_inner();
        Answer(answer).refuses(400, "E_400_GATEWAY");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_read_as_bytes_and_what_is_none_is_refused() {
    let it = Deployment::new();
    let door = Door::open(&it.patrol);
    let bearer = format!("Bearer {}", text(&it.issue(it.alice, "one")));
    let credential = ("Authorization", bearer.as_bytes());
    door.raw(&[credential, ("x-latin", b"gr\xf6\xdfe"), ("cookie", b"a=b")])
        .await
        .yes();
    for odd in [
        ("x-odd", &b"a\nb"[..]),
        ("x-odd", b"a\0b"),
        ("x odd", b"x"),
        ("", b"x"),
        ("x-\u{f6}dd", b"x"),
    ] {
        door.raw(&[credential, odd]).await.refuses(400, "E_400_HEADERS");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_attempt_is_written_down_with_where_it_came_from_and_without_its_query() {
    let it = Deployment::new();
    let door = Door::open(&it.patrol);
    let http = HttpRequest {
        headers: HashMap::from([
            ("authorization".to_owned(), "Bearer nonsense".to_owned()),
            ("user-agent".to_owned(), "backup/1.0".to_owned()),
            ("x-forwarded-for".to_owned(), "203.0.113.9".to_owned()),
            ("x-real-ip".to_owned(), "203.0.113.9".to_owned()),
            ("x-forwarded-uri".to_owned(), "/forged".to_owned()),
        ]),
        body: "token=x".to_owned(),
        raw_body: vec![0; 1_000],
        ..get()
    };
    let pipe = Kind::Pipe(Pipe {
        path: "@envoy".to_owned(),
        ..Pipe::default()
    });
    let socket = |address: &str| question(Some(http.clone()), address);
    let cases = [
        (socket("192.0.2.7"), json!("192.0.2.7")),
        (socket("2001:db8::7"), json!("2001:db8::7")),
        (socket("nowhere"), Value::Null),
        (asked(Some(http.clone()), pipe), Value::Null),
    ];
    for (question, address) in cases {
        let answer = door.client().await.check(question).await.unwrap().into_inner();
        Answer(answer).refuses(401, "E_401_UNAUTHORIZED");
        let event = it.last_event("verify_personal_access_token");
        assert_eq!(event["initiatingUserIpAddress"], address);
        assert_eq!(event["initiatingUserAgent"], "backup/1.0");
        assert_eq!(event["initiatingUrl"], "/thing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_verdict_the_answer_is_a_denial_with_503() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    it.patrol.revoke(&operator(), id(&token)).unwrap();
    for case in ["unreachable", "floor-yes-to-anything"] {
        let door = Door::open(&Arc::new(it.under(&hostile::policy(case))));
        let answer = door.bearer(&text(&token)).await;
        let (status, headers, body) = answer.no();
        assert_eq!((status, headers["retry-after"]), (503, "1"), "{case}");
        assert_eq!(body["errorCode"], "E_503_SERVICE_UNAVAILABLE");
        assert_eq!(answer.code(), Code::Unavailable);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_too_large_is_an_error_and_the_connection_goes_on() {
    let it = Deployment::new();
    let door = Door::open(&it.patrol);
    let mut client = door.client().await;
    let bearer = format!("Bearer {}", text(&it.issue(it.alice, "one")));
    let mut http = HttpRequest {
        headers: HashMap::from([("authorization".to_owned(), bearer)]),
        ..get()
    };
    http.headers.insert("x-large".to_owned(), "x".repeat(100_000));
    let large = client.check(question(Some(http.clone()), "192.0.2.7")).await;
    Answer(large.unwrap().into_inner()).yes();
    http.raw_body = vec![0; 100_000];
    let refused = client.check(question(Some(http.clone()), "192.0.2.7")).await;
    assert_eq!(refused.unwrap_err().code(), Code::OutOfRange);
    http.raw_body.clear();
    let answer = client.check(question(Some(http), "192.0.2.7")).await.unwrap();
    Answer(answer.into_inner()).yes();
}

#[tokio::test(flavor = "multi_thread")]
async fn health_follows_store_and_policy() {
    let it = Deployment::new();
    let token = it.issue(it.alice, "one");
    let fit = Door::open(&it.patrol);
    let broken = Door::open(&Arc::new(it.under(&hostile::policy("unreachable"))));
    let asked = async |door: &Door, service: &str| {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = HealthClient::new(door.channel().await).check(request).await;
        answer.map(|answer| answer.into_inner().status())
    };
    for service in ["", SERVICE] {
        assert_eq!(asked(&fit, service).await.unwrap(), ServingStatus::Serving);
        assert_eq!(asked(&broken, service).await.unwrap(), ServingStatus::NotServing);
    }
    assert_eq!(asked(&fit, "other").await.unwrap_err().code(), Code::NotFound);

    let raw = rusqlite::Connection::open(it.path().join("patrol.db")).unwrap();
    raw.execute_batch("ALTER TABLE meta RENAME TO lost").unwrap();
    let begun = Instant::now();
    while asked(&fit, SERVICE).await.unwrap() == ServingStatus::Serving {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is not noticed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    raw.execute_batch("ALTER TABLE lost RENAME TO meta").unwrap();
    while asked(&fit, SERVICE).await.unwrap() != ServingStatus::Serving {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not recover");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Nor is one that is about to end, while it still answers.
    fit.gate.drain();
    while asked(&fit, SERVICE).await.unwrap() == ServingStatus::Serving {
        assert!(begun.elapsed() < Duration::from_secs(90), "it is not noticed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fit.bearer(&text(&token)).await.yes();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_is_told_to_who_watches_and_held_up_by_nobody() {
    let it = Deployment::new();
    let door = Door::open(&it.patrol);
    // One that watches, one that is idle, one that has not said a word, one that stopped in the middle of it.
    let mut health = HealthClient::new(door.channel().await);
    let mut client = door.client().await;
    let _silent = tokio::net::TcpStream::connect(door.address).await.unwrap();
    let mut halting = tokio::net::TcpStream::connect(door.address).await.unwrap();
    halting.write_all(b"PRI * HTTP/2.0").await.unwrap();
    let service = SERVICE.to_owned();
    let mut watch = health
        .watch(HealthCheckRequest { service })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        watch.message().await.unwrap().unwrap().status(),
        ServingStatus::Serving
    );
    let token = text(&it.issue(it.alice, "one"));
    door.bearer(&token).await.yes();

    let address = door.address;
    let took = door.close().await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(
        watch.message().await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    assert!(
        watch.message().await.is_ok_and(|more| more.is_none()),
        "there is more to come"
    );
    let refused = client.check(question(Some(get()), "192.0.2.7")).await;
    // Which of the two depends on whether the client has noticed by then that its connection is gone.
    let code = refused.unwrap_err().code();
    assert!(matches!(code, Code::Unavailable | Code::Cancelled), "{code:?}");
    assert!(
        tokio::net::TcpStream::connect(address).await.is_err(),
        "it still listens"
    );
}

/// As grpcurl does: list the services, then fetch the file of one and all that it needs.
#[tokio::test(flavor = "multi_thread")]
async fn reflection_describes_the_service_with_all_that_it_refers_to() {
    let it = Deployment::new();
    let door = Door::open(&it.patrol);
    let mut client = ServerReflectionClient::new(door.channel().await);
    let mut ask = async |request: MessageRequest| {
        let request = ServerReflectionRequest {
            message_request: Some(request),
            ..ServerReflectionRequest::default()
        };
        let requests = tonic::codegen::tokio_stream::once(request);
        let mut answers = client
            .server_reflection_info(requests)
            .await
            .unwrap()
            .into_inner();
        answers.next().await.unwrap().unwrap().message_response.unwrap()
    };
    let MessageResponse::ListServicesResponse(list) = ask(MessageRequest::ListServices(String::new())).await
    else {
        panic!("no list");
    };
    let names: BTreeSet<_> = list.service.into_iter().map(|service| service.name).collect();
    for name in [
        SERVICE,
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
    ] {
        assert!(names.contains(name), "{name}: {names:?}");
    }

    let mut wanted = vec![MessageRequest::FileContainingSymbol(format!("{SERVICE}.Check"))];
    let mut seen = BTreeSet::new();
    while let Some(request) = wanted.pop() {
        let answer = ask(request.clone()).await;
        let MessageResponse::FileDescriptorResponse(files) = answer else {
            panic!("{request:?}: {answer:?}");
        };
        for file in files.file_descriptor_proto {
            for needed in dependencies(&file) {
                if seen.insert(needed.clone()) {
                    wanted.push(MessageRequest::FileByFilename(needed));
                }
            }
        }
    }
    for file in [
        "envoy/service/auth/v3/attribute_context.proto",
        "google/rpc/status.proto",
    ] {
        assert!(seen.contains(file), "{seen:?}");
    }
}

/// The field `dependency` of an encoded `FileDescriptorProto`: number 3, and names shorter than 128 bytes.
fn dependencies(file: &[u8]) -> Vec<String> {
    let at = |index: usize| {
        let length = usize::from(*file.get(index + 1)?);
        let name = file.get(index + 2..index + 2 + length)?;
        let name = std::str::from_utf8(name).ok()?;
        (file[index] == 0x1a && name.ends_with(".proto")).then(|| name.to_owned())
    };
    (0..file.len()).filter_map(at).collect()
}

fn base64_of(text: &str) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text)
}

#[tokio::test]
async fn r1_no_credential_in_a_question_is_logged_however_much_is_logged() {
    let mut program = Program::new();
    let listening = "[policy]\ndeadline = \"5s\"\n[server]\ngrpc = \"127.0.0.1:0\"\n";
    std::fs::write(program.configuration(), listening).unwrap();
    drop(program.run(&["tenant", "create", "acme"]).json());
    drop(
        program
            .run(&["user", "create", "--tenant", "acme", "--name", "ann"])
            .json(),
    );
    let create = [
        "token",
        "create",
        "--owner",
        "ann",
        "--name",
        "one",
        "--expires",
        "30d",
    ];
    let secret = program.run(&create).json()["secret"].as_str().unwrap().to_owned();
    let mut needles = Needles::default();
    needles.add_token("the token", secret.as_bytes());
    program.verbose = true;
    let server = program.serve();
    let channel = Channel::from_shared(format!("http://{}", server.listening("grpc"))).unwrap();
    let mut client = AuthorizationClient::new(channel.connect().await.unwrap());
    let bearer = format!("Bearer {secret}");
    let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("x:{secret}"));
    let basic = format!("Basic {basic}");
    let twice = format!("{bearer}, {bearer}");
    for (value, expected) in [
        (bearer.as_str(), Code::Ok),
        (&basic, Code::Ok),
        (&twice, Code::InvalidArgument),
        (&format!("Bearer {secret}x"), Code::Unauthenticated),
    ] {
        for headers in [
            HttpRequest {
                headers: HashMap::from([("authorization".into(), value.into())]),
                ..get()
            },
            HttpRequest {
                header_map: Some(raw(&[("authorization", value.as_bytes())])),
                ..get()
            },
        ] {
            let mut request = tonic::Request::new(question(Some(headers), "192.0.2.7"));
            // Where it does not belong, and is not looked at.
            request
                .metadata_mut()
                .insert("authorization", bearer.parse().unwrap());
            request
                .metadata_mut()
                .insert("x-request-id", secret.parse().unwrap());
            let answer = Answer(client.check(request).await.unwrap().into_inner());
            assert_eq!(answer.code(), expected, "{value}");
        }
    }
    server.stop();
    let log = std::fs::read(program.log()).unwrap();
    // It is not for want of a log.
    let has = |text: &str| log.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(has("h2::"), "nothing of HTTP/2 is logged");
    assert_eq!(needles.found_in(&log), Vec::<&str>::new());
}
