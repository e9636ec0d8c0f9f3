"""What can go wrong in a way that a person must be told; each kind with its exit code."""


class LinodmgrError(Exception):
    """A problem told in one line: ``cannot <verb> <thing>: <reason>[: what to do]``."""

    exit_code = 1


class UsageError(LinodmgrError):
    """Wrong usage, such as an unknown site."""

    exit_code = 2


class DaemonNotRunning(LinodmgrError):
    """Nobody listens on the control socket."""

    exit_code = 3


class ConfigError(LinodmgrError):
    """The configuration cannot be used; holds every problem found, one line each.

    The exit code is EX_CONFIG of sysexits.h, so that systemd does not restart in vain.
    """

    exit_code = 78

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
