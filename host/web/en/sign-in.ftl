sign-in-title = Sign in
sign-in-tenant = Organization
sign-in-user = User name
sign-in-password = Password
sign-in-button = Sign in
sign-in-wrong = User name or password is wrong, or you sign in another way.
sign-in-nobody = Nobody can sign in yet: there is no organization. Open the link that "patrol serve" printed when it started to make one.
