"""Values that every layer above shares: URLs, headers, cookies, messages.  No I/O, no clock, no randomness."""
