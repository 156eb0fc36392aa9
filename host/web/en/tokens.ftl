tokens-title = Personal access tokens
tokens-name = Name
tokens-created = Created
tokens-ends = Ends
