"""The embedded hospital: a small FHIR server, a DICOMweb server and synthetic patients. Loopback only."""
