"""wirebird: the HTTP library for asyncio."""
