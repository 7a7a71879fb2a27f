"""What a client does with more than one request: files, event streams, WebSockets.  How is said where each is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from yarl import URL

    from ..protocol.websocket_deflate import Deflate
    from .download import Download
    from .keywords import GetOptions, HandshakeOptions
    from .progress import Progress
    from .reconnect import Reconnect
    from .sse import EventStream
    from .websocket import WebSocketCall

__all__ = ["Services"]


class Services:
    """What is made of several requests, for a class that has the verbs."""

    __slots__ = ()

    if TYPE_CHECKING:
        request: Callable[..., Any]

    async def download(
        self,
        url: str | URL,
        path: str | os.PathLike[str],
        *,
        resume: bool = True,
        progress: Progress | bool | None = None,
        digest: str | None = None,
        size: int | None = None,
        overwrite: bool | None = None,
        attempts: int = 5,
        fsync: bool = False,
        **options: Unpack[GetOptions],
    ) -> Download:
        """GET `url` into the file `path`, which is there when it is complete and right, and not before.

        What is not complete is in `path` with `.part` behind it, with a small record of what it is a part of (`.part.json`).

        path       where the file goes; in a folder that is there, under the last segment of `url`, whatever a redirect or the
                   server says
        resume     go on with what an earlier call has left, if the server confirms that the file is the same
        progress   a function of the bytes done and the bytes in all (None if not known), called ten times a second at the most;
                   a `ProgressBar`; or True for one
        digest     `"sha256:…"`, in hexadecimal, of the file that is expected, or `"sha256"` to have it computed; any algorithm
                   that `hashlib` guarantees
        size       the length in bytes that is expected
        overwrite  replace a file that is there; None: if `path` named it, but not in a folder
        attempts   how many times in a row a transfer that was cut may bring nothing new before its error is raised
        fsync      have the operating system write all to the disk before the file appears
        options    as for `get`; `request_timeout` bounds each request until its head is there

        Raises `StatusError` for any status but 2xx, `CorruptBody` where size or digest (also that of `Repr-Digest` and
        `Content-Digest`, RFC 9530) differ, after which what came is in `path` with `.corrupt` behind it; `UsageError` if the file
        is being downloaded already; `FileExistsError` and any other `OSError` of the file system; and what `request` and
        `HttpResponse.iter_bytes` raise.
        """
        from .download import fetch

        return await fetch(
            self,  # type: ignore[arg-type]
            url,
            path,
            resume=resume,
            progress=progress,
            digest=digest,
            size=size,
            overwrite=overwrite,
            attempts=attempts,
            fsync=fsync,
            options=options,
        )

    def events(
        self,
        url: str | URL,
        method: str = "GET",
        *,
        last_event_id: str = "",
        reconnect: bool | None = None,
        max_reconnects: int | None = None,
        reconnection_time: float = 3.0,
        max_wait: float = 60.0,
        heartbeat: float | None = None,
        max_line: int = 4_194_304,
        max_event: int = 16_777_216,
        follow: bool = True,
        **options: Any,
    ) -> EventStream:
        """Server-Sent Events: `async for event in client.events(url)`, or `async with` it, which connects at once.

        last_event_id      sent as `Last-Event-ID`: where an earlier stream ended
        reconnect          ask again when the stream ends or breaks; None is True for GET and False for other methods, which would
                           do again what they did.  The first connection must succeed
        max_reconnects     so many in a row that bring nothing; None for no limit
        reconnection_time  seconds before the next connection, unless the server says `retry`; doubled while they bring nothing
        max_wait           seconds that it is never longer, whatever the server says
        heartbeat          seconds without a byte, be it a comment, after which the connection is given up for dead; None is
                           `sock_read` of the time limits
        max_line, max_event  bytes of one line, characters of the data lines of one event
        follow             redirects, True here
        options            the keywords of `request`, data and json for a POST among them

        204 ends the stream.  Raises `UsageError` for a bad argument; in iteration `StatusError` for any status but 200 (after the
        first connection 408, 425, 429, 500, 502, 503 and 504 are asked again), `InvalidResponse` for a body that is not
        `text/event-stream`, `LimitExceeded`, and without `reconnect` what ended the body early.
        """
        from ..protocol.sse import EventParser
        from .sse import EventStream, Reconnection

        call = self.request(url, method, follow=follow, **options)
        return EventStream(
            self,  # type: ignore[arg-type]
            call.method,
            url,
            call.given,
            EventParser(max_line, max_event, last_event_id),
            Reconnection(reconnection_time, max_wait),
            reconnect=reconnect,
            max_reconnects=max_reconnects,
            heartbeat=heartbeat,
        )

    def websocket(
        self,
        url: str | URL,
        *,
        protocols: Sequence[str] = (),
        heartbeat: float | None = None,
        compression: bool | Deflate = True,
        max_size: int | None = 1024 * 1024,
        max_fragments: int = 131072,
        max_queue: int = 262144,
        close_timeout: float = 10.0,
        auto_pong: bool = True,
        origin: str | None = None,
        reconnect: bool | Reconnect | None = None,
        follow: bool = True,
        **options: Unpack[HandshakeOptions],
    ) -> WebSocketCall:
        """Open a WebSocket (RFC 6455): `async with client.websocket("wss://…") as ws`, which closes it at the end; or `await` it.

        With `reconnect`, `async for ws in client.websocket(…)` gives a new one whenever the loop comes back for it.

        url            ws or wss, or http or https, which mean the same; no fragment
        protocols      the subprotocols offered, the preferred one first; `ws.subprotocol` is the one that the server chose
        heartbeat      seconds without a byte after which the peer is given up for gone; after half of them it is sent a ping.
                       None waits for ever
        compression    offer permessage-deflate (RFC 7692): True, False, or a `Deflate` that says how
        max_size       bytes of one message, after inflating, 1 MiB; None for no limit; one that is larger ends it with 1009
        max_fragments  frames that one message may come in
        max_queue      bytes of messages that may wait to be received, 256 KiB, before the socket is left alone
        close_timeout  seconds that the peer has to answer a close and end the connection, 10
        auto_pong      answer pings; False gives them, and pongs, out as messages
        origin         the `Origin` field; none by default, for it names the page that a browser shows
        reconnect      True, or a `Reconnect` that says when to try again and how often
        follow         redirects of the handshake, True here; never from wss to ws
        options        those keywords of `get` that a handshake has a use for.  The time limits hold for the handshake;
                       `request_timeout` ends with it

        The handshake is a GET of the client's: middlewares, redirects, retries, credentials, cookies, proxies (which are asked
        for a tunnel) and observers see it as any other.  Once open, the WebSocket takes no place in the pool; `close` of the
        client closes it with 1001.

        Raises `UsageError` for a bad argument, at once; when it is opened `StatusError` for any answer but 101, with a `response`
        whose body can be read if it is no longer than 64 KiB, `InvalidResponse` for a 101 that does not answer what was asked,
        and what `request` raises.
        """
        from .websocket import prepare_websocket

        settings = {
            "heartbeat": heartbeat,
            "max_size": max_size,
            "max_fragments": max_fragments,
            "max_queue": max_queue,
            "close_timeout": close_timeout,
        }
        call = self.request(url, "GET", follow=follow, **options)
        return prepare_websocket(
            self,  # type: ignore[arg-type]
            url,
            call.given,
            settings,
            auto_pong=auto_pong,
            protocols=protocols,
            compression=compression,
            origin=origin,
            reconnect=reconnect,
        )
