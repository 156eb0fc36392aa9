//! Envoy's `ext_authz`, over gRPC and over HTTP.

mod grpc {
    use patrol_tests::gateway::envoy::EnvoyGrpc;

    patrol_tests::probe!(EnvoyGrpc);
}

mod http {
    use patrol_tests::gateway::envoy::EnvoyHttp;

    patrol_tests::probe!(EnvoyHttp);
}
