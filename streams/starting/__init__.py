"""A folder for a new shop: campaigns file, words, settings and compose file, in dry run."""
