"""What goes wrong in reading or building FHIR; messages never carry identifiers."""

from __future__ import annotations


class ResourceProblem(ValueError):
    """A FHIR resource that cannot be used as it is; the message says what is wrong and what to do."""
