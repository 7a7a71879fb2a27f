"""The optional policies of a client: each an ordinary middleware, in the pipeline only if the client uses it."""
