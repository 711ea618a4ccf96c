"""The embedded EHR's screen and what is behind it."""
