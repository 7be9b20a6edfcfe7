"""Hosts that are network namespaces of this machine, each with an address of its own, on one
Ethernet. A thread that enters one makes its sockets and its processes there."""

import contextlib
import ctypes
import os
import subprocess
from pathlib import Path

CLONE_NEWNET, CLONE_NEWNS = 0x40000000, 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
LIBC = ctypes.CDLL(None, use_errno=True)
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, env={"PATH": PATH}, timeout=60)


@contextlib.contextmanager
def entered(path: Path):
    """This thread, in the network namespace of that file."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    other = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(other)
        yield
    finally:
        setns(own)
        os.close(other)
        os.close(own)


def setns(fd: int) -> None:
    must(LIBC.setns(fd, CLONE_NEWNET), "setns")


def see_instead(place: Path, file: Path) -> None:
    """From now on this thread and its processes see a file in the place of another one. It is for a
    thread that ends, as it has mounts of its own afterwards."""
    must(LIBC.unshare(CLONE_NEWNS), "unshare")
    must(LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "make mounts private")
    must(LIBC.mount(bytes(file), bytes(place.resolve()), None, MS_BIND, None), f"mount {file}")


def must(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


class Hosts:
    """`count` hosts, 10.77.0.1 and so on, and the switch between them."""

    def __init__(self, count: int):
        self.prefix = f"belljar-{os.getpid()}"
        self.made: list[str] = []
        self.switch = self.add("switch")
        ip("-n", self.switch, "link", "add", "sw", "type", "bridge")
        ip("-n", self.switch, "link", "set", "sw", "up")
        for number in range(1, count + 1):
            name, port = self.add(f"host{number}"), f"port{number}"
            pair = ["link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", self.switch]
            ip("-n", name, *pair)
            ip("-n", self.switch, "link", "set", port, "master", "sw", "up")
            ip("-n", name, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")

    def add(self, what: str) -> str:
        name = f"{self.prefix}-{what}"
        ip("netns", "add", name)
        self.made.append(name)
        return name

    @staticmethod
    def address(number: int) -> str:
        return f"10.77.0.{number}"

    def inside(self, what: str):
        return entered(Path("/run/netns") / f"{self.prefix}-{what}")

    def plug(self, number: int, state: str) -> None:
        """Pulls the cable of a host (`down`), or puts it back (`up`)."""
        ip("-n", self.switch, "link", "set", f"port{number}", state)

    def remove(self) -> None:
        for name in self.made:
            ip("netns", "del", name)
