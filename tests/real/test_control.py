"""The control socket under people and programs that do not keep to the rules: the daemon goes on."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from linodmgr import protocol
from linodmgr.core.states import BecameReady
from linodmgr.daemon.clients import CLIENTS
from linodmgr.protocol import Done, ListJobs, Progress, Refused, Reload, Snapshot, Start, Status, Stop
from tests.eventually import eventually
from tests.real.control_desk import Desk, desk, hear, say

IMPATIENT = 0.1  # seconds
SOME = 50_000  # bytes, few enough that asyncio itself would wait for ever
MANY = 3000  # sites: their status is more than a socket takes without being read


@pytest.fixture
def open_desk(runtime: Path) -> Iterator[Desk]:
    with desk(runtime, "one", "two") as made:
        yield made


@pytest.fixture
def impatient(runtime: Path) -> Iterator[Desk]:
    with desk(runtime, "one", patience=IMPATIENT) as made:
        yield made


def refusal(answers: list[protocol.Answer]) -> Refused:
    """Return the refusal that is all the answer."""
    [refused] = answers
    assert isinstance(refused, Refused)
    assert "\n" not in refused.reason
    return refused


def works(one: Desk) -> bool:
    """Whether a well-behaved client is served."""
    snapshot, done = one.ask(Status())
    return isinstance(snapshot, Snapshot) and isinstance(done, Done)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"\0\n",
        b"\xff\xfe\xfd\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"null\n",
        b"[]\n",
        b"1\n",
        b'"status"\n',
        b"{}\n",
        b'{"type":"status"\n',
        b'{"type":"status","version":1}\0\n',
        b'{"type":"status","version":1}{"type":"status","version":1}\n',
        b'{"type":"status","version":1,"sites":"one"}\n',
        b'{"type":"status","version":1,"sites":[1]}\n',
        b'{"type":"status","version":1,"sites":null}\n',
        b'{"type":"status","version":1,"colour":"red"}\n',
        b'{"type":"explode","version":1}\n',
        b'{"type":"stop","version":1,"daemon":1}\n',
        b"[" * 60_000 + b"\n",
        b'{"type":"status","version":1,"x":' + b"[" * 60_000 + b"\n",
        b'{"type":"status","version":1,"sites":[' + b'"\\ud800"' + b"]}\n",
    ],
    ids=lambda line: repr(line[:30]),
)
def test_what_is_no_request_is_refused_in_one_line(open_desk: Desk, garbage: bytes) -> None:
    refused = refusal(open_desk.ask(garbage))

    assert refused.reason.startswith("cannot ")
    assert works(open_desk)
    assert open_desk.shut_downs == 0


@pytest.mark.parametrize("version", [0, 2, 99, "1", None, [1], {}])
def test_another_version_is_named(open_desk: Desk, version: object) -> None:
    request = json.dumps({"type": "stop", "version": version}).encode() + b"\n"

    refused = refusal(open_desk.ask(request))

    assert f"version {version!r}" in refused.reason
    assert "restart the daemon after an upgrade" in refused.reason
    assert open_desk.word("one") == "STARTING"


@pytest.mark.parametrize("length", [64 * 1024 + 1, 1024 * 1024])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_that_does_not_end_is_refused(open_desk: Desk, length: int, end: bytes) -> None:
    refused = refusal(open_desk.ask(b"x" * length + end))

    assert "longer than 65536 bytes" in refused.reason


def test_a_request_may_come_in_pieces(open_desk: Desk) -> None:
    with open_desk.connect() as connection:
        for byte in protocol.encode(Status(("one",))):
            say(connection, bytes([byte]))

        assert isinstance(hear(connection)[0], Snapshot)


def test_only_the_first_request_of_a_connection_counts(open_desk: Desk) -> None:
    both = protocol.encode(Status()) + protocol.encode(Stop(daemon=True))

    assert [type(answer) for answer in open_desk.ask(both)] == [Snapshot, Done]
    assert open_desk.shut_downs == 0


def test_an_unknown_site_is_named_and_nothing_is_done(open_desk: Desk) -> None:
    refused = refusal(open_desk.ask(Stop(("one", "nobody"))))

    assert "'nobody'" in refused.reason
    assert refused.exit_code == 2
    assert open_desk.word("one") == "STARTING"


@pytest.mark.parametrize("said", [b"", b'{"type":"sta', b"\n"[:0] + b" " * 100])
def test_who_does_not_finish_a_request_is_sent_away(impatient: Desk, said: bytes) -> None:
    with impatient.connect() as connection:
        say(connection, said)

        assert hear(connection) == []
    assert works(impatient)


def test_who_waits_for_an_answer_is_not_sent_away(impatient: Desk) -> None:
    with impatient.connect() as waiting, impatient.connect() as silent:
        say(waiting, Start(("one",)))
        assert hear(silent) == [], "patience with the silent one, who came later, is at an end"
        impatient.thread.do(impatient.loop.put, "one", BecameReady())

        done = hear(waiting)[-1]
        assert isinstance(done, Done)
        assert [result.ok for result in done.results] == [True]


def test_who_never_reads_is_sent_away(runtime: Path) -> None:
    names = [f"site{number:04}" for number in range(MANY)]
    with desk(runtime, *names, patience=IMPATIENT) as made, made.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        say(connection, Status())

        made.nobody_is_left()


def test_who_reads_all_but_the_last_of_an_answer_is_sent_away(runtime: Path) -> None:
    with desk(runtime, "site0000") as made:
        per_site = len(protocol.encode(made.ask(Status())[0]))
    names = [f"site{number:04}" for number in range((_taken_without_being_read() + SOME) // per_site)]

    with desk(runtime, *names, patience=IMPATIENT) as made, made.connect() as connection:
        say(connection, Status())

        made.nobody_is_left()


def _taken_without_being_read() -> int:
    """Return how many bytes a socket takes that nobody reads."""
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        return one.send(bytes(10_000_000))


def test_a_client_that_goes_away_in_the_middle_of_a_start_leaves_nothing(open_desk: Desk) -> None:
    with open_desk.connect() as connection:
        say(connection, Start())
        assert connection.recv(10)
    open_desk.nobody_is_left()

    for name in ("one", "two"):
        open_desk.thread.do(open_desk.loop.put, name, BecameReady())
    assert open_desk.word("one") == "RUNNING"


def test_a_client_that_goes_away_in_the_middle_of_a_reload_does_not_end_it(open_desk: Desk) -> None:
    with open_desk.connect() as connection:
        say(connection, Reload())
        eventually(lambda: open_desk.thread.do(lambda: open_desk.control.clients), "it is heard")
    open_desk.nobody_is_left()

    open_desk.thread.do(open_desk.may_reload.set)

    eventually(lambda: open_desk.reloads == 1, "it is done")


def test_a_client_that_goes_away_in_the_middle_of_a_list_leaves_nothing(open_desk: Desk) -> None:
    with open_desk.connect() as connection:
        say(connection, ListJobs("one"))
        eventually(lambda: open_desk.thread.do(lambda: open_desk.control.clients), "it is heard")

    open_desk.nobody_is_left()


def test_every_step_of_a_start_is_told_and_then_the_end(open_desk: Desk) -> None:
    with open_desk.connect() as connection:
        say(connection, Start(("o*",)))
        assert connection.recv(1) == b"{"
        open_desk.thread.do(open_desk.loop.put, "one", BecameReady())
        lines = b"{" + b"".join(iter(lambda: connection.recv(65536), b""))

    *progress, done = map(protocol.decode_answer, lines.splitlines())
    assert progress == [Progress("one", "STARTING"), Progress("one", "RUNNING")]
    assert isinstance(done, Done)
    assert [(result.site, result.state) for result in done.results] == [("one", "RUNNING")]


def test_too_many_clients_are_told_so_and_those_before_them_are_served(open_desk: Desk) -> None:
    early = [open_desk.connect() for _ in range(CLIENTS)]
    try:
        refused = refusal(open_desk.ask(Status()))
        assert str(CLIENTS) in refused.reason

        say(early[-1], Status())
        assert isinstance(hear(early[-1])[0], Snapshot)
        early.pop().close()
        eventually(lambda: len(open_desk.ask(Status())) == 2, "there is a place again")
    finally:
        for connection in early:
            connection.close()
    open_desk.nobody_is_left()


def test_300_clients_at_once_that_ask_and_go_away_leave_nothing(open_desk: Desk) -> None:
    for _ in range(3):
        crowd = [open_desk.connect() for _ in range(100)]
        for connection in crowd:
            say(connection, Start())
        for connection in crowd:
            connection.close()

    open_desk.nobody_is_left()
    assert works(open_desk)


@pytest.mark.parametrize("request_", [Start(), Stop(), protocol.Restart(), Reload(), ListJobs("one")])
def test_a_daemon_that_is_stopping_begins_nothing_new(open_desk: Desk, request_: protocol.Request) -> None:
    open_desk.control.closing = True

    verb = request_.__struct_config__.tag
    assert refusal(open_desk.ask(request_)).reason == f"cannot {verb}: the daemon is stopping"
    assert works(open_desk), "how it goes can be seen"


def test_a_stop_that_cannot_be_stored_is_told_and_done_all_the_same(open_desk: Desk, runtime: Path) -> None:
    (runtime / "goals.new").mkdir()

    refused = refusal(open_desk.ask(Stop(("one",))))

    assert refused.reason.startswith("cannot store what is wanted: ")
    assert open_desk.word("one") == "STOPPING"
    (runtime / "goals.new").rmdir()


def test_a_pattern_of_several_sites_has_no_list_mode(open_desk: Desk) -> None:
    assert refusal(open_desk.ask(ListJobs("*"))).reason == "cannot list '*': several sites are meant"
