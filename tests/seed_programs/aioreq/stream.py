from wirebird.compat import aioreq
import asyncio

async def main():
       local_file = open('test', 'wb')
       async with aioreq.StreamClient() as cl:
               # This code iterates through the message and yields each received chunk separately.
               async for chunk in cl.get('https://pathtoverybigfile.aioreq'):
                       local_file.write(chunk)

asyncio.run(main())
