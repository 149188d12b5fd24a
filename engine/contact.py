"""Where she can be reached, what she allows, in which zone and language she lives."""

from typing import Final

from engine import events as ev
from engine.changes import NOTHING, Change
from engine.draws import fingerprint
from engine.profile import MAX_ZONES, Addresses, Consent, Profile, Reach

_MAX_CONSENTS: Final = 24
_MAX_CHANNELS: Final = 16


def identified(profile: Profile, addresses: Addresses | None, event: ev.Identified) -> None:
    at = event.occurred_at
    if event.zones is not None and at >= profile.zones_at:
        profile.zones, profile.zones_at = event.zones[:MAX_ZONES], at
    if event.locale is not None and at >= profile.locale_at:
        profile.locale, profile.locale_at = event.locale, at
    for channel, address in sorted(event.addresses.items()):
        _address(profile, addresses, channel, address, at)


def _address(
    profile: Profile, addresses: Addresses | None, channel: str, address: str, at: int
) -> None:
    """Keep the newest address of a channel; a new one is not suppressed any more."""
    reach = profile.reach.get(channel)
    if reach is None and len(profile.reach) >= _MAX_CHANNELS:
        return
    mark = fingerprint(address) if address else b""
    # In one millisecond an address taken away stays away: in doubt be silent.
    if reach is not None and (at, not mark, mark) < (reach.at, not reach.address, reach.address):
        return
    suppressed = reach is not None and reach.suppressed and reach.address == mark
    profile.reach[channel] = Reach(mark, at, suppressed)
    if addresses is not None:
        addresses.by_channel.pop(channel, None)
        if address:
            addresses.by_channel[channel] = (address, at)


def consent(profile: Profile, told: Consent) -> Change:
    """Keep the last word per purpose and channel; of two at the same time, the refusal."""
    for known in profile.consents:
        about = known.purpose == told.purpose and known.channel == told.channel
        if about and known.in_passing == told.in_passing:
            if (told.at, not told.granted) <= (known.at, not known.granted):
                return NOTHING
            profile.consents.remove(known)
            break
    profile.consents.append(told)
    if len(profile.consents) > _MAX_CONSENTS:
        # A grant gives way before a refusal: forgetting a grant is silence.
        profile.consents.remove(
            min(profile.consents, key=lambda known: (not known.granted, known.at))
        )
    return Change(withdrawn=told.purpose == "marketing" and not told.granted)


def suppress(profile: Profile, event: ev.Outcome) -> None:
    reach = profile.reach.get(event.channel)
    if reach is not None and reach.at <= event.occurred_at:
        reach.suppressed = True
