"""The embedded hospital's image archive: QIDO-RS, WADO-RS and STOW-RS over a folder of DICOM files (PS3.18)."""

from __future__ import annotations

import hmac
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO

import pydicom
from flask import Blueprint, Flask, Response, abort, current_app, request
from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import ExplicitVRLittleEndian
from werkzeug.datastructures import MultiDict

from cds.demo.dicom_folder import DicomFolder, Json, StoredInstance, is_listed, tag_of

CHUNK = 1 << 20
_PAGING = frozenset({"limit", "offset", "includefield", "fuzzymatching"})

dicomweb = Blueprint("dicomweb", __name__)


def dicomweb_app(folder: DicomFolder, user: str | None = None, password: str = "") -> Flask:
    """The WSGI app; with a `user` it demands basic authentication."""
    app = Flask(__name__)
    app.extensions["folder"] = folder
    if user is not None:
        app.before_request(lambda: _demand(user, password))
    app.register_blueprint(dicomweb)
    return app


@dicomweb.get("/studies")
def search_for_studies() -> Response:
    """QIDO-RS studies by any listed attribute, such as AccessionNumber or ModalitiesInStudy."""
    return _listing(_folder().studies())


@dicomweb.post("/studies")
def store() -> Response:
    """STOW-RS: keep every object that is sent; one that is here already is replaced."""
    boundary = request.mimetype_params.get("boundary", "").encode()
    if request.mimetype != "multipart/related" or not boundary:
        abort(415, "objects are taken as multipart/related")
    kept = [_keep(part) for part in request.get_data().split(b"--" + boundary)[1:-1]]
    return _answer({tag_of("ReferencedSOPSequence"): {"vr": "SQ", "Value": kept}})


def _keep(part: bytes) -> Json:
    content = part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
    try:
        sent = pydicom.dcmread(BytesIO(content))
        _folder().add(sent)
    except (InvalidDicomError, AttributeError, ValueError):
        abort(400, "a part is no DICOM file with a SOP Instance UID")
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = sent.SOPClassUID, sent.SOPInstanceUID
    return dict(reference.to_json_dict())


@dicomweb.get("/studies/<study_uid>/instances")
def search_for_instances(study_uid: str) -> Response:
    """QIDO-RS instances of a study."""
    return _listing([one.attributes for one in _folder().instances(study_uid)])


@dicomweb.get("/studies/<study_uid>")
@dicomweb.get("/studies/<study_uid>/series/<series_uid>")
@dicomweb.get("/studies/<study_uid>/series/<series_uid>/instances/<sop_uid>")
def retrieve(study_uid: str, series_uid: str | None = None, sop_uid: str | None = None) -> Response:
    """WADO-RS: the instances of a study, of a series, or one, as stored, streamed from their files."""
    found = _found(study_uid, series_uid, sop_uid)
    if not all(_is_acceptable(one.transfer_syntax) for one in found):
        abort(406, "images are sent as they are stored: ask for transfer-syntax=*")
    boundary = uuid.uuid4().hex
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    return Response(_multipart(found, boundary), content_type=kind)


@dicomweb.get("/studies/<study_uid>/metadata")
@dicomweb.get("/studies/<study_uid>/series/<series_uid>/instances/<sop_uid>/metadata")
def retrieve_metadata(study_uid: str, series_uid: str | None = None, sop_uid: str | None = None) -> Response:
    """WADO-RS metadata: whole headers without pixels."""
    return _answer([_header(one) for one in _found(study_uid, series_uid, sop_uid)])


def _found(study_uid: str, series_uid: str | None, sop_uid: str | None) -> list[StoredInstance]:
    in_study = _folder().instances(study_uid)
    in_series = [one for one in in_study if series_uid in (None, one.text("SeriesInstanceUID"))]
    found = [one for one in in_series if sop_uid in (None, one.text("SOPInstanceUID"))]
    return found or abort(404, "there is no such study, series or instance")


def _header(instance: StoredInstance) -> Json:
    header = pydicom.dcmread(instance.path, stop_before_pixels=True)
    return dict(header.to_json_dict(bulk_data_threshold=CHUNK, bulk_data_element_handler=lambda _: ""))


def _multipart(instances: Sequence[StoredInstance], boundary: str) -> Iterator[bytes]:
    """The parts with their lengths, and the closing boundary, by which a client knows that it has everything."""
    for one in instances:
        kind = f"application/dicom; transfer-syntax={one.transfer_syntax}"
        length = one.path.stat().st_size
        yield f"\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode()
        with one.path.open("rb") as file:
            yield from iter(lambda: file.read(CHUNK), b"")
    yield f"\r\n--{boundary}--\r\n".encode()


def _is_acceptable(transfer_syntax: str) -> bool:
    """Whether the request takes images as they are stored; without a wish it takes Explicit VR LE (PS3.18, 8.7.3)."""
    wishes = request.headers.get("Accept", "*/*").split(",")
    for wish in wishes:
        parts = [part.strip().replace('"', "") for part in wish.split(";")]
        syntaxes = [part.partition("=")[2] for part in parts if part.lower().startswith("transfer-syntax=")]
        if any(syntax in ("*", transfer_syntax) for syntax in syntaxes or [ExplicitVRLittleEndian]):
            return True
    return False


def _listing(rows: Sequence[Json]) -> Response:
    filters = [(name, value) for name, value in request.args.items(multi=True) if name not in _PAGING]
    found = [row for row in rows if all(_matches(row, name, value) for name, value in filters)]
    offset, limit = _number(request.args, "offset", 0), _number(request.args, "limit", len(found))
    return _answer(found[offset : offset + limit])


def _matches(row: Json, name: str, value: str) -> bool:
    """Whether a row has any of the values that a query asks for, by keyword or tag; `*` ends a prefix.

    A date may be a range, open at either end (PS3.4 C.2.2.2.5).
    """
    tag = tag_of(name) or name.upper()
    if not is_listed(tag):
        return True  # unknown keys are ignored, as many archives do: a client must check what it gets
    values = row.get(tag, {}).get("Value")
    held = [_text(element) for element in values] if isinstance(values, list) else []
    if tag == tag_of("StudyDate") and "-" in value:
        first, _, last = value.partition("-")
        return any(first <= text <= (last or "9") for text in held)
    return any(_alike(text, wanted) for wanted in value.split(",") for text in held)


def _alike(text: str, wanted: str) -> bool:
    return text.startswith(wanted[:-1]) if wanted.endswith("*") else text == wanted


def _text(element: object) -> str:
    # A person's name is an object of its writings (PS3.18, F.2.2).
    return str(element.get("Alphabetic", "")) if isinstance(element, Mapping) else str(element)


def _number(arguments: MultiDict[str, str], name: str, default: int) -> int:
    value = arguments.get(name, str(default))
    return int(value) if value.isdecimal() else abort(400, f"{name} must be a whole number")


def _answer(rows: Sequence[Json] | Json) -> Response:
    return Response(json.dumps(rows), content_type="application/dicom+json")


def _folder() -> DicomFolder:
    folder: DicomFolder = current_app.extensions["folder"]
    return folder


def _demand(user: str, password: str) -> Response | None:
    given = request.authorization
    expected = f"{user}:{password}".encode()
    told = f"{given.username}:{given.password}".encode() if given is not None and given.type == "basic" else b""
    if hmac.compare_digest(told, expected):
        return None
    return Response("a user and password are needed", 401, {"WWW-Authenticate": 'Basic realm="images"'})
