//! Apache, with mod_oauth2 and introspection.

use patrol_tests::gateway::apache_oauth2::ApacheOauth2;

patrol_tests::probe!(ApacheOauth2);
