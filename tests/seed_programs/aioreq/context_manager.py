from wirebird.compat import aioreq
import asyncio

async def main():
        async with aioreq.Client() as cl:
                await cl.get('https://google.com')

asyncio.run(main())
