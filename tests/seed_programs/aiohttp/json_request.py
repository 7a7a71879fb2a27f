from wirebird.compat import aiohttp

async with aiohttp.ClientSession() as session:
    await session.post(url, json={'test': 'object'})
