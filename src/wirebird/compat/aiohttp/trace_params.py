"""What the signals of a `TraceConfig` send: one class for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from multidict import CIMultiDict
from yarl import URL

__all__ = [
    "TraceConnectionCreateEndParams",
    "TraceConnectionCreateStartParams",
    "TraceConnectionQueuedEndParams",
    "TraceConnectionQueuedStartParams",
    "TraceConnectionReuseconnParams",
    "TraceDnsCacheHitParams",
    "TraceDnsCacheMissParams",
    "TraceDnsResolveHostEndParams",
    "TraceDnsResolveHostStartParams",
    "TraceRequestChunkSentParams",
    "TraceRequestEndParams",
    "TraceRequestExceptionParams",
    "TraceRequestHeadersSentParams",
    "TraceRequestRedirectParams",
    "TraceRequestStartParams",
    "TraceResponseChunkReceivedParams",
]


@dataclass(frozen=True, slots=True)
class TraceRequestStartParams:
    """What `on_request_start` sends."""

    method: str
    url: URL
    headers: CIMultiDict[str]


@dataclass(frozen=True, slots=True)
class TraceRequestChunkSentParams:
    """What `on_request_chunk_sent` sends."""

    method: str
    url: URL
    chunk: bytes


@dataclass(frozen=True, slots=True)
class TraceResponseChunkReceivedParams:
    """What `on_response_chunk_received` sends."""

    method: str
    url: URL
    chunk: bytes


@dataclass(frozen=True, slots=True)
class TraceRequestEndParams:
    """What `on_request_end` sends."""

    method: str
    url: URL
    headers: CIMultiDict[str]
    response: Any


@dataclass(frozen=True, slots=True)
class TraceRequestExceptionParams:
    """What `on_request_exception` sends."""

    method: str
    url: URL
    headers: CIMultiDict[str]
    exception: BaseException


@dataclass(frozen=True, slots=True)
class TraceRequestRedirectParams:
    """What `on_request_redirect` sends."""

    method: str
    url: URL
    headers: CIMultiDict[str]
    response: Any


@dataclass(frozen=True, slots=True)
class TraceConnectionQueuedStartParams:
    """What `on_connection_queued_start` sends."""


@dataclass(frozen=True, slots=True)
class TraceConnectionQueuedEndParams:
    """What `on_connection_queued_end` sends."""


@dataclass(frozen=True, slots=True)
class TraceConnectionCreateStartParams:
    """What `on_connection_create_start` sends."""


@dataclass(frozen=True, slots=True)
class TraceConnectionCreateEndParams:
    """What `on_connection_create_end` sends."""


@dataclass(frozen=True, slots=True)
class TraceConnectionReuseconnParams:
    """What `on_connection_reuseconn` sends."""


@dataclass(frozen=True, slots=True)
class TraceDnsResolveHostStartParams:
    """What `on_dns_resolvehost_start` sends."""

    host: str


@dataclass(frozen=True, slots=True)
class TraceDnsResolveHostEndParams:
    """What `on_dns_resolvehost_end` sends."""

    host: str


@dataclass(frozen=True, slots=True)
class TraceDnsCacheHitParams:
    """What `on_dns_cache_hit` sends."""

    host: str


@dataclass(frozen=True, slots=True)
class TraceDnsCacheMissParams:
    """What `on_dns_cache_miss` sends."""

    host: str


@dataclass(frozen=True, slots=True)
class TraceRequestHeadersSentParams:
    """What `on_request_headers_sent` sends."""

    method: str
    url: URL
    headers: CIMultiDict[str]
