"""Turning queued exams into stored scores."""
