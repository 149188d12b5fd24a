"""Child processes of the demo: each ends with us, however we end."""

import subprocess
from contextlib import suppress
from typing import Final

_SECONDS: Final = 5.0

Child = subprocess.Popen[bytes] | subprocess.Popen[str]


def kill_with_us(pid: int) -> "subprocess.Popen[bytes]":
    """Start a shell that kills ``pid`` when this process ends, kill -9 included.

    It reads a pipe whose other end only this process holds. PR_SET_PDEATHSIG would fire when the
    starting *thread* ends, and is Linux only.
    """
    return subprocess.Popen(  # noqa: S603 - a number of our own
        ["/bin/sh", "-c", f"read -r _; kill -9 {pid}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def end(child: Child, seconds: float = _SECONDS) -> None:
    """Close its pipes, wait, and kill it if it does not end by itself."""
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


__all__ = ["end", "kill_with_us"]
