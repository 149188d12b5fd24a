"""Why she did or did not hear: everything that happened to one person, oldest first."""
