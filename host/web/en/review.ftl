# The administrators' review of all tokens.
nav-review = All tokens
review-title = Tokens of the organisation
review-owner = User
review-owner-hint = User name or identifier
review-name-hint = Part of the name
review-state-live = Active
review-state-all = Active and ended
review-state-ended = Ended
review-used = Use
review-used-any = Any
review-used-never = Never used
review-unused = Not used since
review-since = Used since
review-ends = Ends before
review-filter = Filter
review-reset = Clear the filter
review-filtered = Shown are only tokens with:
# The condition's name follows.
review-without = Without the condition
review-export = Export CSV
review-select = Select
review-revoke = Revoke
review-revoke-selected = Revoke the selection
review-revoke-all = Revoke all of this user
review-cause-expiration-date = Expiration date
review-cause-idle = Not used for too long
review-cause-revoked = Revoked
review-cause-auth-method-changed = Authentication method changed
review-cause-owner-deleted = User deleted
review-cause-other = Other
review-empty = No token fits.
review-stopped = Many tokens were looked at and few of them fit. Go on to search the others.
review-pages = Pages
review-first = To the beginning
review-next = Next
review-search-on = Search on
review-error-owner = There is no user of this name in the organisation.
review-error-date = A date cannot be read. Write it as in 2027-01-31.
review-error-place = This page belongs to another filter. Begin again.
review-error-none = No token is selected. Go back and select some.

# Before revoking.
review-revoke-title = Revoke tokens
review-effect = { $count ->
    [one] { $count } token
   *[other] { $count } tokens
} would be revoked.
review-effect-owners = { $count ->
    [one] They belong to { $count } user.
   *[other] They belong to { $count } users.
}
review-effect-sessions = { $count ->
    [one] { $count } session would end with them.
   *[other] { $count } sessions would end with them.
}
review-effect-ended = { $count ->
    [one] { $count } of the selection has ended already, and stays as it is.
   *[other] { $count } of the selection have ended already, and stay as they are.
}
review-effect-final = What signs in with them is refused from that moment. This cannot be undone.
review-effect-all = All active tokens of one user are meant, also one that is created meanwhile.
review-nothing = There is nothing to revoke.
review-sessions = Sessions
review-confirm = Revoke
review-cancel = Cancel

# After it.
review-revoked-title = Revocation
review-revoked = { $count ->
    [0] No token was revoked.
    [one] { $count } token was revoked.
   *[other] { $count } tokens were revoked.
}
review-kept = Not revoked
review-why = Why
review-kept-unknown = Patrol could not answer. Try again.
review-back = Back to the list
