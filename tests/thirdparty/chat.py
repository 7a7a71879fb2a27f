"""Slack's SDK: calls of its API, files, webhooks, what is tried again, events over a WebSocket.  Prints what it saw, as JSON."""

import asyncio
import io
import json
import logging
import sys

from aiohttp import ClientSession
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncConnectionErrorRetryHandler,
    AsyncRateLimitErrorRetryHandler,
    AsyncServerErrorRetryHandler,
)
from slack_sdk.http_retry.builtin_interval_calculators import FixedValueRetryIntervalCalculator
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

logging.basicConfig(stream=sys.stderr, level=logging.CRITICAL)
seen = {}
base, _ = sys.argv[1:]
SOON = FixedValueRetryIntervalCalculator(0.01)


async def calls(client):
    response = await client.chat_postMessage(channel="C1", text="Тест", blocks=[{"type": "divider"}])
    told = response["told"]
    seen["posted"] = [told["type"].partition(";")[0], json.loads(told["body"])["text"], told["authorization"]]
    seen["status"] = [response.status_code, response.headers["X-Slack"]]
    listed = await client.conversations_list(limit=2)
    seen["listed"] = [listed["told"]["query"], [one["name"] async for page in listed for one in page["channels"]]]
    uploaded = await client.api_call("files.upload", files={"file": io.BytesIO(b"of a file")}, data={"title": "a title"})
    seen["uploaded"] = [uploaded["told"]["type"].partition(";")[0], uploaded["told"]["fields"]]
    try:
        await client.chat_delete(channel="C1", ts="1")
    except SlackApiError as error:
        seen["refused"] = [error.response["error"], error.response.status_code]
    many = await asyncio.gather(*[client.api_call("api.test", params={"n": number}) for number in range(20)])
    seen["many"] = [one["told"]["query"] for one in many]


async def webhooks():
    hook = AsyncWebhookClient(f"{base}/slack/hook")
    response = await hook.send(text="hello", headers={"X-Own": "yes"})
    seen["hook"] = [response.status_code, json.loads(response.body)["told"]["own"]]


async def retries():
    handlers = [
        AsyncRateLimitErrorRetryHandler(max_retry_count=2),
        AsyncServerErrorRetryHandler(max_retry_count=2, interval_calculator=SOON),
        AsyncConnectionErrorRetryHandler(max_retry_count=2, interval_calculator=SOON),
    ]
    client = AsyncWebClient(token="xoxb", base_url=f"{base}/times/", retry_handlers=handlers)
    for name in ("limited/1?json=1&status=429", "failed/2?json=1&status=500", "dropped/2?json=1&drop=1"):
        response = await client.api_call(name)
        seen[name.partition("/")[0]] = response["attempt"]


async def events(client):
    """Each is acknowledged over the same WebSocket."""
    socket = SocketModeClient(app_token="xapp", web_client=client, ping_interval=0.05)
    received, done = [], asyncio.Event()

    async def listen(own, request):
        received.append([request.type, request.payload["n"]])
        await own.send_socket_mode_response(
            SocketModeResponse(envelope_id=request.envelope_id, payload={"n": request.payload["n"]})
        )
        if len(received) == 3:
            done.set()

    socket.socket_mode_request_listeners.append(listen)
    await socket.connect()
    await asyncio.wait_for(done.wait(), 10)
    while socket.last_ping_pong_time is None:
        await asyncio.sleep(0.01)
    seen["connected"] = await socket.is_connected()
    await socket.close()
    seen["events"] = received


async def main():
    async with ClientSession() as session:
        client = AsyncWebClient(token="xoxb-token", base_url=f"{base}/slack/", session=session)
        await calls(client)
        await events(client)
    await webhooks()
    await retries()


asyncio.run(main())
print(json.dumps(seen, indent=1))
