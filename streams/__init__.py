"""Everything that touches a wire, and the wiring of the whole."""
