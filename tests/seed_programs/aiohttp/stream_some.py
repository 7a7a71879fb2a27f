async with session.get('https://api.github.com/events') as resp:
    await resp.content.read(10)
