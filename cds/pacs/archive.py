"""What the service asks of an image archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pydicom


class ImageArchive(Protocol):
    """Where exams' images come from."""

    def retrieve_study(self, study_uid: str, root: str | None = None) -> list[pydicom.Dataset]:
        """Every image of the study, whole and as it is stored; `root` None is the site's own archive.

        Raises PacsError (StudyNotFound, StudyIncomplete, PacsRefused, PacsUnreachable) or UntrustedServer.
        """
        ...
