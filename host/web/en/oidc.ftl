# Signing in by an identity provider.
oidc-sign-in = Sign in with { $label }
oidc-stale = This sign-in was not begun in this browser, took too long, or is over already. Go back to the start and sign in again.
oidc-declined = { $label } did not sign you in. Go back to the start and try again, or ask your administrator whether you may use Patrol.
oidc-unreachable = { $label } cannot be reached at the moment, or is not set up right. Try again in a moment; if it stays so, tell your administrator: Patrol's log says what is wrong.
oidc-unset = The sign-in with { $label } is not set up right. Tell your administrator: Patrol's log says what is missing.
oidc-exchange = { $label } did not accept the end of this sign-in. Go back to the start and sign in again; if it stays so, tell your administrator: Patrol's log says what is wrong.
oidc-unproven = What { $label } said could not be trusted, so you are not signed in. Go back to the start and sign in again; if it stays so, tell your administrator.
oidc-clock = What { $label } said is no longer good, or not yet: its clock and Patrol's differ by more than a minute. Tell your administrator to set them right.
oidc-unknown = There is no user here with your account's e-mail address or name. Ask your administrator to create one, or to correct the address.
oidc-ambiguous = Several users here have your e-mail address. Ask your administrator to correct it.
oidc-other-method = You sign in to Patrol another way. Go back to the start, or ask your administrator to change your authentication method.
oidc-disabled = Your user is disabled. Ask your administrator.
oidc-other-account = Another account of this provider belongs to you here already. Sign in with that one, or ask your administrator.
oidc-nameless = The provider has not verified your e-mail address, or does not tell it. Verify it there, and sign in again.
