"""The log: topics, records, and the ways in and out of a partition."""
