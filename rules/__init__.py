"""Says when to speak (triggers) and when to stay silent (guards), and reads the campaigns file."""

from rules.frequency import count_caps
from rules.guards import GUARDS
from rules.triggers import TRIGGERS

__all__ = ["GUARDS", "TRIGGERS", "count_caps"]
