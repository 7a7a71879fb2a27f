async with session.get('https://api.github.com/events') as resp:
    print(await resp.json())
