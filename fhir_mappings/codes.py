"""Every system and code that is read or written, with its source.

CPT and HCPCS codes are shipped without descriptions: CPT's are copyrighted by the AMA. "Configurable default" marks a
code that was not verified in a primary source: a site checks it before relying on it.
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


def _in(system: str, *codes: str) -> frozenset[Code]:
    return frozenset((system, code) for code in codes)


# DICOM PS3.16 CID 29 (modality), and the R4 value set endpoint-connection-type.
MAMMOGRAPHY_MODALITY = "MG"
DICOM_WADO_RS = "dicom-wado-rs"
ACCESSION_NUMBER = (IDENTIFIER_TYPE, "ACSN")

# LOINC and SNOMED CT international, by their own browsers; CPT and HCPCS level II: configurable default.
# G0202 and 77057 are retired, but old order catalogues still carry them.
SCREENING_MAMMOGRAPHY = (
    _in(CPT, "77067", "77063", "77057")
    | _in(HCPCS, "G0202")
    | _in(LOINC, "24606-6", "26175-0", "103892-6")
    | _in(SNOMED, "24623002")
)
OTHER_MAMMOGRAPHY = (
    _in(CPT, "77066", "77065", "77062", "77061", "77056", "77055", "77051")
    | _in(HCPCS, "G0279", "G0204", "G0206")
    | _in(LOINC, "24605-8", "24604-1", "24610-8", "26346-7", "26347-5", "26348-3", "26176-8", "26177-6")
    | _in(SNOMED, "241055006")
)
# SNOMED CT: mammography that does not say whether it screens; the reason for the order then decides.
UNSPECIFIED_MAMMOGRAPHY = _in(SNOMED, "71651007", "43204002")
# ICD-10-CM: encounter for screening mammogram for malignant neoplasm of breast.
SCREENING_REASONS = _in(ICD_10_CM, "Z12.31")

# CPT (77058, 77059 and 0159T are retired), LOINC and SNOMED CT by their own browsers; HCPCS: configurable default.
BREAST_MRI = (
    _in(CPT, "77049", "77048", "77047", "77046", "77058", "77059", "0159T")
    | _in(HCPCS, "C8908", "C8905", "C8906", "C8903", "C8937")
    | _in(LOINC, "36277-2", "36276-4", "36278-0", "36279-8", "30795-9", "30794-2")
    | _in(SNOMED, "241615005")
)
DEFAULT_MRI_ORDER = Coding(CPT, "77049")

# ICD-10-CM tabular list, chapters C and D: every code that starts so.
BREAST_CANCER_PREFIXES = ("C50", "D05")
BREAST_CANCER = (
    _in(SNOMED, "254837009", "254838004")
    # Configurable default: history of breast cancer or DCIS (ICD-10-CM), history of and carcinoma in situ (SNOMED CT).
    | _in(ICD_10_CM, "Z85.3", "Z86.000")
    | _in(SNOMED, "429087003", "189336000", "109889007")
)
# Configurable default: acquired absence of both breasts (ICD-10-CM), bilateral mastectomy (SNOMED CT, ICD-10-PCS),
# history of bilateral mastectomy (SNOMED CT).
BILATERAL_MASTECTOMY = _in(ICD_10_CM, "Z90.13") | _in(SNOMED, "27865001", "428529004") | _in(ICD_10_PCS, "0HTV0ZZ")
# Configurable default: acquired absence of the right and of the left breast (ICD-10-CM); both together are bilateral.
ABSENT_RIGHT_BREAST = _in(ICD_10_CM, "Z90.11")
ABSENT_LEFT_BREAST = _in(ICD_10_CM, "Z90.12")

# SNOMED CT: the outcome that the five yearly risks are risks of.
BREAST_CANCER_OUTCOME = Coding(SNOMED, "254837009", "Malignant neoplasm of breast")
