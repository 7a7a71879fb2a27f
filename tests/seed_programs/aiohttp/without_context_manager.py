from wirebird.compat import aiohttp

session = aiohttp.ClientSession()
async with session.get('http://httpbin.org/get'):
    # ...
    ...

await session.close()
