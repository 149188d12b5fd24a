"""The pictures of docs/concepts.md: computed by the engine, drawn as SVG with our own pencil."""
