"""Learns from logged decisions: labels, fit, calibration, measurement, artefact."""
