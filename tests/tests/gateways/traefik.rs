//! Traefik, with `forwardAuth`.

use patrol_tests::gateway::traefik::Traefik;

patrol_tests::probe!(Traefik);
