//! HAProxy, with SPOE.

use patrol_tests::gateway::haproxy::HaProxy;

patrol_tests::probe!(HaProxy);
