"""``assert_never`` for every Python that we run on (it came with 3.11)."""

import sys

if sys.version_info >= (3, 11):
    from typing import assert_never
else:
    from typing_extensions import assert_never

__all__ = ["assert_never"]
