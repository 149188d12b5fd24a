"""What may object to speaking, in the order in which it is asked; the first objection counts.

1. **dates, pause, staleness**: what the operator wants now. Cheap, the same for everybody, and
   the answer she would give first to "why was nothing sent?".
2. **consent, personalisation, reachability, suppression**: whether this person may and can be
   spoken to at all. Lasting facts about her, so they come before what the next hours change.
3. **cooldown, caps, throttle**: whether she has heard enough, and whether the channel carries all
   of it now. They come after the lasting facts, so that a cap or a brake in the statistics means a
   message that could have been sent.
4. **quiet hours**: only what everybody else allows is held for the morning, and it is judged
   wholly anew then.

When all channels object, the one that came furthest in this order speaks for the decision.
"""

from typing import Final

from engine.ports import Guard
from rules.guards import (
    caps,
    consent,
    cooldown,
    dates,
    pause,
    personalisation,
    quiet_hours,
    reachability,
    staleness,
    suppression,
    throttle,
)

GUARDS: Final[tuple[Guard, ...]] = (
    dates.GUARD,
    pause.GUARD,
    staleness.GUARD,
    consent.GUARD,
    personalisation.GUARD,
    reachability.GUARD,
    suppression.GUARD,
    cooldown.GUARD,
    caps.GUARD,
    throttle.GUARD,
    quiet_hours.GUARD,
)
