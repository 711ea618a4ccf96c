"""Archives on loopback that answer as they are told to, for the tests of what is asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Flask, Response, request

Json = dict[str, Any]


def study_row(study_uid: str = "1.2.3", **changes: Any) -> Json:
    """A mammography study as QIDO-RS lists it; a None leaves the attribute out."""
    values = {
        "0020000D": study_uid,
        "00100020": "MRN-1",
        "00080050": "ACC-1",
        "00080020": "20260105",
        "00080061": "MG",
        "00201208": 4,
        **changes,
    }
    return {tag: {"vr": "UN", "Value": [value]} for tag, value in values.items() if value is not None}


def listing(rows: Sequence[Json], asked: list[dict[str, str]] | None = None) -> Flask:
    """An archive that ignores every key of a query but `offset` and `limit`, as some do; `asked` notes the keys."""
    app = Flask("listing")

    @app.get("/studies")
    def studies() -> list[Json]:
        if asked is not None:
            asked.append(request.args.to_dict())
        offset = request.args.get("offset", 0, int)
        return list(rows[offset : offset + request.args.get("limit", len(rows), int)])

    return app


def refusing(status: int) -> Flask:
    """An archive that answers everything with this status."""
    app = Flask("refusing")
    app.before_request(lambda: Response(status=status))
    return app
