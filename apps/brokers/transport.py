"""One HTTP request over one connection of its own, under deadlines that close the socket.

An ordinary client's time-out starts anew with every byte, so a server that drips holds its caller for as long as it
likes. Here a timer shuts the socket down at the deadline, whatever has come by then. Nothing is repeated, no redirect
is followed, no proxy is asked, and TLS certificates are verified.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

CONNECT_SECONDS = 3.0
SEND_SECONDS = 1.0
LARGEST_BODY_BYTES = 16 * 1024 * 1024


class TransportError(Exception):
    """The exchange failed. `evidence` says how, without any of the request's content."""

    def __init__(self, evidence: str) -> None:
        super().__init__(evidence)
        self.evidence = evidence


class ConnectFailedError(TransportError):
    """No connection was made: nothing can have been sent."""


class NothingSentError(TransportError):
    """The connection broke before it took a single byte."""


class PartlySentError(TransportError):
    """Some bytes were handed to the kernel, perhaps all."""


class NoAnswerError(TransportError):
    """No whole answer came by the deadline, or at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """A whole answer."""

    status: int
    content_type: str
    body: bytes


class Exchange:
    """Order of calls: `open`, `send`, `receive`, `close`. `close` may be called at any time and from any thread."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"expected an http or https address, got {url!r}")
        self._is_tls = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._is_tls else 80)
        self._prefix = parts.path.rstrip("/")
        self._socket: socket.socket | None = None
        self._method = ""
        self._is_late = False

    def open(self, *, seconds: float = CONNECT_SECONDS) -> None:
        """Connect, TLS included. Raises ConnectFailedError."""
        try:
            self._socket = socket.create_connection((self._host, self._port), timeout=seconds)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._is_tls:
                with self._deadline(seconds):
                    self._socket = ssl.create_default_context().wrap_socket(self._socket, server_hostname=self._host)
        except (OSError, ValueError) as error:
            self.close()
            raise ConnectFailedError(f"no connection: {_told(error)}") from error

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"", *, seconds: float = SEND_SECONDS
    ) -> None:
        """Hand the whole request to the kernel. Raises NothingSentError or PartlySentError."""
        self._method = method
        data = memoryview(self._head(method, target, headers, len(body)) + body)
        handed_over = 0
        give_up_at = time.monotonic() + seconds
        try:
            connection = self._connected()
            while handed_over < len(data):
                connection.settimeout(max(give_up_at - time.monotonic(), 0.001))
                handed_over += connection.send(data[handed_over:])
                if handed_over < len(data) and time.monotonic() >= give_up_at:
                    raise TimeoutError("the send time-out passed")
        except OSError as error:
            self.close()
            # A TLS record may have left in part although `send` reports none of it.
            kind = PartlySentError if handed_over or self._is_tls else NothingSentError
            raise kind(f"{handed_over} of {len(data)} bytes handed over: {_told(error)}") from error

    def receive(self, *, seconds: float) -> HttpAnswer:
        """Return the answer when it is whole. Raises NoAnswerError at the deadline, or when less than that came."""
        try:
            with self._deadline(seconds):
                connection = self._connected()
                connection.settimeout(seconds)
                answer = self._read(connection)
        except TimeoutError as error:  # the socket's own time-out, a moment before the timer's
            raise NoAnswerError(_late(seconds)) from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise NoAnswerError(_late(seconds) if self._is_late else f"no answer: {_told(error)}") from error
        finally:
            self.close()
        if self._is_late:
            raise NoAnswerError(_late(seconds))
        return answer

    def close(self) -> None:
        """Close the connection; whoever waits on it is woken."""
        connection = self._socket
        if connection is None:
            return
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    def _read(self, connection: socket.socket) -> HttpAnswer:
        response = http.client.HTTPResponse(connection, method=self._method)
        response.begin()
        if response.length is None and not response.chunked:
            # Without a length the end of the connection would end the answer, and a cut one would look whole.
            raise http.client.HTTPException("the answer does not say how long it is")
        body = response.read(LARGEST_BODY_BYTES)
        if response.length:
            raise http.client.IncompleteRead(body, response.length)
        return HttpAnswer(status=response.status, content_type=response.getheader("content-type", ""), body=body)

    def _head(self, method: str, target: str, headers: Mapping[str, str], length: int) -> bytes:
        lines = [
            f"{method} {self._prefix}{target} HTTP/1.1",
            f"Host: {self._host}:{self._port}",
            "Connection: close",
            "Accept: application/json",
            "Accept-Encoding: identity",
            f"Content-Length: {length}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("expected request lines without line breaks")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise OSError("the exchange is not open")
        return self._socket

    @contextmanager
    def _deadline(self, seconds: float) -> Iterator[None]:
        timer = threading.Timer(seconds, self._expire)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _expire(self) -> None:
        """Wake the reader: shutting down is safe from this thread, closing is left to the owner."""
        self._is_late = True
        connection = self._socket
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _late(seconds: float) -> str:
    return f"no whole answer within {seconds:g} s"


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]
