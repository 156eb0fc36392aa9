# The list.
tokens-title = Personal access tokens
tokens-used = { $used } of { $limit } used
tokens-create = Create Token
tokens-name = Name
tokens-state = State
tokens-created = Created
tokens-last-used = Last used
tokens-ends = Ends
tokens-actions = Actions
tokens-from = from
tokens-never = Never
# A time follows: "idle in 3 days".
tokens-ends-idle = idle
# A date follows: "on 31 Jan 2027".
tokens-ends-on = on
# A date follows: "at the latest on 31 Jan 2027".
tokens-ends-latest = at the latest on
tokens-state-active = Active
tokens-state-idle-soon = About to idle out
tokens-state-ends-soon = Ends soon
# A time follows.
tokens-state-rotating = Rotating; old secret works until
tokens-rotate = Rotate
tokens-revoke = Revoke
tokens-idle-hint = A token that is not used ends by itself; every use starts that period anew.
tokens-see-history = See tokens that have ended
tokens-empty-title = You have no tokens yet
tokens-empty = A personal access token lets a script or another program sign in for you, without your password. It can do what you can do, until it ends or you revoke it.
tokens-empty-hint = Create one for each script, so that you can tell them apart and revoke one without the others.

# Create Token.
tokens-new-title = Create Token
tokens-name-hint = What is it for? For example: nightly-backup. Each of your tokens has a name of its own.
tokens-expires = Expiration date
tokens-expires-hint = A day counts to its end in UTC. A token that is not used ends earlier.
tokens-maximum = Maximum
tokens-on-date = On a date
tokens-date = Last day
tokens-date-hint = { $date } at the latest. The token works to the end of the chosen day in UTC.
tokens-cancel = Cancel
tokens-full = You have { $count } tokens, which is as many as allowed. Revoke one that you no longer need first.
tokens-error-name-taken = You have a token of this name. Choose another name.
tokens-error-name = A name has 1 to { $count } characters, and none that cannot be seen.
tokens-error-date = Choose a date.
tokens-error-past = This date is in the past. Choose a later one.
tokens-error-too-far = This date is too far away. Choose { $date } or earlier.
tokens-error-too-far-for-days = No whole day is allowed. Choose the maximum.
tokens-error-limit = You have { $count } tokens, which is as many as allowed. Revoke one that you no longer need, then send this form again.

# The secret.
tokens-created-title = Your new token
tokens-rotated-title = The new secret
tokens-secret-once = Copy the secret now. It is shown this once, and nobody can show it again.
# The token's name follows.
tokens-secret = Secret of
tokens-copy = Copy Secret
tokens-copied = Copied.
tokens-not-copied = The browser did not copy it. The secret is selected: copy it by hand.
tokens-done = Done
tokens-leave = You have not copied the secret, and it cannot be shown again. Leave all the same?
tokens-old-until = The old secret works until
tokens-used-title = This form was used already
# The token's name follows.
tokens-used-before = Its token exists:
tokens-used-after = Its secret cannot be shown again. If you do not have it, rotate the token: it gets a new secret.
tokens-used-under-way = Patrol is at work on it. Look at your tokens in a moment.
tokens-back = Back to my tokens

# Revoke Token.
tokens-revoke-title = Delete
# The token's name follows.
tokens-revoke-which = Revoke the token
tokens-revoke-effect = What signs in with it is refused from this moment, and its sessions end. This cannot be undone.
tokens-delete = Delete
notice-token-revoked = The token is revoked.
notice-token-ended = That token has ended already. History says when and why.

# Rotate.
tokens-rotate-title = Rotate
# The token's name follows.
tokens-rotate-which = Give a new secret to the token
tokens-rotate-effect = Name and dates stay as they are. Put the new secret where the old one is used.
# A time follows.
tokens-rotate-again = This token is being rotated. The secret before the present one stops working at once if you rotate again; otherwise it works until
tokens-overlap = How long the present secret still works
tokens-overlap-none = Not at all
tokens-error-overlap = Choose one of these.
