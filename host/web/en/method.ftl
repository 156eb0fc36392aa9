settings-title = Organization settings
nav-settings = Settings

# The authentication method.
method-title = Authentication method
method-user-title = Authentication method of a user
method-of-user = User:
method-of-tenant = Organization:
method-now = In force now:
method-hint = How people show who they are. Changing it revokes all personal access tokens and signs everybody out. You see what would go before anything is changed.
method-choose = Method
method-password = User name and password
method-oidc = { $label } (OpenID Connect)
method-gateway = The gateway in front says who somebody is
method-elsewhere = Set elsewhere
method-other = Another method
method-other-label = Name of the other method
method-other-hint = 1 to 64 of a-z 0-9 . _ : - as in saml. Patrol's pages know no way to sign in by it.
method-preview = Show what would be revoked
method-same = Nothing changes, and all tokens stay: this is the method already.
method-back = Back
method-from = From
method-to = To
method-revokes = { $count ->
    [0] No personal access token would be revoked:
    [one] { $count } personal access token would be revoked,
   *[other] { $count } personal access tokens would be revoked,
}
method-owners = { $count ->
    [0] nobody has one.
    [one] of { $count } owner.
   *[other] of { $count } owners.
}
method-final = Scripts that use them stop at once, and a revoked token never comes back. Everybody else is signed out. Nothing has been changed yet.
method-tokens = Tokens that would be revoked
method-owner = Owner
method-token = Token
method-used = Last used
method-never = Never
method-more = { $count ->
    [one] and { $count } more.
   *[other] and { $count } more.
}
method-type-tenant = To confirm, type the organization's name:
method-type-user = To confirm, type the user's name:
method-other-name = That is another name. Nothing was changed.
method-do = Change the method and revoke
method-cancel = Cancel
method-warning-unknown = Nobody could sign in to these pages by { $method }: it is neither a provider nor the gateway of the configuration. You would stay signed in until this session ends; after that only the command line can change it back.
method-warning-password = You have no password. Set one before this session ends, or you cannot sign in again.

# Multi-factor authentication.
multi-factor-title = Multi-factor authentication
multi-factor-on = On
multi-factor-off = Off
multi-factor-hint = While it is on, scripts cannot sign in to the API with user name and password: they need a personal access token. Tokens work either way, and none is revoked by turning it on or off.
multi-factor-turn-on = Turn it on
multi-factor-turn-off = Turn it off

notice-method-changed = The method is changed. All tokens that were affected are revoked, and everybody else has to sign in again.
notice-method-same = Nothing was changed: this was the method already.
notice-multi-factor-on = Multi-factor authentication is on.
notice-multi-factor-off = Multi-factor authentication is off.
