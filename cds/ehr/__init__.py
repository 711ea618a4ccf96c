"""Reading the EHR's FHIR server and writing to it."""
