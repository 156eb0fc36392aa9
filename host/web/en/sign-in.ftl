sign-in-title = Sign in
sign-in-tenant = Organization
sign-in-user = User name
sign-in-password = Password
sign-in-button = Sign in
sign-in-wrong = User name or password is wrong, or you sign in another way.
