"""The client of Kastrel: its HTTP API, one open connection a thread."""

import http.client
import json
import os
import select
import socket
import threading

from client_loop import serve

PORT = int(os.environ["COMPARE_PORT"])
HEADERS = {"content-type": "application/json"}
_local = threading.local()


def connection() -> http.client.HTTPConnection:
    """Returns the connection of this thread, or a new one if the server has closed it."""
    if getattr(_local, "connection", None) is None or is_closed(_local.connection.sock):
        _local.connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        _local.connection.connect()
        _local.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return _local.connection


def is_closed(connection: socket.socket | None) -> bool:
    """True if a connection without a request in it has something to read: its end."""
    return connection is None or bool(select.select([connection], [], [], 0)[0])


def post(path: str, body: dict | None) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Sends a request, once: a second one could submit a second scan."""
    try:
        server = connection()
        server.request("POST", path, None if body is None else json.dumps(body), HEADERS)
        answer = server.getresponse()
        return answer.status, answer.headers, answer.read()
    except (OSError, http.client.HTTPException):
        _local.connection = None
        raise


def submit(job: int, target: str, tenant: str) -> int:
    status, headers, body = post("/api/scans", {"target": target})
    if status != 201:
        raise RuntimeError(f"{status}: {body.decode()}")
    return int(headers["location"].rsplit("/", 1)[1])


def cancel(job: int) -> None:
    status, _, body = post(f"/api/scans/{job}/cancel", None)
    if status >= 300:
        raise RuntimeError(f"{status}: {body.decode()}")


serve(submit, cancel)
