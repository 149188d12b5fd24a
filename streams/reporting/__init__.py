"""How the campaigns are doing: what was said, what came of it, and whether it made a difference."""
