"""What is answered when an application fails: nothing to strangers, and everything to whoever writes it.

Without `Application(debug=True)` the server says `500 Internal Server Error` and logs the rest.  With it the answer is a page
with the traceback, or the same as text for a client that does not ask for HTML, and it is logged as well.  All of it is escaped:
it comes from clients and from exceptions.  What is secret by its name is not shown, neither in the request nor in the exception,
and the page may load and run nothing (Content-Security-Policy).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

from ..models.redaction import hidden_field, hidden_params, printable, read_hide
from .failures import Failure, Frame, explain
from .response import Response

if TYPE_CHECKING:
    from .request import Request

__all__ = ["STYLE", "Section", "about_request", "answer_failure", "failure_html", "failure_text", "page", "show_failure"]

_SECRETS: Final = read_hide(True)

STYLE: Final = """
body{margin:0;font:15px/1.5 system-ui,sans-serif;color:#1c1c1c;background:#fafafa}
main{max-width:70rem;margin:0 auto;padding:1.5rem}
h1{margin:1.5rem 0 .25rem;font-size:1.4rem;color:#a4161a;overflow-wrap:anywhere}h2{margin:2rem 0 .5rem;font-size:1.1rem}
.message{white-space:pre-wrap;overflow-wrap:anywhere;font-size:1.05rem}.quiet{color:#666}
details{margin:.4rem 0;border:1px solid #ddd;border-radius:4px;background:#fff}
summary{padding:.3rem .6rem;cursor:pointer;overflow-wrap:anywhere}.library summary{color:#777}
pre,.code{margin:0;font:13px/1.5 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
.lines pre{padding:0 .6rem}.lines span{display:inline-block;min-width:3em;color:#999;user-select:none}.now{background:#ffe9a8}
table{width:100%;border-collapse:collapse}th,td{padding:.2rem .6rem;text-align:left;vertical-align:top;border-top:1px solid #eee}
th{width:14rem;font-weight:500;overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}details{background:#222;border-color:#444}h1{color:#ff7b72}
.now{background:#5a4a00}th,td{border-color:#333}.quiet,.library summary{color:#999}}
"""

# The page is to be looked at, and to do nothing.
_FIELDS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_BELOW: Final = {
    "cause": "It was raised because of the one below.",
    "context": "It was raised while the one below was handled.",
    "group": "It is a group of those below.",
}
_ABOVE: Final = {"cause": "That was the cause of:", "context": "While that was handled:", "group": "All that together:"}


class Section(NamedTuple):
    """A part of a page: a title above a table of names and values."""

    title: str
    rows: Sequence[tuple[str, str]]


async def answer_failure(request: Request, error: Exception) -> None:
    """Answer the request with what went wrong, if there is no response yet."""
    if not request.exchange.begun:
        await show_failure(request, error).deliver(request)


def show_failure(request: Request, error: BaseException, *, variables: bool = False, more: Sequence[Section] = ()) -> Response:
    """The response that shows it: a page for a client that wants HTML, else text.

    The `variables` of each frame, and `more` sections, are for the page.
    """
    wants_page = _wants_html(request)
    failures = explain(error, variables=variables and wants_page)
    if not wants_page:
        return Response(status=500, text=failure_text(failures), headers=_FIELDS | {"Content-Type": "text/plain; charset=utf-8"})
    last = failures[-1]
    body = failure_html(failures) + "".join(_section(one) for one in (*about_request(request), *more))
    html = page(f"{last.kind}: {last.message}"[:200], body)
    # A lone half of a surrogate pair, which a message may hold, is no Unicode.
    encoded = html.encode("utf-8", "backslashreplace")
    return Response(status=500, body=encoded, headers=_FIELDS | {"Content-Type": "text/html; charset=utf-8"})


def _wants_html(request: Request) -> bool:
    for value in request.headers.get_list("accept"):
        for part in value.split(","):
            kind, _, parameters = part.partition(";")
            if kind.strip(" \t").lower() == "text/html":
                return parameters.replace(" ", "").lower() not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def about_request(request: Request) -> list[Section]:
    """What the request was, with nothing in it that is secret."""
    head = [
        ("method", request.method),
        ("target", hidden_params(request.raw_path, _SECRETS)),
        ("from", request.exchange.peer),
    ]
    match = getattr(request, "match_info", None)
    if match:
        head.append(("matched", ", ".join(f"{name}={value}" for name, value in match.items())))
    fields = [(name, printable(hidden_field(name, value, _SECRETS))) for name, value in request.headers.items()]
    return [Section("Request", [(name, printable(value)) for name, value in head]), Section("Its fields", fields)]


def failure_text(failures: Iterable[Failure]) -> str:
    """A chain of exceptions as text, the last one at the end."""
    text = "\n".join(f"{_ABOVE[one.relation]}\n\n{one.text}" if one.relation else one.text for one in failures)
    return text.encode("utf-8", "backslashreplace").decode()


def failure_html(failures: Sequence[Failure]) -> str:
    """A chain of exceptions as a part of a page, the last one at the top."""
    return "".join(_failure(one) for one in reversed(failures))


def page(title: str, body: str) -> str:
    """A whole page; `body` is HTML."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body><main>{body}</main></body></html>'
    )


def _failure(one: Failure) -> str:
    relation = f'<p class="quiet">{_BELOW[one.relation]}</p>' if one.relation else ""
    open_at = max((at for at, frame in enumerate(one.frames) if frame.own), default=len(one.frames) - 1)
    frames = "".join(_frame(frame, at == open_at) for at, frame in enumerate(one.frames))
    return f'<h1>{escape(one.kind)}</h1><div class="message">{escape(one.message)}</div>{relation}{frames}'


def _frame(frame: Frame, is_open: bool) -> str:
    lines = "".join(
        f"<pre{' class=now' if number == frame.line else ''}><span>{number}</span>{escape(code)}</pre>"
        for number, code in frame.lines
    )
    return (
        f'<details class="{"own" if frame.own else "library"}"{" open" if is_open else ""}>'
        f"<summary>{escape(frame.file)}:{frame.line} <b>{escape(frame.function)}</b></summary>"
        f'<div class="lines">{lines}</div>{_table(frame.variables)}</details>'
    )


def _section(section: Section) -> str:
    return f"<h2>{escape(section.title)}</h2>{_table(section.rows)}"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    lines = "".join(f'<tr><th>{escape(name)}</th><td class="code">{escape(value)}</td></tr>' for name, value in rows)
    return f"<table>{lines}</table>" if lines else ""
