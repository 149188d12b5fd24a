"""The same engine over a log that already exists, in memory; nothing is sent."""
