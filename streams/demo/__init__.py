"""The demo: a simulated shop on an embedded broker and Redis; it shows, it is no evidence."""
