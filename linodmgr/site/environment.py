"""Reads an environment file as systemd does, see EnvironmentFile= in systemd.exec(5); takes `export`, too."""

import errno
import os
import re
from typing import Dict, List, Tuple

LIMIT = 64 * 1024  # bytes

NAME = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
SINGLE = re.compile(r"'([^']*)'[ \t]*")
DOUBLE = re.compile(r'"((?:\\.|[^"\\])*)"[ \t]*', re.DOTALL)
PLAIN = re.compile(r"(?:\\.|[^\\\n])*", re.DOTALL)
ESCAPED = re.compile(r"\\(.)", re.DOTALL)
ESCAPED_IN_DOUBLE = re.compile(r'\\(["\\`$\n])')


def read(path: str) -> Tuple[Dict[str, str], List[int]]:
    """Return the variables in the file and the numbers of the lines that are none.

    Raises OSError, among others if the file is larger than LIMIT.
    """
    with open(path, "rb") as file:
        content = file.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise OSError(errno.EFBIG, f"it is larger than {LIMIT} bytes")
    return parse(os.fsdecode(content))


def parse(text: str) -> Tuple[Dict[str, str], List[int]]:
    """Return the variables in ``text`` and the numbers of the lines that are none.

    >>> parse('A=1\\n# no\\nexport B="two\\\\"s" \\n')
    ({'A': '1', 'B': 'two"s'}, [])
    """
    variables: Dict[str, str] = {}
    wrong: List[int] = []
    at = 0
    while at < len(text):
        at += len(text[at:]) - len(text[at:].lstrip())
        start = at
        found = NAME.match(text, at)
        if found is not None:
            value, at = _value(text, found.end())
            if "\0" not in value:
                variables[found.group(1)] = value
                continue
        else:
            at = _end(text, at)
        if text[start:at] and text[start] not in "#;":
            wrong.append(text.count("\n", 0, start) + 1)
    return variables, wrong


def _value(text: str, at: int) -> Tuple[str, int]:
    """Return the value that begins at ``at``, and where it ends."""
    value = ""
    while True:
        single = SINGLE.match(text, at)
        double = DOUBLE.match(text, at)
        if single is not None:
            value, at = value + single.group(1), single.end()
        elif double is not None:
            value, at = value + ESCAPED_IN_DOUBLE.sub(_unescape, double.group(1)), double.end()
        else:
            break
    plain = PLAIN.match(text, at)
    assert plain is not None, "it matches nothing, too"
    return value + ESCAPED.sub(_unescape, plain.group().rstrip()), max(plain.end(), at)


def _unescape(found: "re.Match[str]") -> str:
    """Return the character after the backslash; a line goes on after a backslash at its end."""
    character: str = found.group(1)
    return "" if character == "\n" else character


def _end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end
