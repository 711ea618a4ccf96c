"""The embedded EHR's screen, as its clinician sees it. Loopback only, and only in the demo."""
