"""The code systems by every name they are met under, and the single codes that are read or written.

Sets of clinical codes, which a site may extend, are data: see `code_sets`. "Configurable default" marks what was not
verified in a primary source: a site checks it before relying on it. CPT codes are shipped without descriptions, which
are copyrighted by the AMA.
"""

from __future__ import annotations

from dataclasses import dataclass

Code = tuple[str, str]
"""A (system, code) pair: what two codings must share to mean the same."""


@dataclass(frozen=True)
class Coding:
    """One code in its code system; `display` is empty where none may or need be shown."""

    system: str
    code: str
    display: str = ""

    @property
    def key(self) -> Code:
        """What is compared: the display never matters."""
        return (self.system, self.code)


# FHIR R4, "Using Code Systems" (terminologies-systems), which also lists the OID forms below.
SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
CPT = "http://www.ama-assn.org/go/cpt"
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
ICD_10 = "http://hl7.org/fhir/sid/icd-10"
ICD_9_CM = "http://hl7.org/fhir/sid/icd-9-cm"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
# HL7 Terminology (THO). Configurable default: which address an EHR uses for HCPCS and ICD-10-PCS varies, see below.
HCPCS = "http://terminology.hl7.org/CodeSystem/HCPCS-all-codes"
ICD_10_PCS = "http://www.cms.gov/Medicare/Coding/ICD10"
IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
ENDPOINT_CONNECTION_TYPE = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
# FHIR R4 ImagingStudy, "ImagingStudy.identifier": the Study Instance UID is `urn:oid:<UID>` in this system.
DICOM_UID = "urn:dicom:uid"
URI = "urn:ietf:rfc:3986"

SYSTEM_ALIASES = {
    "urn:oid:2.16.840.1.113883.6.96": SNOMED,
    "urn:oid:2.16.840.1.113883.6.1": LOINC,
    "urn:oid:2.16.840.1.113883.6.12": CPT,
    "urn:oid:2.16.840.1.113883.6.90": ICD_10_CM,
    "urn:oid:2.16.840.1.113883.6.3": ICD_10,
    "urn:oid:2.16.840.1.113883.6.103": ICD_9_CM,
    "urn:oid:2.16.840.1.113883.6.2": ICD_9_CM,
    "http://terminology.hl7.org/CodeSystem/icd9cm": ICD_9_CM,
    "urn:oid:2.16.840.1.113883.6.4": ICD_10_PCS,
    "http://hl7.org/fhir/sid/icd-10-pcs": ICD_10_PCS,
    "urn:oid:2.16.840.1.113883.6.285": HCPCS,
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": HCPCS,
    "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": HCPCS,
    # Identifier types before R4 (STU3, DSTU2).
    "http://hl7.org/fhir/v2/0203": IDENTIFIER_TYPE,
    "http://hl7.org/fhir/identifier-type": IDENTIFIER_TYPE,
}
"""Other names under which the same code systems are met, to the one used here."""

# R4, "Using SNOMED CT with FHIR": an edition (`.../sct/731000124108`) and its version belong into `Coding.version`, but
# some EHRs write them as the system.
_SNOMED_EDITION = (f"{SNOMED}/", f"{SNOMED}|")
_ICD = frozenset({ICD_10, ICD_10_CM, ICD_9_CM})


def usual_system(system: str) -> str:
    """A code system by the name that it has here, whatever other name of it is met."""
    if system.startswith(_SNOMED_EDITION):
        return SNOMED
    return SYSTEM_ALIASES.get(system, system)


def usual_code(system: str, code: str) -> Code:
    """A code as it is compared: its system by its usual name, one of ICD in capitals and with its dot."""
    system = usual_system(system)
    return (system, _with_dot(system, code.upper())) if system in _ICD else (system, code)


def _with_dot(system: str, code: str) -> str:
    """Some EHRs leave out the dot behind the third character, or the fourth of ICD-9-CM's E codes."""
    length = 4 if system == ICD_9_CM and code.startswith("E") else 3
    return code if "." in code or len(code) <= length else f"{code[:length]}.{code[length:]}"


# DICOM PS3.16 CID 29 (modality), and the R4 value set endpoint-connection-type.
MAMMOGRAPHY_MODALITY = "MG"
DICOM_WADO_RS = "dicom-wado-rs"
ACCESSION_NUMBER = (IDENTIFIER_TYPE, "ACSN")

# What is written. CPT: breast MRI of both sides without and with contrast, unless the site names a code of its own.
DEFAULT_MRI_ORDER = Coding(CPT, "77049")
# SNOMED CT: the outcome that the five yearly risks are risks of.
BREAST_CANCER_OUTCOME = Coding(SNOMED, "254837009", "Malignant neoplasm of breast")
