"""Putting a RiskAssessment into the chart, so that there is exactly one of it however often that is tried."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from cds.ehr.client import WritableEhr
from cds.ehr.stored import version_of
from cds.errors import EhrAnswerBroken, EhrChartUnclear, EhrConflict, EhrNotFound, EhrRejected
from fhir_mappings.bundles import bundle_resources
from fhir_mappings.comparison import same_content
from fhir_mappings.elements import Json, objects, text
from fhir_mappings.errors import ResourceProblem
from fhir_mappings.references import own_reference
from fhir_mappings.risk_assessments import check_risk_assessment
from fhir_mappings.subjects import subject_id

KIND = "RiskAssessment"
VOID = "entered-in-error"


@dataclass(frozen=True)
class Written:
    """Where an assessment stands now, such as `RiskAssessment/123`; None for a retraction of what was never there."""

    reference: str | None
    version: str | None
    changed: bool


def put(ehr: WritableEhr, resource: Json, reference: str | None = None) -> Written:
    """Make the chart hold this RiskAssessment once, under its identifier; what says the same already is left alone.

    `reference` is where an earlier revision was written, such as `RiskAssessment/123`. After an error it may be called
    again: what an earlier try wrote is found. Raises EhrError, of which EhrUnreachable and EhrConflict may pass, and
    EhrChartUnclear needs the site; UntrustedServer; ResourceProblem for an assessment that must not leave.
    """
    check_risk_assessment(resource)
    held = _held(ehr, resource) or _written_before(ehr, resource, reference)
    if held is not None:
        return _brought_up_to_date(ehr, held, resource)
    if resource["status"] == VOID:
        return Written(None, None, changed=False)
    return _created(ehr, resource)


def _created(ehr: WritableEhr, resource: Json) -> Written:
    try:
        stored = ehr.create(resource, if_none_exist=_query(resource))
    except (EhrRejected, EhrConflict):
        # A server without conditional create says so in several ways (400, 405, 412, 501), and one with it says 412
        # where there are several by now: another look tells which.
        held = _held(ehr, resource)
        return _brought_up_to_date(ehr, held, resource) if held else _written(ehr.create(resource), changed=True)
    return _confirmed(ehr, stored, resource)


def _confirmed(ehr: WritableEhr, stored: Json, resource: Json) -> Written:
    """What a conditional create left: it may have found what somebody else wrote a moment ago."""
    if "identifier" not in stored:
        stored = ehr.read(f"{KIND}/{stored['id']}")
    if not _has_identifier_of(stored, resource):
        raise EhrAnswerBroken("the EHR took this assessment for another that it holds; look at the chart")
    after = _brought_up_to_date(ehr, stored, resource)
    return Written(after.reference, after.version, changed=True)


def _brought_up_to_date(ehr: WritableEhr, held: Json, resource: Json) -> Written:
    if subject_id(held) != subject_id(resource):
        if resource["status"] != VOID or subject_id(held) is None:
            raise EhrChartUnclear(
                "the EHR holds this assessment under another patient; correct its subject there, or delete it"
            )
        # Two records of a patient became one: what was concluded under the first is void under the second, too.
        resource = {**resource, "subject": held["subject"]}
    if same_content(held, resource):
        return _written(held, changed=False)
    return _written(ehr.update({**resource, "id": held["id"]}, if_match=version_of(held)), changed=True)


def _written_before(ehr: WritableEhr, resource: Json, reference: str | None) -> Json | None:
    """What stands where it was written, though a search does not find it: an index may be behind, or be filtered."""
    if reference is None:
        return None
    try:
        held = ehr.read(reference)
    except EhrNotFound:
        return None  # deleted there
    if own_reference(held) != reference or not _has_identifier_of(held, resource):
        raise EhrChartUnclear(
            "the EHR holds something else where it took this assessment, or has taken its identifier; look at the chart"
        )
    return held


def _held(ehr: WritableEhr, resource: Json) -> Json | None:
    """What the chart holds under the assessment's identifier; EhrChartUnclear where that is more than one."""
    bundle = ehr.search(f"{KIND}?{_query(resource)}")
    try:
        listing = bundle_resources(bundle, KIND)
    except ResourceProblem as problem:
        raise EhrAnswerBroken(f"it cannot be told what the EHR holds: {problem}") from None
    if listing.problems:
        # Of what was not seen, a second one might be written.
        raise EhrAnswerBroken(f"it cannot be told what the EHR holds: {'; '.join(listing.problems)}")
    # A server that does not know the parameter ignores it and answers with everything (R4, Search, "Handling Errors").
    # And one that was written while the pages were read may stand on two of them.
    found = {own_reference(each): each for each in listing.resources if _has_identifier_of(each, resource)}
    if None in found:
        raise EhrAnswerBroken("the EHR holds this assessment without a legal id; it cannot be written over")
    # That is how a site that may not delete marks the ones too many.
    standing = [each for each in found.values() if each.get("status") != VOID] or list(found.values())
    if len(standing) > 1:
        raise EhrChartUnclear(
            f"the EHR holds {len(standing)} assessments with the identifier of one; delete all but one there, or mark "
            "them as entered in error"
        )
    return standing[0] if standing else None


def _query(resource: Json) -> str:
    system, value = _identifier(resource)
    return f"identifier={quote(f'{system}|{value}', safe='')}"


def _identifier(resource: Json) -> tuple[str, str]:
    for identifier in objects(resource.get("identifier")):
        system, value = text(identifier.get("system")), text(identifier.get("value"))
        if system and value:
            return system, value
    raise ResourceProblem("an assessment without an identifier could not be found again, so it is not written")


def _has_identifier_of(held: Json, resource: Json) -> bool:
    wanted = _identifier(resource)
    found = objects(held.get("identifier"))
    return any((text(each.get("system")), text(each.get("value"))) == wanted for each in found)


def _written(stored: Json, *, changed: bool) -> Written:
    return Written(own_reference(stored), version_of(stored), changed)
