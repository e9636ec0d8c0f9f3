"""Runs inside a site's Python, around manage.py: reports to the daemon, or lists the site's jobs.

PYTHON runner.py --mode=run --directory=D --manage=manage.py [--environment-file=F] --stop-signal=N
                 --report=SOCKET --lock=FD --timeout=SECONDS [--open-files=SOFT:HARD] -- linod
PYTHON runner.py --mode=list --directory=D --manage=manage.py [--environment-file=F] --stop-signal=N -- linod

Standard library only, Python 3.6 and later; the files next to it are all that it needs.
"""

import functools
import io
import os
import resource
import sys
from types import ModuleType
from typing import Any, Dict, List, NoReturn, Set, Tuple

HERE = os.path.dirname(os.path.abspath(__file__))
FAILED = 1
NO_DAEMON = 75  # EX_TEMPFAIL of sysexits.h
MISSING = 78  # EX_CONFIG
NOT_DJANGO = "does not call execute_from_command_line"
PREFIX = "_linodmgr_"  # of our modules' names, so that they are in nobody's way
PARTS = (
    "due",
    "environment",
    "imports",
    "lino_rows",
    "lino_runs",
    "lino_tasks",
    "lino_watch",
    "listing",
    "on_django",
    "on_lino",
    "on_schedule",
    "plans",
    "report",
    "runs",
    "schedule_jobs",
    "script",
    "stacks",
    "stopping",
    "waiting",
)


def main() -> None:
    """Run the site or list its jobs; the process ends as the site does, or with a line that says why."""
    options, arguments = parse(sys.argv[1:])
    runner = Runner(options, Parts())
    _go_aside()
    script = runner.prepare()
    if options["mode"] == "run":
        runner.begin()
    runner.run(script, arguments)


