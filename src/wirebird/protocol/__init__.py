"""Bytes in, events out, and back: the protocols without a socket, a loop, a clock or randomness."""
