resp = await session.get('http://python.org')
await session.post('http://httpbin.org/post',
                   data=resp.content)