class Parts(Dict[str, ModuleType]):
    """The modules next to this one by name, all read at once; each is run when it is needed first.

    Most sites need only one kind of hooks, and compiling the others would cost them time. No bytecode
    is written: a site that may write here has a umask of its own, and others execute what lies here.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sources: Dict[str, bytes] = {}
        for name in PARTS:
            with open(os.path.join(HERE, name + ".py"), "rb") as file:
                self._sources[name] = file.read()

    def __missing__(self, name: str) -> ModuleType:
        """Return the module ``name``, run. Raises KeyError if there is none."""
        source = self._sources[name]
        module = ModuleType(PREFIX + name)
        module.__file__ = os.path.join(HERE, name + ".py")
        sys.modules[module.__name__] = module
        exec(compile(source, module.__file__, "exec", dont_inherit=True), module.__dict__)
        self[name] = module
        return module


class Runner:
    """One start of a site. ``parts`` are the modules next to this one."""

    def __init__(self, options: Dict[str, str], parts: Dict[str, ModuleType]) -> None:
        self._options = options
        self._parts = parts
        self._lists = options["mode"] == "list"
        if "lock" in options:
            os.set_inheritable(int(options["lock"]), False)
        self._stop = parts["stopping"].Stop(int(options["stop-signal"]))
        self._stop.own()
        self._daemon = parts["report"].Daemon(parts["waiting"])
        self._runs = parts["runs"].Runs(self._daemon, self._stop)
        self._hooked: Set[str] = set()  # modules whose hooks fit
        self._ready = False
        self._commands = parts["on_django"].Commands(self._daemon, self._guard, self._hooked)

    def prepare(self) -> Any:
        """Return the site's manage.py, read, in the site's directory and environment."""
        directory = self._options["directory"]
        verb, path = "enter directory", directory
        try:
            os.chdir(directory)
            verb = "read"
            if "environment-file" in self._options:
                path = os.path.join(directory, self._options["environment-file"])
                self._take_environment(path)
            path = os.path.join(directory, self._options["manage"])
            return self._parts["script"].Script(self._options["manage"])
        except OSError as error:
            self._missing(f"cannot {verb} {path!r}: {error.strerror or error}")

    def begin(self) -> None:
        """Connect to the daemon and wait for its go."""
        timeout = float(self._options["timeout"])
        self._connect(timeout)
        if not self._daemon.wait_for_go(timeout):
            _fail(NO_DAEMON, "cannot begin: the daemon did not say go")
        self._runs.take_limits()
        soft, _, hard = self._options.get("open-files", "").partition(":")
        if hard:
            _limit_open_files(int(soft), int(hard))

    def run(self, script: Any, arguments: List[str]) -> None:
        """Run manage.py under our hooks and end as it ends."""
        for name in ("stdout", "stderr"):
            _buffer_by_line(name)
        if self._lists:
            self._list_instead(script)
        elif not script.calls_django():
            self._daemon.unhooked(f"{script.manage} {NOT_DJANGO}")
        self._parts["imports"].Watcher(
            {
                "django.core.management": functools.partial(self._hook, self._commands.hook),
                "schedule": functools.partial(self._hook, self._hook_schedule),
                "lino.modlib.linod.mixins": functools.partial(self._hook, self._hook_lino),
            }
        ).begin()
        ending = self._parts["script"].Ending()
        with ending:
            script.run(arguments)
        if self._lists:
            self._tell_why_nothing_is_listed(ending)
        elif ending.is_good and not self._ready and self._stop.is_ours():
            with self._guard("cannot tell why it ends"):
                self._commands.ended()
        if self._stop.leaves_at_once():
            self._stop.leave(ending.status())
        ending.again()

    def _take_environment(self, path: str) -> None:
        """Take over its variables. Python begins anew with them: some are read at its start only."""
        variables, wrong = self._parts["environment"].read(path)
        for number in wrong:
            print(f"{path}: line {number} is not NAME=value, passed over", file=sys.stderr)
        if all(os.environ.get(name) == value for name, value in variables.items()):
            return
        os.environ.update(variables)
        if "lock" in self._options:
            os.set_inheritable(int(self._options["lock"]), True)
        left_out = "--environment-file=" + self._options["environment-file"]
        rest = list(sys.argv)
        rest.remove(left_out)
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *rest])

    def _missing(self, reason: str) -> NoReturn:
        if not self._lists:
            self._connect(float(self._options["timeout"]))
            self._daemon.tell("missing", reason=reason)
        _fail(MISSING, reason)

    def _connect(self, timeout: float) -> None:
        path = self._options["report"]
        try:
            self._daemon.connect(path, timeout, self._parts["stacks"].register())
        except OSError as error:
            _fail(NO_DAEMON, f"cannot reach the daemon at {path}: {error.strerror or error}")

    def _hook(self, hook: Any, module: ModuleType) -> None:
        with self._guard(f"cannot hook {module.__name__}"):
            hook(module)
            self._hooked.add(module.__name__)

    def _hook_schedule(self, module: ModuleType) -> None:
        parts = self._parts
        begins = functools.partial(self._begins, parts["stopping"].BY_FLAG)
        plans = parts["plans"].Plans(self._runs, parts["due"], parts["schedule_jobs"])
        on_schedule = parts["on_schedule"]
        on_schedule.hook(
            module, self._stop, begins, self._runs, plans, self._daemon.unhooked, on_schedule.show_failure
        )

    def _hook_lino(self, module: ModuleType) -> None:
        begins = functools.partial(self._begins, self._parts["stopping"].BY_EXIT)
        parts = self._parts
        parts["on_lino"].hook(module, self._stop, begins, self._runs, self._guard, parts)

    def _begins(self, ends_by: str) -> None:
        """Know that the loop that runs the jobs goes round; the first time, tell."""
        if not self._ready:
            self._ready = True
            self._stop.loop_begins(ends_by)
            self._daemon.tell("ready")

    def _guard(self, what: str) -> Any:
        return self._parts["report"].Guard(self._daemon, what)

    def _list_instead(self, script: Any) -> None:
        """Let the command be listed, not run; a script that is not Django's is not even begun."""
        if not script.calls_django():
            _fail(FAILED, f"cannot list the jobs: {script.manage} {NOT_DJANGO}")
        output = os.dup(1)
        os.dup2(2, 1)
        self._commands.instead = (
            self._parts["listing"]
            .Listing(
                output,
                self._parts["on_django"],
                self._parts["schedule_jobs"].describe_all,
                self._parts["lino_tasks"].describe_all,
            )
            .print_and_end
        )

    def _tell_why_nothing_is_listed(self, ending: Any) -> NoReturn:
        """End with 1; the last line on stderr is the reason in words."""
        listing = self._parts["listing"]
        if listing.is_surprise(ending.error):
            ending.show()
        self._parts["stopping"].flush()
        print(listing.why_nothing(ending.error, self._commands.problem), file=sys.stderr)
        self._parts["stopping"].flush()
        os._exit(FAILED)


def parse(arguments: List[str]) -> Tuple[Dict[str, str], List[str]]:
    """Return the options, without their dashes, and what stands behind ``--``."""
    end = arguments.index("--")
    pairs = (argument[2:].partition("=") for argument in arguments[:end])
    return {name: value for name, _, value in pairs}, arguments[end + 1 :]


def _go_aside() -> None:
    """Leave the place of the main module, and the search path, to the site."""
    sys.modules[PREFIX + "runner"] = sys.modules["__main__"]
    if sys.path and sys.path[0] == HERE:
        del sys.path[0]


def _buffer_by_line(name: str) -> None:
    """Let each line that the site prints appear at once, though it goes into a file."""
    stream = getattr(sys, name)
    if stream is None:
        return
    if hasattr(stream, "reconfigure"):  # since Python 3.7
        stream.reconfigure(line_buffering=True)
        return
    encoding, errors = stream.encoding, stream.errors
    wrapper: Any = io.TextIOWrapper(stream.detach(), encoding=encoding, errors=errors, line_buffering=True)
    wrapper.mode = "w"  # as Python itself sets it
    setattr(sys, name, wrapper)
    setattr(sys, f"__{name}__", wrapper)


def _limit_open_files(soft: int, hard: int) -> None:
    """Lower the limits, which are the daemon's: it needs more descriptors than a site."""
    may_have = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, may_have), min(hard, may_have)))


def _fail(status: int, reason: str) -> NoReturn:
    print(reason, file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
