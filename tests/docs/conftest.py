"""What commands change, put back, as in the tests of the commands themselves."""

from __future__ import annotations

from tests.cds.conftest import logging_as_found

__all__ = ["logging_as_found"]
