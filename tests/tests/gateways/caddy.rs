//! Caddy, with `forward_auth`: as Debian packages it, and the current one.

mod debian {
    use patrol_tests::gateway::caddy::DebianCaddy;

    patrol_tests::probe!(DebianCaddy);
}

mod current {
    use patrol_tests::gateway::caddy::CurrentCaddy;

    patrol_tests::probe!(CurrentCaddy);
}
