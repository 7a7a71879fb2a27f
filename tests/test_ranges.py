"""The decisions of a download, without a loop: whatever a server says, only what certainly fits is put together."""

from __future__ import annotations

from dataclasses import asdict

from hypothesis import given, settings
from hypothesis import strategies as st

from effort import examples
from wirebird.models.headers import HttpHeaders
from wirebird.protocol.ranges import Step, Version, judge, range_fields, read_digests, read_version, version_from

OLD, DATE = "Mon, 01 Jan 2024 00:00:00 GMT", "Thu, 01 Aug 2024 00:00:00 GMT"

_tags = st.sampled_from(["", '"a"', '"b"', 'W/"a"', "a", '"a', '"a" ', '"a", "b"'])
_dates = st.sampled_from(["", OLD, DATE, "yesterday"])
_numbers = st.sampled_from(["0", "5", "9", "10", "11", "99", "*", "-1", "٥", "1" * 30, ""])
_ranges = st.one_of(
    st.builds("bytes {}-{}/{}".format, _numbers, _numbers, _numbers),
    st.builds("bytes */{}".format, _numbers),
    st.sampled_from(["", "bytes", "lines 5-9/10", "bytes=5-9/10", "BYTES 5-9/10"]),
)
_versions = st.builds(
    Version, st.sampled_from(["", '"a"']), st.sampled_from(["", OLD]), st.sampled_from([None, 10, 11]), st.sampled_from(["", "x"])
).map(lambda version: version if not (version.etag and version.last_modified) else Version(version.etag, "", version.size))


@given(
    st.sampled_from([200, 203, 204, 206, 301, 304, 404, 412, 416, 500]),
    _tags,
    _dates,
    _ranges,
    st.sampled_from([None, 0, 4, 5, 6, 10]),
    st.sampled_from([0, 5, 10]),
    _versions,
)
def test_only_what_fits_is_appended(status, tag, date, content_range, length, offset, version):
    given = {"ETag": tag, "Last-Modified": date, "Content-Range": content_range}
    headers = HttpHeaders([(name, value) for name, value in given.items() if value])
    answer = judge(status, headers, length, offset, version)
    if answer.step is Step.APPEND:
        assert status == 206
        assert offset == 5
        assert content_range.lower() == f"bytes 5-{answer.end - 1}/{answer.version.size}"
        assert version.size in (None, answer.version.size)
        assert answer.version.size is not None
        assert offset < answer.end <= answer.version.size
        assert length in (None, answer.end - offset)
        assert (tag == version.etag) if version.etag else (date == version.last_modified != "")
        assert (answer.version.etag, answer.version.last_modified) == (version.etag, version.last_modified)
    elif answer.step is Step.COMPLETE:
        assert (status, content_range) == (416, f"bytes */{offset}")
        assert version.size == offset or (version.size is None and tag == version.etag != "")
    elif answer.step is Step.BEGIN:
        assert 200 <= status < 300
        assert status != 206
        assert answer.end == answer.version.size == length
        assert answer.version.etag in ("", tag)
        assert not answer.version.etag.startswith("W/")
    elif answer.step is Step.ANEW:
        assert offset > 0
        assert status in (206, 416)
    else:
        assert (status == 206 and not offset) or not 200 <= status < 300


def test_a_version_is_what_identifies_one_state():
    for fields, validator in [
        ({"ETag": '"a"'}, '"a"'),
        ({"ETag": '"a"', "Last-Modified": OLD, "Date": DATE}, '"a"'),
        ({"ETag": '""'}, '""'),
        ({"ETag": 'W/"a"', "Last-Modified": OLD, "Date": DATE}, ""),
        ({"ETag": '"a" "b"', "Last-Modified": OLD, "Date": DATE}, ""),
        ({"Last-Modified": OLD, "Date": DATE}, OLD),
        ({"Last-Modified": OLD}, ""),
        ({"Last-Modified": DATE, "Date": DATE}, ""),
        ({"Last-Modified": DATE, "Date": OLD}, ""),
        ({"Last-Modified": "Thu, 01 Aug 2024 00:00:00 GMT", "Date": "Thu, 01 Aug 2024 00:00:59 GMT"}, ""),
        ({"Last-Modified": "Thu, 01 Aug 2024 00:00:00 GMT", "Date": "Thu, 01 Aug 2024 00:01:00 GMT"}, DATE),
        ({}, ""),
    ]:
        version = read_version(HttpHeaders(fields), 7)
        assert (version.validator, version.size) == (validator, 7), fields
        assert version_from(asdict(version)) == version
        if validator:
            assert range_fields(3, version) == {"Range": "bytes=3-", "If-Range": validator}
    assert read_version(HttpHeaders([("ETag", '"a"'), ("ETag", '"b"')]), None).validator == ""


@settings(max_examples=examples(50))
@given(
    st.dictionaries(
        st.sampled_from(["etag", "last_modified", "size", "digest"]),
        st.one_of(st.none(), st.booleans(), st.text(), st.integers()),
    )
)
def test_any_record_is_a_version_or_none(record):
    version = version_from(record)
    assert version is None or version_from(asdict(version)) == version


@given(st.lists(st.text()))
def test_any_text_holds_digests_or_none(values):
    for name, raw in read_digests(values).items():
        assert len(raw) == {"sha-256": 32, "sha-512": 64}[name]


def test_digests():
    one, two = "A" * 43 + "=", "A" * 86 + "=="
    for value, names in [
        (f"sha-256=:{one}:", {"sha-256"}),
        (f"sha-512=:{two}:, sha-256=:{one}:;q=1", {"sha-256", "sha-512"}),
        (f"sha-512=:{one}:", set()),
        (f"sha-256=:{two}:", set()),
        (f"sha-256={one}", set()),
        (f"sha-256=:{one}", set()),
        (f"md5=:{one}:", set()),
    ]:
        assert set(read_digests([value])) == names, value
