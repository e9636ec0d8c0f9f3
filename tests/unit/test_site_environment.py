"""What stands in an environment_file, as the runner reads it."""

import pytest

from linodmgr.site import environment


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("A=1", {"A": "1"}),
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("  A = two words  \n", {"A": "two words"}),
        ("A=\nB=2", {"A": "", "B": "2"}),
        ("# A=1\n; B=2\n\nC=3 # no comment\n", {"C": "3 # no comment"}),
        ("export A=1\nexporter=2", {"A": "1", "exporter": "2"}),
        ("A='single \"quoted\" \\n'\n", {"A": 'single "quoted" \\n'}),
        ('A="double \\"quoted\\" \\\\ \\$B \\n"\n', {"A": 'double "quoted" \\ $B \\n'}),
        ("A='two\nlines'\nB=2", {"A": "two\nlines", "B": "2"}),
        ("A=\"x\" 'y'z  \nB=2", {"A": "xyz", "B": "2"}),
        ("A=one \\\nline\nB=2", {"A": "one line", "B": "2"}),
        ("A=a\\ b\\'c", {"A": "a b'c"}),
        ('A="open\nB=2', {"A": '"open', "B": "2"}),
        ("A=it's\nB=2", {"A": "it's", "B": "2"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=a=b", {"A": "a=b"}),
        ("", {}),
    ],
)
def test_variables_are_read_as_systemd_does(text: str, variables: dict[str, str]) -> None:
    assert environment.parse(text) == (variables, [])


@pytest.mark.parametrize(
    ("text", "variables", "lines"),
    [
        ("nonsense\nA=1\n1A=2\n", {"A": "1"}, [1, 3]),
        ("A=1\nA-B=2\n=3\n", {"A": "1"}, [2, 3]),
        ("A=\0\nB=1", {"B": "1"}, [1]),
        ("export\n", {}, [1]),
    ],
)
def test_lines_that_are_no_variables_are_told(text: str, variables: dict[str, str], lines: list[int]) -> None:
    assert environment.parse(text) == (variables, lines)
