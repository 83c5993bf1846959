"""The exchange against servers that misbehave below HTTP, on real sockets."""

import contextlib
import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from apps.brokers.transport import (
    LARGEST_BODY_BYTES,
    ConnectFailedError,
    Exchange,
    NoAnswerError,
    NothingSentError,
    PartlySentError,
)

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
Behavior = Callable[[socket.socket], None]


@contextlib.contextmanager
def server(behave: Behavior) -> Iterator[str]:
    """Serve one connection with `behave` and yield the address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                behave(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()
        thread.join(timeout=5)


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(4096)
    return data


def answering(data: bytes) -> Behavior:
    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(data)

    return behave


def exchanged(url: str, *, seconds: float = 2.0):
    exchange = Exchange(url)
    exchange.open()
    exchange.send("POST", "/orders", {"X-Who": "me"}, b"body")
    return exchange.receive(seconds=seconds)


def test_whole_answer_is_returned():
    with server(answering(WHOLE)) as url:
        answer = exchanged(url)

    assert (answer.status, answer.content_type, answer.body) == (200, "application/json", b"{}")


def test_request_is_one_whole_message():
    seen: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        seen.append(connection.recv(4096))
        connection.sendall(WHOLE)

    with server(behave) as url:
        exchanged(url)

    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"POST /orders HTTP/1.1"
    assert b"Content-Length: 4" in head.splitlines()
    assert b"Connection: close" in head.splitlines()
    assert b"X-Who: me" in head.splitlines()
    assert body == b"body"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{}",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 " + b"9" * 70_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    ],
    ids=[
        "nothing",
        "half a head",
        "short body",
        "cut chunk",
        "no length",
        "not http",
        "endless line",
        "negative length",
    ],
)
def test_anything_less_than_a_whole_answer_is_none(data):
    with server(answering(data)) as url, pytest.raises(NoAnswerError):
        exchanged(url)


def test_body_beyond_the_limit_is_no_answer():
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {LARGEST_BODY_BYTES + 1}\r\n\r\n".encode()

    with server(answering(head + b"x" * (LARGEST_BODY_BYTES + 1))) as url, pytest.raises(NoAnswerError):
        exchanged(url, seconds=10)


def test_reset_is_no_answer():
    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    with server(behave) as url, pytest.raises(NoAnswerError, match="ConnectionResetError"):
        exchanged(url)


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"], ids=["head", "body"])
def test_drip_is_cut_at_the_deadline(head):
    """A per-read time-out would start anew with each byte and hold the caller for as long as the server likes."""

    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(head)
        with contextlib.suppress(OSError):
            for _ in range(100):
                connection.sendall(b"H")
                time.sleep(0.05)

    started = time.monotonic()
    with server(behave) as url, pytest.raises(NoAnswerError, match=r"no whole answer within 0\.5 s"):
        exchanged(url, seconds=0.5)

    assert 0.4 < time.monotonic() - started < 4  # the drip itself lasts five


def test_silent_server_is_cut_at_the_deadline():
    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.recv(1)

    with server(behave) as url, pytest.raises(NoAnswerError):
        exchanged(url, seconds=0.3)


def test_redirect_is_an_answer_and_is_not_followed():
    data = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"

    with server(answering(data)) as url:
        assert exchanged(url).status == 307


def test_refused_connection_is_no_connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(ConnectFailedError, match="ConnectionRefusedError"):
        Exchange(f"http://127.0.0.1:{port}").open()


def test_unknown_name_is_no_connection():
    with pytest.raises(ConnectFailedError):
        Exchange("http://nowhere.invalid").open()


def test_server_that_reads_nothing_gets_a_part_and_the_send_ends():
    release = threading.Event()

    def behave(connection: socket.socket) -> None:
        release.wait(5)

    with server(behave) as url:
        exchange = Exchange(url)
        exchange.open()
        started = time.monotonic()
        with pytest.raises(PartlySentError):
            exchange.send("POST", "/", {}, b"x" * 64_000_000, seconds=0.5)
        took = time.monotonic() - started
        release.set()

    assert took < 4


def test_send_on_a_closed_exchange_sends_nothing():
    with server(answering(WHOLE)) as url:
        exchange = Exchange(url)
        exchange.open()
        exchange.close()

        with pytest.raises(NothingSentError):
            exchange.send("POST", "/", {})


def test_header_with_a_line_break_is_refused_before_anything_is_sent():
    with server(answering(WHOLE)) as url:
        exchange = Exchange(url)
        exchange.open()
        with pytest.raises(ValueError, match="line breaks"):
            exchange.send("GET", "/", {"X-Evil": "a\r\nX-More: b"})
        exchange.close()


def test_address_without_a_scheme_is_refused():
    with pytest.raises(ValueError, match="expected an http or https address"):
        Exchange("127.0.0.1:80")


def test_self_signed_certificate_is_no_connection(tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))

    def behave(connection: socket.socket) -> None:
        with contextlib.suppress(ssl.SSLError, OSError):
            context.wrap_socket(connection, server_side=True)

    with server(behave) as url, pytest.raises(ConnectFailedError, match="CERTIFICATE_VERIFY_FAILED"):
        Exchange(url.replace("http://", "https://")).open()


def test_tls_server_that_is_trusted_answers(tmp_path, monkeypatch):
    path = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)

    def behave(connection: socket.socket) -> None:
        answering(WHOLE)(context.wrap_socket(connection, server_side=True))

    with server(behave) as url:
        assert exchanged(url.replace("http://", "https://")).status == 200


def test_tls_server_that_says_nothing_is_cut_in_the_handshake():
    def behave(connection: socket.socket) -> None:
        time.sleep(3)

    with server(behave) as url:
        exchange = Exchange(url.replace("http://", "https://"))
        started = time.monotonic()
        with pytest.raises(ConnectFailedError):
            exchange.open(seconds=0.3)
        took = time.monotonic() - started

    assert took < 2.5


def self_signed(folder):
    """Write a certificate for 127.0.0.1 and its key into one file and return its path."""
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path
