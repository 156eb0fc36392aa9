# What stands on every page.
product = Patrol
skip = Skip to the content
nav-label = Sections
nav-tokens = My tokens
sign-out = Sign out
times-in = Times are in { $zone }.

# Times.
time-utc = UTC
time-moments = less than a minute
time-minutes = { $count ->
    [one] { $count } minute
   *[other] { $count } minutes
}
time-hours = { $count ->
    [one] { $count } hour
   *[other] { $count } hours
}
time-days = { $count ->
    [one] { $count } day
   *[other] { $count } days
}
time-ago = { $span } ago
time-in = in { $span }

# What went wrong.
problem-title = This did not work
problem-status = Status { $count }
problem-home = Back to the start
problem-not-found = There is nothing here: it may have ended, or never have been.
problem-forbidden = This page is for administrators.
problem-busy = Patrol cannot answer at the moment. Nothing was changed. Try again in a moment.
problem-too-many = Too many attempts. Try again in { $count ->
    [one] { $count } second.
   *[other] { $count } seconds.
}
problem-foreign = Another site sent this form. Nothing was changed.
problem-stale-form = This form is from an earlier session. Nothing was changed: go back, reload the page, and try again.
problem-form = What was sent cannot be read as a form. Nothing was changed.
problem-query = The address of this page is not complete or not understood.

# What was done.
notice-second-over = The second step took too long, or failed too often. Sign in again.
notice-second-off = The second step is turned off.
notice-signed-out-elsewhere = You are signed out everywhere else.
notice-password-set = Your password is set. Sign in with it.
notice-signed-out = You are signed out.
