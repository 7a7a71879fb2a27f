"""Lists of extensions: the grammar of RFC 6455 9.1, what breaks it, and that both roles refuse that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirebird.errors import InvalidRequest, InvalidResponse
from wirebird.protocol.websocket_deflate import Deflate
from wirebird.protocol.websocket_extensions import Extension, parse_extensions

NAME = "permessage-deflate"


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ([], []),
        (["", " ", ",", " , ,\t"], []),
        (["a"], [("a", [])]),
        (["a, b", "c"], [("a", []), ("b", []), ("c", [])]),
        ([",, a ,,b,"], [("a", []), ("b", [])]),
        (["Foo; Bar; BAZ=Qux"], [("foo", [("bar", None), ("baz", "Qux")])]),
        (["a;b;c=d;e"], [("a", [("b", None), ("c", "d"), ("e", None)])]),
        (["a \t;\t b = c ; d\t, e"], [("a", [("b", "c"), ("d", None)]), ("e", [])]),
        (['a; b="c"'], [("a", [("b", "c")])]),
        (['a; b = "1\\0" ; c'], [("a", [("b", "10"), ("c", None)])]),
        (["a; b; b=1, a"], [("a", [("b", None), ("b", "1")]), ("a", [])]),
    ],
)
def test_lists_of_extensions(fields: list[str], wanted: list[tuple[str, list[tuple[str, str | None]]]]) -> None:
    assert parse_extensions(fields, InvalidResponse) == [Extension(*one) for one in wanted]


@pytest.mark.parametrize(
    "field",
    [
        *(";", "a;", "a; ;b", "a;b;", "=", "a=b", "a; b=", "a; =b", "a b", "a; b c", "a; b=c d", "a;;b", '"a"', 'a; "b"'),
        *('a; b="', 'a; b="c', 'a; b=""', 'a; b="c d"', 'a; b="c,d"', 'a; b="c"d', 'a; b="\\', 'a; b="\\"', 'a; b="\\""'),
        *("a; b='c d'", "a/b", "a; b=c/d", "a (x)", "é", "a; b=é", "a\xa0", "a\n", "a; b\n", "\x00", "a\x0b"),
    ],
)
def test_what_is_no_list_of_extensions(field: str) -> None:
    for fields in ([field], ["a", field], [f"x; y=z, {field}"]):
        for error in (InvalidResponse, InvalidRequest):
            with pytest.raises(error, match="malformed Sec-WebSocket-Extensions"):
                parse_extensions(fields, error)
    with pytest.raises(InvalidRequest) as caught:
        Deflate().answer([NAME, field])
    assert caught.value.status == 400
    with pytest.raises(InvalidResponse):
        Deflate().accept([f"{NAME}, {field}"])


def test_errors_show_little_of_what_was_sent() -> None:
    for field in (
        "a" * 50_000 + " b",
        NAME + "; " + "x" * 50_000,
        "x" * 50_000,
        f"{NAME}; server_max_window_bits=" + "1" * 50_000,
    ):
        with pytest.raises(InvalidResponse) as caught:
            Deflate().accept([field])
        assert len(caught.value.message) < 250


@given(st.text(st.sampled_from('ab;,= "\\\t\x00é1'), max_size=40))
def test_any_text_is_a_list_or_an_error(text: str) -> None:
    try:
        found = parse_extensions([text], InvalidResponse)
    except InvalidResponse:
        return
    again = ", ".join("; ".join([name, *(n if v is None else f"{n}={v}" for n, v in rest)]) for name, rest in found)
    assert parse_extensions([again], InvalidResponse) == found


def test_long_fields() -> None:
    """A whole head of it, 64 KiB, read without a step back: with one that steps back this test would not end."""
    field = ",".join(["a;b=c;d"] * 8192)
    assert len(parse_extensions([field], InvalidRequest)) == 8192
    assert Deflate().answer([field]) is None
    assert parse_extensions(["," * 65_000], InvalidRequest) == []
    for hostile in (
        *(" " * 65_000 + "=", "a" + "; b" * 20_000 + ";", "a" + " \t" * 30_000 + "b", "a" * 65_000 + "="),
        *('a; b="' + "\\\\" * 30_000, 'a; b="' + "\\a" * 30_000 + '"c', "a; b" + " " * 60_000 + "c"),
    ):
        with pytest.raises(InvalidRequest):
            parse_extensions([hostile], InvalidRequest)
