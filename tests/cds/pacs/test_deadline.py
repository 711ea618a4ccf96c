"""Archives that are never silent and never done."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cds.errors import PacsUnreachable
from cds.pacs.connection import ArchiveRoot
from cds.pacs.dicomweb import DicomWebArchive

BEGINNING = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\n"


@contextmanager
def dripping(beginning: bytes, piece: bytes) -> Iterator[str]:
    """An archive that answers with this beginning and then with piece after piece, until nobody listens."""

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                connection.recv(65536)
                connection.sendall(beginning)
                for _ in range(1_000_000):
                    connection.sendall(piece)
            except OSError:
                pass  # the other end has had enough

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    ("beginning", "piece"),
    [
        (BEGINNING + b"\r\n", b" "),
        (BEGINNING + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (BEGINNING.replace(b"application/dicom+json", b"multipart/related; boundary=x") + b"\r\n", b"."),
        (BEGINNING.replace(b"200 OK", b"503 Busy") + b"Content-Length: 9999999\r\n\r\n", b" "),
        (BEGINNING + b"X-Slow: ", b"a"),
        (b"HTTP/1.1 200 O", b"K"),
    ],
)
def test_an_answer_that_drips_is_given_up_when_its_time_is_over(beginning: bytes, piece: bytes) -> None:
    clock = itertools.count(0, 400)  # at each look, and one is taken before every piece
    with dripping(beginning, piece) as url:
        archive = DicomWebArchive(ArchiveRoot(url, retries=0, whole_timeout_s=600), lambda: float(next(clock)))
        with pytest.raises(PacsUnreachable, match="did not finish within 600 s; it is tried again"):
            archive.retrieve_study("1.2.3")
    assert next(clock) == 1200
