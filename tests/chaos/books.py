"""What the workers have written against what is in the logs: every line, in order, once."""

import gzip
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.judge import Judge
from tests.chaos.world import World

LINE = re.compile(rb"<(\w+) (\d+) (\d+) (\d+) (\xff*)>")
LOST = re.compile(rb"linodmgr: (\d+) bytes of output were lost")
IN_A_PIPE = 1024 * 1024  # bytes that may go with a worker and its daemon

Key = tuple[str, int, str]  # site, pid, when it began


def audit(world: World, judge: Judge, counted: dict[str, int]) -> int:
    """Accuse whatever is missing, doubled, cut or out of order; return how many lines there were.

    ``counted``: bytes that the daemon tells as lost, by site.
    """
    counts = _counts(world.home / "counts")
    total = 0
    for name in world.sites:
        text = b"".join(_parts(world.home / "log", name))
        lost = max(sum(int(size) for size in LOST.findall(text)), counted.get(name, 0))
        found = _found(name, text, lost, judge)
        missing = 0
        for key in sorted(key for key in counts if key[0] == name):
            total += counts[key]
            missing += _compare(world, judge, key, counts[key], found[key], lost)
        # A line whose middle is lost is missing as a whole.
        if missing and not lost:
            judge.accuse(f"{name}: {missing} lines are not in its log, and none is counted as lost")
    return total


def _counts(directory: Path) -> dict[Key, int]:
    counts: dict[Key, int] = {}
    for path in directory.iterdir():
        name, pid, started = path.name.split(".")
        counts[name, int(pid), started] = int.from_bytes(path.read_bytes(), "little")
    return counts


def _parts(directory: Path, name: str) -> Iterator[bytes]:
    """Yield the log of a site from its oldest part on."""

    ages = {}
    for path in directory.iterdir():
        # Another file is what somebody was packing when the daemon was killed.
        if match := re.fullmatch(rf"{name}\.log(?:\.(\d+)(?:\.gz)?)?", path.name):
            ages[path] = int(match[1] or 0)
    for path in sorted(ages, key=lambda path: ages[path], reverse=True):
        yield gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def _found(name: str, text: bytes, lost: int, judge: Judge) -> dict[Key, list[int]]:
    found: dict[Key, list[int]] = defaultdict(list)
    for line in text.split(b"\n"):
        if match := LINE.search(line):
            found[match[1].decode(), int(match[2]), match[3].decode()].append(int(match[4]))
            if line.count(b"<") != 1 and not lost:
                judge.accuse(f"{name}: two lines have become one: {line[:200]!r}")
        elif (b"<" in line) != (b">" in line) and not lost and not name.startswith("loud"):
            judge.accuse(f"{name}: a line is cut: {line[:200]!r}")
    return found


def _compare(world: World, judge: Judge, key: Key, count: int, numbers: list[int], lost: int) -> int:
    """Return how many lines of one worker are missing that may not be."""
    name, pid, started = key
    if numbers != sorted(set(numbers)):
        doubled = sorted({number for number in numbers if numbers.count(number) > 1})
        judge.accuse(f"{name}: lines of pid {pid} are doubled or out of order: {doubled[:10]}")
    missing = sorted(set(range(1, count + 1)) - set(numbers))
    if not missing:
        return 0
    last = max(numbers, default=0)
    life = next(life for life in judge.sites[name].lives if (life.pid, life.started) == (pid, started))
    is_tail = missing[0] > last and (count - last) * 40 < IN_A_PIPE
    if is_tail and world.was_out(life.seen - 0.5, world.able_at(life.died or life.seen) + 0.5):
        return 0  # both were dead, and with them the pipe
    if not lost:
        judge.accuse(
            f"{name}: of pid {pid} {len(missing)} of {count} lines are missing, from {missing[0]} on; "
            f"last seen alive {life.seen:.3f}, dead {life.died or 0:.3f}; found up to {last}"
        )
    return len(missing)


def cut_jobs(world: World) -> list[str]:
    """Return the runs of jobs that have begun and not ended; nobody has killed their workers."""
    cut = []
    for path in (world.home / "jobs").iterdir():
        under_way: dict[str, None] = {}
        for line in path.read_text().splitlines():
            word, _, run = line.partition(" ")
            if word == "begin":
                under_way[run] = None
            else:
                under_way.pop(run, None)
        cut += [f"{path.name}: {run}" for run in under_way]
    return cut
