"""aiohttp's interface over wirebird."""
