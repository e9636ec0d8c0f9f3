"""Runs manage.py as the module `__main__`, so that it finds all as under ``python manage.py``."""

import builtins
import os
import sys
import types
from importlib.machinery import SourceFileLoader
from typing import Optional, Sequence, Type

LIMIT = 16 * 1024 * 1024  # bytes
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")


class Script:
    """A manage.py, read once, in the current directory."""

    def __init__(self, manage: str) -> None:
        """Read it. Raises OSError."""
        self.manage = manage
        self.path = os.path.join(os.getcwd(), manage)
        with open(self.path, "rb") as file:
            self.source = file.read(LIMIT)

    def calls_django(self) -> bool:
        """Whether it is a manage.py of Django's kind, not a script with a loop of its own."""
        return b"execute_from_command_line" in self.source or b"ManagementUtility" in self.source

    def run(self, arguments: Sequence[str]) -> None:
        """Run it to its end. Raises whatever it raises."""
        sys.argv[:] = [self.manage, *arguments]
        if hasattr(sys, "orig_argv"):  # since Python 3.10
            sys.orig_argv[:] = [sys.executable, *sys.argv]
        if not getattr(sys.flags, "safe_path", False):  # since Python 3.11
            sys.path.insert(0, os.path.dirname(os.path.realpath(self.path)))
        module = self._module()
        sys.modules["__main__"] = module
        exec(compile(self.source, self.path, "exec", dont_inherit=True), module.__dict__)

    def _module(self) -> types.ModuleType:
        module = types.ModuleType("__main__")
        module.__file__ = self.path
        module.__loader__ = SourceFileLoader("__main__", self.path)
        module.__package__ = None
        module.__spec__ = None
        module.__dict__.update(__builtins__=builtins, __cached__=None, __annotations__={})
        return module


class Ending:
    """Keeps how the script ended: ``error`` is None if it came to its end."""

    def __init__(self) -> None:
        self.error: Optional[BaseException] = None

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[types.TracebackType],
    ) -> bool:
        """Swallow all; `again` lets it go on."""
        self.error = error
        return True

    @property
    def is_good(self) -> bool:
        """Whether the process would end with exit status 0."""
        return self.error is None or (isinstance(self.error, SystemExit) and self.error.code in (None, 0))

    def again(self) -> None:
        """End the process as the script would have ended it."""
        if isinstance(self.error, Exception):
            sys.exit(self.status())
        if self.error is not None:
            raise self.error

    def status(self) -> int:
        """Return the exit status, after showing what Python shows at such an end."""
        if self.error is None:
            return 0
        if not isinstance(self.error, SystemExit):
            self.show()
            return 1
        if self.error.code is None or isinstance(self.error.code, int):
            return self.error.code or 0
        print(self.error.code, file=sys.stderr)
        return 1

    def show(self) -> None:
        """Show the error as Python does, without the runner in the traceback."""
        assert self.error is not None
        trace = self.error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename.startswith(HERE):
            trace = trace.tb_next
        sys.excepthook(type(self.error), self.error.with_traceback(trace), trace)
