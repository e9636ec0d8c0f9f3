"""A file system that never answers, as one whose server is lost. Only root can mount it."""

import contextlib
import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

REQUEST = 128 * 1024  # bytes, at most
ANSWER = struct.Struct("<IiQ")  # struct fuse_out_header: length, error, which request
# struct fuse_init_out of version 7.31: how many requests may wait, how much may be written; all else is 0.
INIT = struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 0, 0, 4096, 1, 0, 0, 0)


@contextlib.contextmanager
def hung_disk(place: Path) -> Iterator[Callable[[], None]]:
    """Mount it, and yield what waits until somebody has asked it for something.

    Not even SIGKILL ends who has asked, until the disk is gone.
    """
    device = os.open("/dev/fuse", os.O_RDWR)
    try:
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
        command = ["mount", "--internal-only", "-t", "fuse", "-o", options, "hung", str(place)]
        subprocess.run(command, pass_fds=(device,), check=True)
    except BaseException:
        os.close(device)
        raise
    try:
        _, _, which = struct.unpack_from("<IIQ", os.read(device, REQUEST))
        os.write(device, ANSWER.pack(ANSWER.size + len(INIT), 0, which) + INIT)
        yield lambda: _take(device)
    finally:
        os.close(device)
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _take(device: int) -> None:
    assert os.read(device, REQUEST)
