"""An archive that has every study it is asked for: full-size images of one phantom under other UIDs.

They are uncompressed; below `/slow` they take longer. It needs next to no processor time, because it shares the machine
with what is measured.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import date
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from zlib import crc32

from pydicom import FileDataset

from benchmarks.studies import study_uid
from model.phantom import PhantomExam, dicom_images, file_bytes

EXAM = PhantomExam(9_100_003, date(2026, 1, 1), 0.3, "bench", rows=3328, columns=2560)
BOUNDARY = "an-image-follows"
READS_S = 0.5
"""How long it takes to find a study on its disks, while which it leaves the processor to others."""
SLOW, SLOWEST_S = "slow", 4.0
"""Below this path it takes up to so long, and longer for some studies than for others."""
PLACE = study_uid(-1)
"""The study that the ready files are of; all UIDs are of one length."""


class _Handler(BaseHTTPRequestHandler):
    """QIDO-RS instances and WADO-RS studies for any study UID."""

    def do_GET(self) -> None:
        root, _, path = self.path.partition("?")[0].strip("/").partition("studies/")
        uid, *what = path.split("/")
        if what:
            self._answer("application/dicom+json", [_listed(uid).encode()])
            return
        time.sleep(SLOWEST_S * (crc32(uid.encode()) % 101) / 100 if root.startswith(SLOW) else READS_S)
        kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
        self._answer(kind, list(_parts(_files(), uid.encode())))

    def _answer(self, kind: str, parts: Sequence[bytes | memoryview]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(sum(map(len, parts))))
        self.end_headers()
        for part in parts:
            self.wfile.write(part)

    def log_message(self, *_arguments: object) -> None:
        """A request is no news."""


@cache
def _images() -> list[FileDataset]:
    images = list(dicom_images(EXAM))
    for number, image in enumerate(images):
        image.StudyInstanceUID, image.SOPInstanceUID = PLACE, f"{PLACE}.{number}"
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return images


@cache
def _files() -> list[bytes]:
    return [file_bytes(image) for image in _images()]


def _listed(study_uid: str) -> str:
    rows = [
        {
            "00080018": {"vr": "UI", "Value": [str(image.SOPInstanceUID).replace(PLACE, study_uid)]},
            "00080016": {"vr": "UI", "Value": [str(image.SOPClassUID)]},
            "00080060": {"vr": "CS", "Value": ["MG"]},
            "0020000E": {"vr": "UI", "Value": [str(image.SeriesInstanceUID)]},
        }
        for image in _images()
    ]
    return json.dumps(rows)


def _parts(files: Sequence[bytes], uid: bytes) -> Iterator[bytes | memoryview]:
    """The ready files with another study UID; the pixels, which come last, are not touched."""
    for file in files:
        pixels = file.index(b"\xe0\x7f\x10\x00")
        head = f"\r\n--{BOUNDARY}\r\nContent-Type: application/dicom\r\nContent-Length: {len(file)}\r\n\r\n"
        yield head.encode() + file[:pixels].replace(PLACE.encode(), uid)
        yield memoryview(file)[pixels:]
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


def main() -> None:
    """Print the root and serve until standard input ends."""
    _files()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}\n")
        sys.stdout.flush()
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
