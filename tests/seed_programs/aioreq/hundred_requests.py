import asyncio
from wirebird.compat import aioreq

async def main():
   async with aioreq.http.Client() as cl:
       tasks = []
       for j in range(100):
           tasks.append(
                         asyncio.create_task(
                             cl.get('https://www.google.com/', )
                                 )
                       )
       await asyncio.gather(*tasks)

asyncio.run(main())
