async with session.get('https://api.github.com/events') as resp:
    print(resp.status)
    print(await resp.text())
