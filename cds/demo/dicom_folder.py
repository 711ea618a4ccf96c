"""The embedded archive's images: files in a folder, and an index of their headers."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import UID

# PS3.18, tables 10.6.3-3 to 10.6.3-5: what QIDO-RS lists of studies, series and instances.
_STUDY = (
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyID",
    "StudyDescription",
)
_INSTANCE = (
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "SeriesInstanceUID",
    "SeriesDescription",
    "InstanceNumber",
    "Rows",
    "Columns",
    "BitsAllocated",
    "NumberOfFrames",
)
_INDEXED = [*_STUDY, *_INSTANCE]
_COUNTED = ("ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")
Json = dict[str, dict[str, object]]


@dataclass(frozen=True)
class StoredInstance:
    """One file of the archive; `attributes` are the listed ones, in DICOM JSON by tag."""

    path: Path
    transfer_syntax: str
    attributes: Json

    def text(self, keyword: str) -> str:
        """The first value of a listed attribute, empty if there is none."""
        values = self.attributes.get(tag_of(keyword), {}).get("Value")
        return str(values[0]) if isinstance(values, list) and values else ""


class DicomFolder:
    """DICOM files in a folder, safe for several threads; files that lie there already are part of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._instances: dict[str, StoredInstance] = {}
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob("*.dcm")):
            self._index(path)

    def add(self, dataset: pydicom.Dataset) -> None:
        """Keep an image, as it is encoded; a second one with the same SOP Instance UID replaces the first."""
        # The name comes from the image, so it is made sure that it names a file of this folder.
        uid = UID(str(dataset.SOPInstanceUID))
        if not uid.is_valid:
            raise ValueError("the image's SOPInstanceUID is not a UID, so it cannot be kept under it")
        path = self._folder / f"{uid}.dcm"
        unfinished = path.with_suffix(".part")
        dataset.save_as(unfinished, enforce_file_format=True)
        unfinished.replace(path)
        self._index(path)

    def instances(self, study_uid: str | None = None) -> list[StoredInstance]:
        """The instances of one study, or of all, in the order in which they came."""
        with self._lock:
            kept = list(self._instances.values())
        return [one for one in kept if study_uid in (None, one.text("StudyInstanceUID"))]

    def studies(self) -> list[Json]:
        """Each study's listed attributes with its modalities and counts (PS3.18, table 10.6.3-3)."""
        by_study: dict[str, list[StoredInstance]] = {}
        for one in self.instances():
            by_study.setdefault(one.text("StudyInstanceUID"), []).append(one)
        return [_study(members) for members in by_study.values()]

    def _index(self, path: Path) -> None:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_INDEXED)
        instance = StoredInstance(path, str(header.file_meta.TransferSyntaxUID), dict(header.to_json_dict()))
        with self._lock:
            self._instances[str(header.SOPInstanceUID)] = instance


def tag_of(keyword: str) -> str:
    """A keyword's tag as DICOM JSON writes it, such as `0020000D`; empty for a keyword that is none."""
    tag = tag_for_keyword(keyword)
    return "" if tag is None else f"{tag:08X}"


def is_listed(tag: str) -> bool:
    """Whether QIDO-RS here knows the attribute with this tag."""
    return tag in {tag_of(keyword) for keyword in (*_INDEXED, *_COUNTED)}


def _study(members: list[StoredInstance]) -> Json:
    first = members[0].attributes
    wanted = {tag_of(keyword) for keyword in _STUDY}
    described = {tag: element for tag, element in first.items() if tag in wanted}
    modalities = sorted({one.text("Modality") for one in members})
    series = {one.text("SeriesInstanceUID") for one in members}
    values: tuple[Sequence[object], ...] = (modalities, [len(series)], [len(members)])
    counted = zip(_COUNTED, values, strict=True)
    return described | {tag_of(word): {"vr": dictionary_VR(word), "Value": list(value)} for word, value in counted}
