"""`python -m demo`: wirebird's client at work against a server in a process of its own, on this machine and without a network."""
