"""One end of a link's own round trip: `serve PORT`, or `ask ADDRESS PORT BYTES COUNT`, which prints the mean in ms.

As many bytes there and back over one TCP connection as a step of one token takes, and nothing else.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time

CHUNK = 65536
WARM_UP = 5
"""Exchanges that are not counted."""


def serve(port: int) -> None:
    """One caller after another, for ever."""
    with socket.create_server(("", port)) as listener:
        print("listening", flush=True)
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(ConnectionError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while data := connection.recv(CHUNK):
                    connection.sendall(data)


def ask(address: str, port: int, size: int, count: int) -> float:
    """Mean seconds of an exchange, lost and repeated frames included."""
    with socket.create_connection((address, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        message = bytes(size)
        for number in range(WARM_UP + count):
            if number == WARM_UP:
                started = time.perf_counter()
            connection.sendall(message)
            left = size
            while left:
                left -= len(connection.recv(CHUNK)) or sys.exit("the other end has closed the connection")
        return (time.perf_counter() - started) / count


def main(arguments: list[str]) -> None:
    match arguments:
        case ["serve", port]:
            serve(int(port))
        case ["ask", address, port, size, count]:
            print(1000 * ask(address, int(port), int(size), int(count)))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
