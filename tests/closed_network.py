"""A network that is closed but for loopback, and a count of every attempt to leave it.

Run as a program: `closed_network.py FOLDER -- COMMAND …` enters the closed network, runs the command there and writes to
FOLDER/attempts.json what tried to get out: {"packets": N, "calls": ["socket.connect ('192.0.2.1', 443)", …]}.

Two nets, because neither sees everything. The kernel counts packets without a route (Ip: OutNoRoutes of this network namespace), also
those of native code, but needs a privilege for it. Python's audit events name the call, but only what Python calls.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

NEW_NETWORK, NEW_MOUNTS, NEW_USER = 0x40000000, 0x00020000, 0x10000000  # <linux/sched.h>
SET_FLAGS, UP = 0x8914, 0x1  # <linux/sockios.h>, <linux/if.h>
NAME_SERVER = "192.0.2.53"
"""A name server that cannot be reached (RFC 5737): whoever looks up a name sends a packet that has no route."""

HOOK = '''
import os, sys

def _watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if not isinstance(address, tuple) or str(address[0]) in ("127.0.0.1", "::1", "localhost", ""):
            return
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        address = arguments[0]
        if address is None or str(address) in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::", ""):
            return
    else:
        return
    with open(os.environ["NETWORK_CALLS"], "a", encoding="utf-8") as out:
        print(event, address, file=out)
    raise OSError(101, "Network is unreachable")

sys.addaudithook(_watch)
'''


def namespace() -> bool:
    """Moves this process into a network of its own with nothing but loopback; False where the system does not allow it."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(NEW_NETWORK | NEW_MOUNTS):
        if libc.unshare(NEW_NETWORK | NEW_MOUNTS | NEW_USER):
            return False
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh14x", b"lo", UP))
    return True


def own_name_server(folder: Path) -> None:
    """Puts NAME_SERVER into the place of the system's, for this process and its children."""
    file = folder / "resolv.conf"
    file.write_text(f"nameserver {NAME_SERVER}\noptions timeout:1 attempts:1\n")
    place = Path("/etc/resolv.conf").resolve()
    for command in (["mount", "--make-rprivate", "/"], ["mount", "--bind", file, place]):
        subprocess.run(command, check=False, capture_output=True)


def packets_without_route() -> int:
    names, values = (line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Ip: "))
    six = next(int(line.split()[1]) for line in Path("/proc/net/snmp6").read_text().splitlines() if line.startswith("Ip6OutNoRoutes"))
    return int(values[names.index("OutNoRoutes")]) + six


def main() -> int:
    folder, command = Path(sys.argv[1]).resolve(), sys.argv[3:]
    (folder / "hook").mkdir(exist_ok=True)
    (folder / "hook" / "sitecustomize.py").write_text(HOOK)
    calls = folder / "calls"
    calls.touch()
    counted = namespace()
    if counted:
        own_name_server(folder)
    environment = {**os.environ, "PYTHONPATH": str(folder / "hook"), "NETWORK_CALLS": str(calls)}
    status = subprocess.run(command, env=environment).returncode
    attempts = {"packets": packets_without_route() if counted else None, "calls": calls.read_text().splitlines()}
    (folder / "attempts.json").write_text(json.dumps(attempts))
    return status


if __name__ == "__main__":
    sys.exit(main())
