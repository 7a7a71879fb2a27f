"""What holds for the whole suite: the examples of hypothesis are the same in every run, and none fails for being slow.

`HYPOTHESIS_PROFILE=search` looks for new ones instead.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
