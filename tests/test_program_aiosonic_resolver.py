"""The example of aiosonic's reference that asks other name servers: S1-56.

It is in `tests/seed_programs/`, with its import line changed and nothing else.
"""

from __future__ import annotations

import asyncio

import pytest

from program_origin import ProgramOrigin, origin, place
from wirebird.compat import aiosonic


def test_resolver(place: ProgramOrigin):
    """The resolver is made and passed on; whom it asks is `test_resolver.py`'s business."""
    pytest.importorskip("aiodns")
    names = place.run("aiosonic/resolver.py")

    async def main() -> None:
        # "Then, pass connector to aiosonic HTTPClient instance."
        async with aiosonic.HTTPClient(names["conn"]) as client:
            response = await client.get(place.origins[0].url("/get"))  # an address: no server is asked
            assert response.ok
        await names["resolver"].close()

    asyncio.run(main())
