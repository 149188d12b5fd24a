"""Decides, for one user at a time, whether to speak. Pure: no clock, no randomness, no I/O."""
