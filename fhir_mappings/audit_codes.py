"""The systems and codes of AuditEvents, with their sources."""

from __future__ import annotations

from fhir_mappings.codes import DCM, Coding

# FHIR R4 value sets audit-event-type and audit-event-sub-type; the DCM codes are DICOM PS3.16 CID 400.
RESTFUL = Coding("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "Restful Operation")
INSTANCES_ACCESSED = Coding(DCM, "110103", "DICOM Instances Accessed")
INSTANCES_TRANSFERRED = Coding(DCM, "110104", "DICOM Instances Transferred")
PATIENT_RECORD = Coding(DCM, "110110", "Patient Record")
SECURITY_ALERT = Coding(DCM, "110113", "Security Alert")
NODE_AUTHENTICATION = Coding(DCM, "110126", "Node Authentication")
RESTFUL_INTERACTION = "http://hl7.org/fhir/restful-interaction"
SEARCH = Coding(RESTFUL_INTERACTION, "search-type", "search-type")
OPERATION = Coding(RESTFUL_INTERACTION, "operation", "operation")
UPDATE = Coding(RESTFUL_INTERACTION, "update", "update")
# IHE BALP 1.1: the client that asks is the source, the server that is asked the destination, the user the recipient.
CLIENT = Coding(DCM, "110153", "Source Role ID")
SERVER = Coding(DCM, "110152", "Destination Role ID")
APPLICATION = Coding(DCM, "110150", "Application")
USER = Coding("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP", "information recipient")
# FHIR R4 value sets network-type, security-source-type, audit-entity-type and object-role.
IP_ADDRESS, NETWORK_URI = "2", "5"
APPLICATION_SERVER = Coding("http://terminology.hl7.org/CodeSystem/security-source-type", "4", "Application Server")
PERSON = Coding("http://terminology.hl7.org/CodeSystem/audit-entity-type", "1", "Person")
SYSTEM_OBJECT = Coding("http://terminology.hl7.org/CodeSystem/audit-entity-type", "2", "System Object")
IMAGING_STUDY = Coding("http://hl7.org/fhir/resource-types", "ImagingStudy", "ImagingStudy")
PATIENT_ROLE = Coding("http://terminology.hl7.org/CodeSystem/object-role", "1", "Patient")
DOMAIN_RESOURCE_ROLE = Coding("http://terminology.hl7.org/CodeSystem/object-role", "4", "Domain Resource")
QUERY_ROLE = Coding("http://terminology.hl7.org/CodeSystem/object-role", "24", "Query")

PATIENT_QUERY_PROFILE = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientQuery"
# Our own: what was done in the trail's words, and what ties an AuditEvent to its entry in the trail.
AUDIT_ACTION = "urn:mammotrend:audit-action"
AUDIT_CALL = "urn:mammotrend:audit-call"
AUDIT_ENTRY = "urn:mammotrend:audit-entry"
