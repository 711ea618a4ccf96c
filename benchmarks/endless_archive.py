"""An archive that has every study it is asked for: full-size images of one phantom under other UIDs."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from copy import copy
from datetime import date
from io import BytesIO

from flask import Flask, Response
from pydicom.dataset import FileDataset

from cds.demo.loopback import serve
from model.phantom import PhantomExam, dicom_images

EXAM = PhantomExam(9_100_003, date(2026, 1, 1), 0.3, "bench", rows=3328, columns=2560)
BOUNDARY = "an-image-follows"
READS_S = 0.5
"""How long it takes to find a study on its disks, while which it leaves the processor to others."""


def archive(images: list[FileDataset]) -> Flask:
    """QIDO-RS instances and WADO-RS studies for any study UID."""
    app = Flask("endless")

    @app.get("/studies/<study_uid>/instances")
    def instances(study_uid: str) -> Response:
        rows = [
            {
                "00080018": {"vr": "UI", "Value": [f"{study_uid}.{number}"]},
                "00080016": {"vr": "UI", "Value": [str(image.SOPClassUID)]},
                "00080060": {"vr": "CS", "Value": ["MG"]},
                "0020000E": {"vr": "UI", "Value": [str(image.SeriesInstanceUID)]},
            }
            for number, image in enumerate(images)
        ]
        return Response(json.dumps(rows), content_type="application/dicom+json")

    @app.get("/studies/<study_uid>")
    def study(study_uid: str) -> Response:
        time.sleep(READS_S)
        kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
        return Response(_parts(images, study_uid), content_type=kind)

    return app


def _parts(images: list[FileDataset], study_uid: str) -> Iterator[bytes]:
    for number, image in enumerate(map(copy, images)):
        image.file_meta = copy(image.file_meta)
        image.StudyInstanceUID, image.SOPInstanceUID = study_uid, f"{study_uid}.{number}"
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        file = BytesIO()
        image.save_as(file)
        head = f"\r\n--{BOUNDARY}\r\nContent-Type: application/dicom\r\nContent-Length: {file.tell()}\r\n\r\n"
        yield head.encode() + file.getvalue()
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


def main() -> None:
    """Print the root and serve until standard input ends."""
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a request that waits is no news
    with serve(archive(list(dicom_images(EXAM))), threads=4) as url:
        sys.stdout.write(url + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
