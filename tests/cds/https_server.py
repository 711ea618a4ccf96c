"""A server with TLS whose certificate only its own authority vouches for."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.servers import left_out


class _Answers(BaseHTTPRequestHandler):
    """The patient p1 to every FHIR request; no content, which in DICOMweb means no such study, to any other."""

    def do_GET(self) -> None:
        body = b'{"resourceType": "Patient", "id": "p1"}' if self.path.startswith("/fhir") else b""
        self.send_response(200 if body else 204)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def https_server(folder: Path) -> Iterator[tuple[str, Path]]:
    """Its address on loopback, and the file with its certificate."""
    certificate, key = self_signed(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        loop = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        loop.start()
        yield f"https://127.0.0.1:{server.server_port}", certificate
        server.shutdown()
        loop.join()


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, as files."""
    openssl = shutil.which("openssl")
    if openssl is None:
        left_out("openssl is not installed: sudo apt-get install openssl")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    new = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command = [*new, *subject, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 # a fixed command
    return certificate, key
