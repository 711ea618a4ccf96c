"""Measurements, each beside its physical floor. Medians of several rounds; compare ratios, not seconds."""
