"""State in Redis: profiles, wake-ups, the outbox and the offset, changed together or not at all."""
