//! Apache, with a FastCGI authorizer.

use patrol_tests::gateway::apache::Apache;

patrol_tests::probe!(Apache);
