"""sites.toml.example names every key, and each default that it shows is the true one."""

import re
from pathlib import Path

from linodmgr import keys
from linodmgr.core.site import Policy, Site
from tests.configs import as_me, loaded, write

EXAMPLE = Path(__file__).parents[2] / "sites.toml.example"
KEY = re.compile(r"#(\w+) = ")
ME = '[[site]]\ndirectory = "/srv/noi"\nuser = "me"\n'


def _uncommented(text: str, *, examples: bool) -> str:
    """Return ``text`` with its commented keys, with or without those that are mere examples."""
    lines = []
    for line in text.splitlines():
        is_setting = line.startswith(("#[[", "#")) and not line.startswith("# ") and line != "#"
        if is_setting and "(example)" in line and not examples:
            continue
        lines.append(line[1:] if is_setting else line)
    return "\n".join(lines) + "\n"


def test_the_example_can_be_used_as_it_is(tmp_path: Path) -> None:
    config = loaded(write(tmp_path, EXAMPLE.read_text()))

    assert (config.problems, config.sites) == ([], {})


def test_the_example_can_be_used_with_all_its_keys(tmp_path: Path) -> None:
    text = _uncommented(EXAMPLE.read_text(), examples=True)
    for host_dependent in ("group", "user", "projects"):
        text = re.sub(rf"(?m)^{host_dependent} = .*$", "", text)
    config = loaded(write(tmp_path, text), as_me())

    assert config.problems == []
    assert list(config.sites) == ["myprj"]


def test_the_example_names_every_key_once_and_no_other() -> None:
    top, daemon, rest = re.split(r"(?m)^\[(?:daemon|defaults)\]$", EXAMPLE.read_text())
    defaults, site = rest.split("#[[site]]")

    assert KEY.findall(top) == list(keys.TOP)
    assert sorted(KEY.findall(daemon)) == sorted(keys.DAEMON)
    assert sorted(KEY.findall(defaults)) == sorted(keys.DEFAULTS)
    assert KEY.findall(site) == ["directory", "name"]


def test_the_defaults_that_the_example_shows_are_the_true_ones(tmp_path: Path) -> None:
    text = _uncommented(EXAMPLE.read_text(), examples=False).replace("[[site]]\n", "")
    shown = loaded(write(tmp_path, text + ME)).sites["noi"]

    assert shown == loaded(write(tmp_path, ME)).sites["noi"]
    assert shown.policy == Policy()


def test_the_example_shows_a_default_for_every_key_that_has_a_fixed_one() -> None:
    shown = {KEY.findall(line)[0] for line in EXAMPLE.read_text().splitlines() if KEY.match(line)}
    examples = {
        KEY.findall(line)[0]
        for line in EXAMPLE.read_text().splitlines()
        if KEY.match(line) and "(example)" in line
    }
    derived = {"directory", "name", "user", "group", "venv", "environment_file", "projects", "starts_at_once"}

    assert examples == derived | {"runtime_dir", "state_dir", "log_dir"}
    assert {*Site.__struct_fields__, *Policy.__struct_fields__} - shown == {"identity", "policy", "problem"}


def test_keys_that_have_no_effect_yet_are_said_to_have_none() -> None:
    late = EXAMPLE.read_text().partition("take effect only in a later release")[2].partition("#[[site]]")[0]

    assert KEY.findall(late) == ["notify"]
