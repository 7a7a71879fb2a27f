await session.get(
    URL('http://example.com/%30', encoded=True))
