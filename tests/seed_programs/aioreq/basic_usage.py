from wirebird.compat import aioreq
import asyncio

cl = aioreq.Client()

resp = asyncio.run(
    cl.get('https://www.google.com')
)
resp
resp.status
resp.status_message
resp.request
headers = resp.headers # dict
body = resp.body # bytes object
