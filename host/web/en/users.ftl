# Users, for administrators.
nav-users = Users
users-title = Users
users-search = Name or e-mail address
users-search-button = Search
users-new = Create user
users-none = No user matches.
users-name = Name
users-email = E-mail address
users-email-short = E-mail
users-roles = Roles
users-roles-hint = Separate roles with commas or spaces. Tokens and sessions have the new roles at once.
users-method = Signs in by
users-state = State
users-live = Live tokens
users-live-of = live tokens of { $name }
users-pages = Pages of users
users-first = First page
users-next = Next page
users-new-title = Create user
users-create = Create user
users-cancel = Cancel
user-title = User
user-enabled = Enabled
user-disabled = Disabled
user-method-of-tenant = { $method }, like the organization
user-method-change = Change
user-tokens = { $count ->
    [one] { $count } live token
   *[other] { $count } live tokens
}
user-created = Created
user-id = Identifier
user-audit = Show this user’s events
user-change = Change
user-rename = Rename
user-set-email = Set e-mail address
user-set-roles = Set roles
user-access = Access
user-not-yourself = You cannot disable or delete yourself, or take your own administrator’s role away. Ask another administrator.
user-disable = Disable
user-disable-hint = A disabled user’s tokens and sessions are refused at once. They work again once the user is enabled, unless they have ended meanwhile.
user-enable = Enable
user-enable-hint = This user’s tokens and sessions are refused. Once enabled, those that have not ended work again.
user-delete = Delete
user-delete-title = Delete user
user-delete-effect = { $name } is deleted for good, and { $count ->
    [0] has no live token.
    [one] their { $count } live token stops working at once.
   *[other] their { $count } live tokens stop working at once.
}
user-delete-type = Type the user’s name to confirm
user-delete-other-name = This is not the user’s name. Nothing was changed.
notice-user-created = The user was created.
notice-user-renamed = The user was renamed.
notice-user-email = The e-mail address was set.
notice-user-roles = The roles were set.
notice-user-disabled = The user was disabled: their tokens and sessions are refused.
notice-user-enabled = The user was enabled.
notice-user-deleted = The user was deleted.
user-ways = Signing in
user-second = Second step
user-second-on = On
user-second-off = Off
user-second-remove = Remove second step
user-second-title = Remove second step
user-second-effect = { $name } has lost their authenticator app and their recovery codes? Be sure that it is { $name } who asks: from now on the password alone signs them in, or lets them set up a new second step where the organization asks for one. No token and no session ends.
user-account = Account at { $provider }
user-account-linked = linked
user-unlink = Unlink
user-unlink-of = the account at { $provider }
user-unlink-title = Unlink account
user-ways-not-yourself = This is for other users. You change your own password, and turn your own second step off, under Security; for anything else ask another administrator, or use the command line.
user-unlink-effect = The account that { $name } has at { $provider } is theirs no more, and they are signed out of these pages. The next account with their e-mail address or name that signs in there becomes theirs. No token ends.
notice-user-second-removed = The second step was removed.
notice-user-unlinked = The account was unlinked.
user-reset = Reset password
user-reset-title = Reset password
user-reset-effect = You get a link with which { $name } sets a new password. It is good once. Until it is used nothing changes, and a link from before is no longer good.
user-reset-button = Make link
user-link = Link for
user-link-once = Copy the link now and hand it to nobody but the user. It is shown this once.
user-link-leave = The link was not copied yet, and cannot be shown again. Leave anyway?
user-link-address = It begins with the address at which people reach Patrol.
user-link-until = Good until:
user-link-copy = Copy link
user-link-not-copied = The browser did not copy it. The link is selected: copy it by hand.
