"""Says how likely an order is, learns to say it, and keeps what it learned."""
