nav-security = Security
second-title = Second step
second-enrol-title = Set up a second step
second-scan = Scan this with an authenticator app, then enter the code that it shows.
second-type = Or type this key into it:
second-code = Code
second-hint = Six digits from your authenticator app, or one of your recovery codes.
second-button = Continue
second-wrong = This is wrong, or was used before. A code works once: wait for the next one.
recovery-title = Recovery codes
recovery-once = These are shown only now. Each works once in place of a code, when your authenticator app is lost: keep them where it is not.
recovery-done = I have kept them
security-title = Security
security-password = Password
security-password-current = Current password
security-password-hint = Everywhere else you are signed out. Tokens are not affected.
security-password-change = Change password
security-password-wrong = This is not your current password. Nothing was changed.
notice-password-changed = Your password is changed.
security-second = Second step at sign-in
security-on = On
security-off = Off
security-why = A code from an app on your phone, besides the password, keeps out whoever has learned the password.
security-left = { $count ->
    [one] { $count } recovery code is left.
   *[other] { $count } recovery codes are left.
}
security-renew = New recovery codes
security-required = Your organization asks for the second step.
security-turn-on = Turn on
security-turn-off = Turn off
security-sessions = Where you are signed in
security-sessions-hint = If you have left a browser signed in somewhere, end its session from here. Tokens are not affected.
security-sign-out = Sign out everywhere else
