"""gql's transports over aiohttp, as its manual has them: queries, batches, files, subscriptions.  Prints what it saw, as JSON."""

import asyncio
import io
import json
import logging
import sys
import tempfile
from pathlib import Path

from aiohttp import ClientSession
from gql import Client, FileVar, GraphQLRequest, gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.aiohttp_websockets import AIOHTTPWebsocketsTransport
from gql.transport.exceptions import (
    TransportConnectionFailed,
    TransportQueryError,
    TransportServerError,
)

logging.getLogger("gql").setLevel(logging.CRITICAL)
seen = {}
base, sockets = sys.argv[1:]
CONTINENTS = gql("query getContinents { continents { code name } }")
NAME = "query getName($code: String!) { continent(code: $code) { name } }"
UPLOAD = "mutation($file: Upload!) { upload(file: $file) { name size } }"
COUNT = "subscription($to: Int!) { count(to: $to) }"


def blocking():
    """The first example of the manual."""
    transport = AIOHTTPTransport(url=f"{base}/graphql")
    client = Client(transport=transport)
    seen["blocking"] = client.execute(CONTINENTS)


async def session():
    transport = AIOHTTPTransport(url=f"{base}/graphql", headers={"X-Own": "yes"}, cookies={"a": "1"}, timeout=10)
    async with Client(transport=transport, fetch_schema_from_transport=True) as client:
        found = await asyncio.gather(
            *[client.execute(GraphQLRequest(NAME, variable_values={"code": code})) for code in ("AF", "EU", "AS")]
        )
        seen["names"] = [one["continent"]["name"] for one in found]
        request = gql("{ told }")
        seen["told"] = json.loads((await client.execute(request))["told"])
        seen["type"] = transport.response_headers["Content-Type"]
        requests = [GraphQLRequest(NAME, variable_values={"code": code}) for code in ("EU", "AF")]
        seen["batch"] = [one["continent"]["name"] for one in await client.execute_batch(requests)]
        try:
            await client.execute(gql("{ wrong }"))
        except TransportQueryError as error:
            seen["wrong"] = error.errors[0]["message"]
        seen["extra"] = await client.execute(CONTINENTS, extra_args={"headers": {"X-Own": "once"}})


async def faults():
    transport = AIOHTTPTransport(url=f"{base}/status/503")
    async with Client(transport=transport) as client:
        try:
            await client.execute(CONTINENTS)
        except TransportServerError as error:
            seen["503"] = [error.code, str(error).partition(",")[0]]
    transport = AIOHTTPTransport(url=f"{base}/silent", timeout=0.1)
    async with Client(transport=transport) as client:
        try:
            await client.execute(CONTINENTS)
        except (TimeoutError, TransportConnectionFailed) as error:
            seen["silent"] = type(error).__name__


async def uploads():
    transport = AIOHTTPTransport(url=f"{base}/graphql")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "own.txt")
        path.write_bytes(b"one\n" * 50_000)

        async def sender():
            for _ in range(10):
                yield b"0123456789"

        async with Client(transport=transport) as client, ClientSession() as other:
            stream = (await other.get(f"{base}/bytes/70000")).content
            files = {
                "path": FileVar(str(path)),
                "named": FileVar(str(path), filename="other.pdf", content_type="application/pdf"),
                "streamed": FileVar(str(path), streaming=True, streaming_block_size=64 * 1024),
                "object": FileVar(io.BytesIO(b"abc"), filename="memory.txt"),
                "generator": FileVar(sender(), filename="sent.txt"),
                "chained": FileVar(stream, filename="chained.bin"),
            }
            for name, file in files.items():
                request = GraphQLRequest(UPLOAD, variable_values={"file": file})
                seen[name] = (await client.execute(request, upload_files=True))["upload"]


async def subscriptions():
    """One after the other over the two transports that can: a WebSocket, and parts that come as they are there."""
    transport = AIOHTTPWebsocketsTransport(url=f"{sockets}/graphql", headers={"X-Own": "yes"}, heartbeat=10)
    async with Client(transport=transport) as client:
        seen["protocol"] = transport.adapter.websocket.protocol
        seen["count"] = [one["count"] async for one in client.subscribe(GraphQLRequest(COUNT, variable_values={"to": 5}))]
        seen["over_socket"] = await client.execute(CONTINENTS)

        async def count(to):
            return [one["count"] async for one in client.subscribe(GraphQLRequest(COUNT, variable_values={"to": to}))]

        seen["counts"] = await asyncio.gather(*[count(to) for to in range(1, 6)])
        async for one in client.subscribe(GraphQLRequest(COUNT, variable_values={"to": 1000})):
            if one["count"] == 3:
                break
    seen["response"] = transport.response_headers["Upgrade"].lower()
    transport = AIOHTTPTransport(url=f"{base}/graphql")
    async with Client(transport=transport) as client:
        seen["parts"] = [one["count"] async for one in client.subscribe(GraphQLRequest(COUNT, variable_values={"to": 4}))]
    # gql leaves a session of its own open where the WebSocket is refused.
    async with ClientSession() as own:
        try:
            await AIOHTTPWebsocketsTransport(url=f"{base}/status/403", session=own).connect()
        except TransportConnectionFailed as error:
            seen["refused"] = [type(error.__cause__).__name__, error.__cause__.status]


async def main():
    for part in (session, faults, uploads, subscriptions):
        await part()


blocking()
asyncio.run(main())
print(json.dumps(seen, indent=1))
