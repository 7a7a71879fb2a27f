"""aiohttp-retry, as its README has it: what is tried again, how often, what is said of it.  Prints what it saw, as JSON."""

import asyncio
import json
import sys

from aiohttp import ClientConnectionError, ClientResponseError, ClientSession, ClientTimeout, TraceConfig
from aiohttp_retry import (
    ExponentialRetry,
    FibonacciRetry,
    JitterRetry,
    ListRetry,
    RandomRetry,
    RequestParams,
    RetryClient,
)

seen = {}
base = sys.argv[1]
QUICK = {"start_timeout": 0.001, "max_timeout": 0.01}


async def statuses():
    options = ExponentialRetry(attempts=1)
    client = RetryClient(raise_for_status=False, retry_options=options)
    async with client.get(f"{base}/times/once/0") as response:
        seen["once"] = [response.status, await response.text()]
    await client.close()

    async with RetryClient(retry_options=ExponentialRetry(attempts=5, **QUICK)) as client:
        async with client.get(f"{base}/times/third/2") as response:
            seen["third"] = [response.status, await response.text()]
        response = await client.get(f"{base}/times/never/100")
        seen["never"] = response.status
        response = await client.post(f"{base}/times/not_found/2?status=404", json={"a": 1})
        seen["not_found"] = response.status
        options = ExponentialRetry(attempts=5, statuses={404}, **QUICK)
        response = await client.post(f"{base}/times/found/2?status=404", retry_options=options, json={"a": 1})
        seen["found"] = [response.status, await response.text()]
        options = ExponentialRetry(attempts=5, retry_all_server_errors=False, **QUICK)
        seen["server_errors"] = (await client.get(f"{base}/times/server_errors/2", retry_options=options)).status
        options = ExponentialRetry(attempts=3, methods={"GET"}, **QUICK)
        seen["methods"] = (await client.put(f"{base}/times/methods/2", retry_options=options)).status


async def waits():
    kinds = {
        "random": RandomRetry(attempts=3, min_timeout=0.001, max_timeout=0.01),
        "list": ListRetry([0.001, 0.002, 0.003]),
        "fibonacci": FibonacciRetry(attempts=3, multiplier=0.001),
        "jitter": JitterRetry(attempts=3, start_timeout=0.001, random_interval_size=0.001),
    }
    async with RetryClient() as client:
        for name, options in kinds.items():
            async with client.get(f"{base}/times/{name}/2", retry_options=options) as response:
                seen[name] = [response.status, await response.text()]


async def judged():
    """A callback that reads the response before the caller does."""

    async def complete(response):
        return (await response.json(content_type=None))["attempt"] == 3

    options = ExponentialRetry(attempts=5, evaluate_response_callback=complete, **QUICK)
    async with RetryClient(retry_options=options) as client:
        async with client.get(f"{base}/times/judged/0") as response:
            seen["judged"] = await response.json(content_type=None)


async def faults():
    """Connections that break, and what is raised when the attempts are used up."""
    options = ExponentialRetry(attempts=3, exceptions={ClientConnectionError}, **QUICK)
    async with RetryClient(retry_options=options) as client:
        async with client.post(f"{base}/times/dropped/2?drop=1", data=b"x") as response:
            seen["dropped"] = [response.status, await response.text()]
        try:
            await client.post(f"{base}/times/always_dropped/100?drop=1", data=b"x")
        except ClientConnectionError as error:
            seen["always_dropped"] = type(error).__name__
    options = ExponentialRetry(attempts=3, exceptions={TimeoutError}, **QUICK)
    async with RetryClient(retry_options=options, timeout=ClientTimeout(total=0.1)) as client:
        try:
            await client.get(f"{base}/silent")
        except TimeoutError:
            seen["silent"] = True
    async with RetryClient(raise_for_status=True, retry_options=ExponentialRetry(attempts=2, **QUICK)) as client:
        try:
            await client.get(f"{base}/times/raised/100")
        except ClientResponseError as error:
            seen["raised"] = [error.status, error.message, str(error.request_info.real_url) == f"{base}/times/raised/100"]
    options = ExponentialRetry(attempts=5, exceptions={ClientResponseError}, **QUICK)
    session = ClientSession(raise_for_status=True)
    async with RetryClient(client_session=session, retry_options=options) as client:
        async with client.get(f"{base}/times/raised_twice/2") as response:
            seen["raised_twice"] = response.status
    seen["closed"] = session.closed


async def other_places():
    """Each attempt somewhere else, or with other fields."""
    async with RetryClient(retry_options=ExponentialRetry(attempts=4, **QUICK)) as client:
        async with client.get(url=[f"{base}/times/first/9", f"{base}/times/second/0"]) as response:
            seen["second"] = await response.text()
        asked = [
            RequestParams(method="GET", url=f"{base}/times/plain/9"),
            RequestParams(method="POST", url=f"{base}/echo", headers={"X-Own": "yes"}, kwargs={"json": [1]}),
        ]
        async with client.requests(params_list=asked) as response:
            told = await response.json()
            seen["params"] = [told["method"], told["headers"]["x-own"], told["json"]]


async def traced():
    """Trace functions are told the number of the attempt."""
    attempts, ends = [], []

    async def on_request_start(session, context, params):
        attempts.append([context.trace_request_ctx["current_attempt"], params.method, params.url.path])

    async def on_request_end(session, context, params):
        ends.append(params.response.status)

    trace_config = TraceConfig()
    trace_config.on_request_start.append(on_request_start)
    trace_config.on_request_end.append(on_request_end)
    client = RetryClient(retry_options=ExponentialRetry(attempts=3, **QUICK), trace_configs=[trace_config])
    await client.get(f"{base}/times/traced/2", ssl=False)
    await client.close()
    seen["traced"] = [attempts, ends]


async def main():
    for part in (statuses, waits, judged, faults, other_places, traced):
        await part()


asyncio.run(main())
print(json.dumps(seen, indent=1))
