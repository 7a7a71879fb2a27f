"""What holds for the whole suite.

The examples of hypothesis are the same in every run, and none fails for being slow; `HYPOTHESIS_PROFILE=search` looks for new
ones instead.  Assertions in the modules that tests share are rewritten as those in tests are, so that they say what they
compared, and hold under `python -O` too.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

pytest.register_assert_rewrite(*sorted(path.stem for path in Path(__file__).parent.glob("[!t]*.py") if path.stem != "conftest"))

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
