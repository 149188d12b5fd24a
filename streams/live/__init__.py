"""The live page on the worker's own port: what it shows, who gets it, and what operators may do."""
