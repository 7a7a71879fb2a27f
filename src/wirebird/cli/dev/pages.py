"""The pages of the development server.  All that they show is escaped: it comes from clients and from exceptions."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from http import HTTPStatus
from time import localtime, strftime
from typing import Final

from ...web.error_page import failure_html, failure_text
from ...web.failures import Failure
from .records import Record
from .route_table import RouteRow

__all__ = ["PHRASES", "failure", "overview", "request", "routes", "script"]

PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


def script(name: str) -> str:
    """What is added to every page; `name` is that of this process."""
    return f'<script src="/__wirebird__/live.js?of={escape(name)}"></script>'


def overview(records: list[Record], name: str) -> str:
    """The last requests."""
    rows = "".join(
        f'<tr><td class="number">{record.number}</td><td>{strftime("%H:%M:%S", localtime(record.moment))}</td>'
        f'<td>{escape(record.method)}</td><td class="code">'
        f'<a href="/__wirebird__/requests/{record.number}">{escape(record.target)}</a></td>'
        f'<td class="{_tone(record)}">{escape(record.outcome)}</td><td class="number">{_duration(record.end_at)}</td>'
        f'<td class="number">{record.size}</td></tr>'
        for record in records
    )
    head = '<tr><th class="number">#</th><th>at</th><th>method</th><th>target</th><th>status</th><th class="number">time</th>'
    table = f'<table>{head}<th class="number">bytes</th></tr>{rows}</table>'
    return _page("Requests", f"<h1>Requests</h1>{table if records else '<p class=quiet>There were none yet.</p>'}", name)


def request(record: Record, name: str) -> str:
    """One of them."""
    body = [
        f'<h1>{escape(record.method)} {escape(record.target)} <span class="{_tone(record)}">{escape(record.outcome)}</span></h1>'
    ]
    body.append(_facts(record))
    if record.failures:
        body.append(f'<div class="failure">{failure_html(record.failures)}</div>')
    body += [f"<h2>Request</h2>{_table(record.fields)}", f"<h2>Response</h2>{_table(record.answer)}"]
    return _page(f"{record.method} {record.target}", "".join(body), name)


def routes(rows: list[RouteRow], name: str) -> str:
    """The routes."""
    lines = "".join(
        f'<tr><td>{escape(row.methods)}</td><td class="code">{escape(row.path)}</td><td>{escape(row.name)}</td>'
        f'<td class="code quiet">{escape(row.handler)}</td></tr>'
        for row in rows
    )
    table = f"<table><tr><th>method</th><th>path</th><th>name</th><th>handler</th></tr>{lines}</table>"
    return _page("Routes", f"<h1>Routes</h1>{table if rows else '<p class=quiet>The application does not say.</p>'}", name)


def failure(failures: list[Failure], record: Record | None, name: str) -> str:
    """What went wrong, the last exception first; with the request, if it was one that brought it about."""
    last = failures[-1]
    body = [f'<div class="failure">{failure_html(failures)}</div>']
    if record is not None:
        body += [_facts(record), f"<h2>Request</h2>{_table(record.fields)}"]
    body.append(f"<details><summary>As text</summary><pre>{escape(failure_text(failures))}</pre></details>")
    return _page(f"{last.kind}: {last.message}"[:200], "".join(body), name)


# -- parts ---------------------------------------------------------------------------------------------------------------


def _page(title: str, body: str, name: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        '<link rel="stylesheet" href="/__wirebird__/dev.css"></head><body><header><b>wirebird dev</b>'
        '<a href="/__wirebird__/">Requests</a><a href="/__wirebird__/routes">Routes</a><a href="/">Application</a></header>'
        f"<main>{body}</main>{script(name)}</body></html>"
    )


def _facts(record: Record) -> str:
    facts = [
        ("at", strftime("%Y-%m-%d %H:%M:%S", localtime(record.moment))),
        ("from", record.peer),
        ("route", record.route),
        ("until the head of the response", _duration(record.head_at)),
        ("until its end", _duration(record.end_at)),
        ("body", f"{record.size} bytes{', the script for this page among them' if record.injected else ''}"),
    ]
    return _table((name, value) for name, value in facts if value)


def _table(rows: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f'<tr><th>{escape(name)}</th><td class="code">{escape(value)}</td></tr>' for name, value in rows)
    return f'<table class="facts">{lines}</table>'


def _duration(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f} ms"


def _tone(record: Record) -> str:
    return "bad" if record.failures or record.status >= 500 else "good" if 0 < record.status < 400 else "quiet"
