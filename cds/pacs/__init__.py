"""Fetching images by DICOMweb."""
