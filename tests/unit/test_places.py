"""Where files are: for root, for everybody else, and where a configuration moves them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from linodmgr.errors import ConfigError, LinodmgrError
from linodmgr.places import SYSTEM_CONFIG, Places, config_path, default_places, locate, placed
from tests.configs import write

NOBODY = 65534
VARIABLES = ("LINODMGR_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME")
OF_ROOT = Places(
    Path("/run/linodmgr"),
    Path("/var/lib/linodmgr"),
    Path("/var/log/linodmgr"),
    Path("/var/lib/linodmgr/locks"),
)


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home and the temporary directory of an ordinary user, whom we are."""
    monkeypatch.setenv("HOME", str(runtime))
    monkeypatch.setattr("tempfile.tempdir", str(runtime))
    we_are_root = os.geteuid() == 0
    if we_are_root:
        os.chown(runtime, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    yield runtime
    if we_are_root:
        os.seteuid(0)


def test_the_option_is_stronger_than_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINODMGR_CONFIG", "/srv/variable.toml")

    assert config_path("/srv/option.toml") == Path("/srv/option.toml")
    assert config_path(None) == Path("/srv/variable.toml")
    assert config_path("x.toml") == Path.cwd() / "x.toml"


@pytest.mark.root
def test_root_has_the_directories_of_the_system() -> None:
    assert config_path(None) == SYSTEM_CONFIG
    assert default_places() == OF_ROOT


def test_who_is_not_root_has_directories_of_their_own(home: Path) -> None:
    own = home / ".config/linodmgr/sites.toml"
    own.parent.mkdir(parents=True)
    own.touch()

    assert config_path(None) == own
    assert default_places() == Places(
        home / f"linodmgr-{os.geteuid()}",
        home / ".local/state/linodmgr",
        home / ".local/state/linodmgr/log",
        home / ".local/state/linodmgr/locks",
    )


def test_the_xdg_variables_are_honoured(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "conf/linodmgr").mkdir(parents=True)
    (home / "conf/linodmgr/sites.toml").touch()
    (home / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "conf"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))

    assert config_path(None) == home / "conf/linodmgr/sites.toml"
    places = default_places()
    assert places.control == home / "run/linodmgr/control"
    assert places.log_dir == home / "state/linodmgr/log"
    assert places.lock_dir == home / "state/linodmgr/locks"


def test_a_relative_xdg_variable_does_not_count(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "state")

    assert default_places().state_dir == home / ".local/state/linodmgr"


@pytest.mark.parametrize("mode", [None, 0o770, 0o707])
def test_a_runtime_directory_that_is_missing_or_open_is_not_used(
    home: Path, monkeypatch: pytest.MonkeyPatch, mode: int | None
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    if mode is not None:
        (home / "run").mkdir()
        (home / "run").chmod(mode)

    assert default_places().runtime_dir == home / f"linodmgr-{os.geteuid()}"


def test_the_fallback_for_the_runtime_directory_is_made_for_us_alone(home: Path) -> None:
    place = default_places().runtime_dir

    assert place.stat().st_mode & 0o777 == 0o700
    assert default_places().runtime_dir == place


def test_a_fallback_that_is_open_or_a_link_is_refused(home: Path) -> None:
    place = home / f"linodmgr-{os.geteuid()}"
    place.mkdir()
    place.chmod(0o750)
    with pytest.raises(LinodmgrError, match="must be a directory of our own with mode 0700"):
        default_places()

    place.rmdir()
    (home / "mine").mkdir(mode=0o700)
    place.symlink_to(home / "mine")
    with pytest.raises(LinodmgrError, match="must be a directory of our own with mode 0700"):
        default_places()


def test_the_system_configuration_has_the_directories_of_the_system_for_everybody(home: Path) -> None:
    assert default_places(SYSTEM_CONFIG) == OF_ROOT


def test_the_configuration_moves_three_directories_but_not_the_locks(tmp_path: Path) -> None:
    text = '[daemon]\nruntime_dir = "run"\nstate_dir = "../state"\nlog_dir = "/srv/log"\n[[site]]\nusre = 1'
    places = locate(write(tmp_path, text))

    assert places.runtime_dir == tmp_path / "run"
    assert places.state_dir == tmp_path.parent / "state"
    assert places.log_dir == Path("/srv/log")
    assert places.lock_dir == default_places().lock_dir


@pytest.mark.parametrize("text", ["", "daemon = 1", "this is not TOML", "[[site]]\nlog_dir = 5"])
def test_a_text_that_moves_nothing_leaves_the_places(tmp_path: Path, text: str) -> None:
    assert locate(write(tmp_path, text)) == default_places()


def test_a_file_that_is_missing_or_unreadable_leaves_the_places(home: Path) -> None:
    path = write(home, '[daemon]\nlog_dir = "/srv/log"')
    assert locate(path).log_dir == Path("/srv/log")

    path.chmod(0)
    assert locate(path) == locate(home / "no.toml") == default_places()


def test_a_key_may_be_written_with_escapes(tmp_path: Path) -> None:
    assert locate(write(tmp_path, '[daemon]\n"log\\u005fdir" = "log"')).log_dir == tmp_path / "log"


@pytest.mark.parametrize(
    "text",
    [
        '[daemon]\nruntime_dir = "run"\nlog_dir = log\n[[site]]\nname = noi',
        '[daemon] # ours\r\n  runtime_dir = "run" # here\r\nstate_dir = 5\r\n[[site',
        '[daemon]\ninclude = [\n"a"\n"runtime\\u005fdir" = "run"\n[defaults]\nlog_dir = "/srv"',
        'daemon.runtime_dir = "run"\n= 1\n[[site]]\nlog_dir = "/srv"',
        '[daemon]\nruntime_dir = "run"\nruntime_dir = "second"\n[daemon]\nruntime_dir = "third"',
        '[daemon]\nruntime_dir = "run"\nlog_dir = ' + "[" * 5000,
    ],
)
def test_of_a_text_that_is_not_toml_the_lines_count_that_can_be_understood(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)

    assert locate(path) == placed(path, {"runtime_dir": "run"})


@pytest.mark.parametrize("text", ["[daemon]\nlog_dir = log", '[daemon\nlog_dir = "log"', "log_dir", "\\"])
def test_a_text_that_cannot_be_understood_leaves_the_places(tmp_path: Path, text: str) -> None:
    assert locate(write(tmp_path, text)) == default_places()


def test_a_directory_that_is_none_is_told_as_by_load(tmp_path: Path) -> None:
    path = write(tmp_path, "[daemon]\nlog_dir = 5\nstate_dir = ''")

    with pytest.raises(ConfigError) as caught:
        locate(path)
    assert caught.value.problems == [
        f"{path}: daemon.state_dir: must be a directory, got ''",
        f"{path}: daemon.log_dir: must be a directory, got 5",
    ]


def test_a_file_beside_a_directory_that_is_gone_cannot_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    with pytest.raises(
        ConfigError, match=r"^sites.toml: cannot be found: the current directory does not exist$"
    ):
        config_path("sites.toml")
