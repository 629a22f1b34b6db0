"""Copy a tree by plain TCP: the least that a copy without any knowledge costs.

`tcp.py send -e CMD SRC HOST:DST` starts `CMD HOST python tcp.py receive DST`, which prints the port it listens on. Then
names, modes, sizes and content go over one loopback connection by sendfile, and are received straight into files.
Nothing is compared or verified.
"""

from __future__ import annotations

import os
import shlex
import socket
import struct
import subprocess
import sys

HEAD = struct.Struct("<IIQ")
BLOCK = 1 << 18


def send(carrier: str, source: bytes, host: str, target: str) -> None:
    command = [*shlex.split(carrier), host, shlex.join([sys.executable, "-I", "-S", __file__, "receive", target])]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as far:
        assert far.stdout
        port = int(far.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)) as line:
            sent = sum(send_folder(line, source, folder) for folder, _, _ in os.walk(source))
        far.stdout.read()
    print(sent)


def send_folder(line: socket.socket, source: bytes, folder: bytes) -> int:
    sent = 0
    for entry in os.scandir(folder):
        name = os.path.relpath(entry.path, source)
        if entry.is_file(follow_symlinks=False):
            with open(entry.path, "rb") as content:
                status = os.fstat(content.fileno())
                line.sendall(HEAD.pack(len(name), status.st_mode, status.st_size) + name)
                sent += HEAD.size + len(name) + line.sendfile(content, count=status.st_size or None)
        elif entry.is_dir(follow_symlinks=False):
            line.sendall(HEAD.pack(len(name), entry.stat().st_mode, 0) + name)
            sent += HEAD.size + len(name)
    return sent


def receive(target: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        line, _ = server.accept()
    os.makedirs(target, exist_ok=True)
    buffer = memoryview(bytearray(BLOCK))
    with line:
        while head := line.recv(HEAD.size, socket.MSG_WAITALL):
            length, mode, size = HEAD.unpack(head)
            path = os.path.join(target, line.recv(length, socket.MSG_WAITALL))
            if mode & 0o170000 == 0o040000:
                os.makedirs(path, exist_ok=True)
            else:
                receive_file(line, path, mode & 0o7777, size, buffer)


def receive_file(line: socket.socket, path: bytes, mode: int, size: int, buffer: memoryview) -> None:
    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    while size:
        got = line.recv_into(buffer, min(size, BLOCK))
        if not got:
            raise EOFError("the sender has gone")
        os.write(out, buffer[:got])
        size -= got
    os.close(out)


def main() -> None:
    if sys.argv[1] == "receive":
        receive(os.fsencode(sys.argv[2]))
    else:
        _, _, _, carrier, source, far = sys.argv
        host, _, target = far.partition(":")
        send(carrier, os.fsencode(source), host, target)


if __name__ == "__main__":
    main()
