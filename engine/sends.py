"""What was said to her: charges to caps and patience, and what came of each."""

from typing import Final

from engine import events as ev
from engine.changes import Change, Memory
from engine.decay import decayed
from engine.profile import BINS, FATIGUE_HALF_LIFE, MAX_SENDS, Profile, Send
from engine.times import SECOND

_MAX_COUNT: Final = 1_000_000
_MAX_CHANNELS: Final = 16


def charge(profile: Profile, send: Send, memory: Memory) -> Change:
    """Put a send into the log and onto her patience; the oldest give way."""
    profile.sends.append(send)
    profile.sends.sort(key=lambda sent: (sent.at, sent.action_id))
    horizon = profile.sends[-1].at - memory.keep_sends
    kept = [sent for sent in profile.sends if sent.at > horizon]
    bounded = ("sends",) if len(kept) > MAX_SENDS else ()
    kept = kept[-MAX_SENDS:]
    if len(kept) < len(profile.sends):
        # A cap whose window reaches back beyond a forgotten send cannot be counted: it objects.
        # Also where the send was old: a campaigns file with a longer window may come.
        forgotten = profile.sends[-len(kept) - 1]
        profile.sends_lost_at = max(profile.sends_lost_at, forgotten.at)
    profile.sends = kept
    _tire(profile, send.at, 1.0)
    return Change(bounded=bounded)


def _tire(profile: Profile, at: int, amount: float) -> None:
    """Add to the decayed sum of sends at event time ``at``."""
    elapsed = at - profile.fatigue_at
    if elapsed >= 0:
        profile.fatigue = decayed(profile.fatigue, elapsed, FATIGUE_HALF_LIFE) + amount
        profile.fatigue_at = at
    else:
        profile.fatigue += decayed(amount, -elapsed, FATIGUE_HALF_LIFE)
    profile.fatigue = max(profile.fatigue, 0.0)


def fatigue(profile: Profile, now: int) -> float:
    """Return F, the sum over all sends of 2**(-age / 7 d), at ``now``."""
    return decayed(profile.fatigue, now - profile.fatigue_at, FATIGUE_HALF_LIFE)


def report(profile: Profile, send: Send, event: ev.Outcome) -> None:
    """Note the first time of an outcome; give the charge back, or take it again."""
    before = send.charged
    after = max(0, (event.occurred_at - send.at) // SECOND)
    known = send.outcomes.get(event.outcome)
    send.outcomes[event.outcome] = after if known is None else min(known, after)
    send.outcomes = dict(sorted(send.outcomes.items()))
    if send.charged != before:
        _tire(profile, send.at, 1.0 if send.charged else -1.0)


def engage(profile: Profile, event: ev.Outcome, memory: Memory) -> None:
    if event.channel not in profile.engagement and len(profile.engagement) >= _MAX_CHANNELS:
        return
    bins = profile.engagement.setdefault(event.channel, [0] * BINS)
    hour = memory.hour(profile.zones, event.occurred_at) if memory.hour else 0
    slot = hour * BINS // 24
    bins[slot] = min(bins[slot] + 1, _MAX_COUNT)
