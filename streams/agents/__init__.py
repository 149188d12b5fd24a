"""The three agents: intake, decide, deliver."""
