"""Turns what happened into metrics and health; decides nothing."""
