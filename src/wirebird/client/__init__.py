"""The client: verbs, responses, and the policies between them and the wire."""
