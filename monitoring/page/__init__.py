"""What the live page shows: summaries of processes in, one snapshot out; pure."""
