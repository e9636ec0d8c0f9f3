"""Processes that are no workers and ask for the past of a site: those of its own user, and of root."""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable

from linodmgr.core.site import Site
from linodmgr.daemon.handover import HandedInquirer
from linodmgr.daemon.lines import Lines, taken_over
from linodmgr.protocol import VERSION
from linodmgr.runner_protocol import Inquiry, decode_report

AT_ONCE = 40
AT_ONCE_OF_ONE_USER = 4
PATIENCE = 2.0  # seconds to ask, and to take the answer

Answer = Callable[[str, Callable[[Iterable[bytes]], None]], None]  # of a site, by name


class Inquiries:
    """All who are about to ask; others are hung up on at once."""

    def __init__(
        self, sites: Callable[[], Iterable[Site]], answer: Answer, patience: float = PATIENCE
    ) -> None:
        self.patience = patience
        self._sites = sites
        self._answer = answer
        self._asking: dict[Inquirer, int] = {}  # and their users

    def welcome(self, connection: socket.socket, uid: int) -> None:
        """Listen to a process of a user who may ask; hang up on any other."""
        of_user = sum(one == uid for one in self._asking.values())
        if len(self._asking) >= AT_ONCE or of_user >= AT_ONCE_OF_ONE_USER or not self._may_ask(uid):
            connection.close()
            return
        connection.setblocking(False)
        one = Inquirer(self, connection, uid)
        self._asking[one] = uid
        one.listen()

    def close(self) -> None:
        """Hang up on everybody."""
        for one in list(self._asking):
            one.hang_up()

    def hand_over(self) -> list[HandedInquirer]:
        """Return all who have not got their answer yet."""
        return [handed for one in self._asking if (handed := one.hand_over())]

    def take_over(self, handed: Iterable[HandedInquirer]) -> None:
        """Go on with those whom an earlier daemon listened to."""
        for one in handed:
            inquirer = Inquirer(self, taken_over(one.connection), one.uid, one.half)
            self._asking[inquirer] = one.uid
            inquirer.go_on(one.out)

    def site_of(self, directory: str, uid: int) -> str | None:
        """Return the name of the site in ``directory`` if the user may know of it.

        Paths are compared as text: root looks up none that a user has written.
        """
        path = os.path.normpath(directory) if directory else ""
        for site in self._sites():
            if self._is_of(site, uid) and path in (site.directory, os.path.realpath(site.directory)):
                return site.name
        return None

    def answer(self, name: str, then: Callable[[Iterable[bytes]], None]) -> None:
        """Call ``then`` with the lines about a site."""
        self._answer(name, then)

    def leave(self, one: "Inquirer") -> None:
        """Know that it has gone."""
        self._asking.pop(one, None)

    def _may_ask(self, uid: int) -> bool:
        return uid == 0 or any(self._is_of(site, uid) for site in self._sites())

    @staticmethod
    def _is_of(site: Site, uid: int) -> bool:
        return uid == 0 or (site.identity is not None and site.identity.uid == uid)


class Inquirer:
    """One who asks: a line from it, lines for it, and that is all."""

    def __init__(
        self, all_of_them: Inquiries, connection: socket.socket, uid: int, half: bytes = b""
    ) -> None:
        self._all = all_of_them
        self._connection: socket.socket | None = connection
        self._uid = uid
        self._lines = Lines(half)
        self._out = b""
        self._end = asyncio.get_running_loop().call_later(all_of_them.patience, self.hang_up)

    def listen(self) -> None:
        """Wait for its question."""
        assert self._connection is not None
        asyncio.get_running_loop().add_reader(self._connection, self._hear)

    def go_on(self, out: bytes) -> None:
        """Say the rest of the answer, or wait for the question."""
        if out:
            self._say([out])
        else:
            self.listen()

    def hand_over(self) -> HandedInquirer | None:
        """Return what the next daemon has to know of it."""
        if self._connection is None:
            return None
        where = self._connection.fileno()
        return HandedInquirer(connection=where, uid=self._uid, half=self._lines.half, out=self._out)

    def hang_up(self) -> None:
        """Close the connection, if there is one."""
        self._end.cancel()
        if self._connection is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._connection)
            loop.remove_writer(self._connection)
            self._connection.close()
            self._connection = None
        self._all.leave(self)

    def _hear(self) -> None:
        assert self._connection is not None
        try:
            data = self._connection.recv(4096)
            lines = self._lines.feed(data)
            if data and not lines:
                return
            question = decode_report(lines[0])
        except BlockingIOError:
            return
        except (OSError, ValueError, IndexError, RecursionError):
            self.hang_up()
            return
        name = None
        if isinstance(question, Inquiry) and question.version == VERSION:
            name = self._all.site_of(question.directory, self._uid)
        if name is None:
            self.hang_up()
            return
        asyncio.get_running_loop().remove_reader(self._connection)
        self._all.answer(name, self._say)

    def _say(self, lines: Iterable[bytes]) -> None:
        if self._connection is None:
            return
        self._out = b"".join(lines)
        asyncio.get_running_loop().add_writer(self._connection, self._say_more)

    def _say_more(self) -> None:
        assert self._connection is not None
        try:
            self._out = self._out[self._connection.send(self._out) :]
        except BlockingIOError:
            return
        except OSError:
            self._out = b""
        if not self._out:
            self.hang_up()
