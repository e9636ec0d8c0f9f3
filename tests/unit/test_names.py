"""Which sites a person means."""

import pytest

from linodmgr.core.names import choose
from linodmgr.errors import UsageError


def test_no_patterns_stand_for_all() -> None:
    assert choose(["noi", "voga"], []) == ["noi", "voga"]


def test_a_site_that_two_patterns_match_is_chosen_once_and_in_its_place() -> None:
    assert choose(["noi", "voga", "nio"], ["nio", "n*"]) == ["noi", "nio"]


def test_every_pattern_that_no_site_has_is_named() -> None:
    with pytest.raises(UsageError, match=r"^cannot find site 'x', 'y\*': see the configuration$"):
        choose(["noi"], ["x", "noi", "y*"])
