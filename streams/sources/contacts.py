"""What a message says about a person: where she can be reached, where she is, what she allows."""

import re
from typing import Any, Final, NamedTuple

from streams.sources.places import locale_of, place, zone_of, zones_of_country
from streams.sources.reasons import Notes
from streams.sources.values import MAX_WORD, has_control, mapping, text, truth

MAX_EMAIL: Final = 254
MAX_TOKEN: Final = 1024
# Channels are data, but a client must not invent hundreds of them; refusals are kept first.
MAX_OPT_INS: Final = 24

_EMAIL = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+\.[^@\s,;<>\".]+")
_PHONE = re.compile(r"\+?\d{5,15}")
_PHONE_NOISE = re.compile(r"[\s().\-/]")
_WORD = re.compile(r"[a-z0-9_.-]+")

_OPT_IN: Final = "_opt_in"
_NO_NAME: Final = "?"
ALL: Final = "*"
MARKETING: Final = "marketing"
PERSONALISATION: Final = "personalisation"
_EVERY_CHANNEL: Final = frozenset({"", ALL, "all", "any"})
# Opt-ins that name a purpose instead of a channel cover every channel.
_PURPOSES: Final = {
    "marketing": MARKETING,
    "personalisation": PERSONALISATION,
    "personalization": PERSONALISATION,
}


class Known(NamedTuple):
    """What one message tells; None = not told, an empty address = taken away."""

    addresses: dict[str, str]
    zones: list[str] | None
    locale: str | None

    @property
    def says_something(self) -> bool:
        """Return whether anything at all is told."""
        return bool(self.addresses) or self.zones is not None or self.locale is not None


class Said(NamedTuple):
    """One consent given or taken back."""

    channel: str
    granted: bool
    basis: str
    purpose: str = MARKETING
    text_version: str = ""


def traits_of(message: dict[str, Any]) -> dict[str, Any]:
    """Return the traits: of the message, else of its context (where RudderStack puts them)."""
    within = mapping(mapping(message.get("context")).get("traits"))
    return within | mapping(message.get("traits"))


def person(traits: dict[str, Any], context: dict[str, Any], notes: Notes) -> Known:
    """Return what an identify tells."""
    addresses = _token(context, notes)
    _tell(addresses, "email", email(traits.get("email")), traits.get("email"), notes)
    _tell(addresses, "sms", phone(traits.get("phone")), traits.get("phone"), notes)
    home = traits.get("country") or mapping(traits.get("address")).get("country")
    zones = _zones(
        (traits.get("timezone"), context.get("timezone")), home or _country(context), notes
    )
    locale = _locale(traits.get("locale") or context.get("locale"), notes)
    return Known(addresses, zones, locale)


def device(context: dict[str, Any], notes: Notes) -> Known:
    """Return what the context of any event tells; a country alone is not news."""
    zones = _zones((context.get("timezone"),), None, notes)
    return Known(_token(context, notes), zones, _locale(context.get("locale"), notes))


def opt_ins(traits: dict[str, Any], notes: Notes) -> list[Said]:
    """Return the consents told by traits ``<channel>_opt_in``, refusals first."""
    said = []
    for name, value in traits.items():
        if not name.endswith(_OPT_IN) or value is None:
            continue
        # A name of nothing but the ending would cover every channel: it is no statement.
        granted, about = truth(value), channel(name.removesuffix(_OPT_IN) or _NO_NAME)
        if granted is None or about is None:
            notes["bad_consent"] += 1
        elif about in _PURPOSES:
            said.append(Said(ALL, granted, "trait", _PURPOSES[about]))
        else:
            said.append(Said(about, granted, "trait"))
    return sorted(said, key=lambda consent: consent.granted)[:MAX_OPT_INS]


def stamped_consent(context: dict[str, Any]) -> bool | None:
    """Return what ``context.consent`` says about marketing; None = nothing.

    An empty object of preferences means that nothing is consented (Segment's specification).
    """
    preferences = mapping(context.get("consent")).get("categoryPreferences")
    if type(preferences) is not dict:
        return None
    if not preferences:
        return False
    stamped = preferences.get(MARKETING)
    return stamped if type(stamped) is bool else None


def channel(value: object) -> str | None:
    """Return a channel's name, ``*`` if none is named; None for what cannot be a name."""
    if value is None:
        return ALL
    found = text(value, MAX_WORD).lower()
    if found in _EVERY_CHANNEL and type(value) is str:
        return ALL
    return found if _WORD.fullmatch(found) else None


def purpose(value: object) -> str | None:
    """Return the purpose of a consent, marketing if none is named; None for what cannot be one."""
    if value is None:
        return MARKETING
    found = text(value, MAX_WORD).lower()
    return _PURPOSES.get(found, found) if _WORD.fullmatch(found) else None


def email(value: object) -> str | None:
    """Return an e-mail address; ``""`` = taken away, None = not one."""
    found = text(value, MAX_EMAIL + 1)
    if not found:
        return "" if type(value) is str else None
    return found if len(found) <= MAX_EMAIL and _EMAIL.fullmatch(found) else None


def phone(value: object) -> str | None:
    """Return a phone number as digits with its plus; ``""`` = taken away, None = not one."""
    found = _PHONE_NOISE.sub("", text(value, MAX_WORD))
    if not found:
        return "" if type(value) is str else None
    return found if _PHONE.fullmatch(found) else None


def token(value: object) -> str | None:
    """Return a push token; ``""`` = taken away, None = not one."""
    if type(value) is not str:
        return None
    found = value.strip()
    return None if len(found) > MAX_TOKEN or has_control(found) else found


def _token(context: dict[str, Any], notes: Notes) -> dict[str, str]:
    told = mapping(context.get("device")).get("token")
    addresses: dict[str, str] = {}
    _tell(addresses, "push", token(told), told, notes)
    return addresses


def _tell(
    addresses: dict[str, str], name: str, found: str | None, told: object, notes: Notes
) -> None:
    if found is not None:
        addresses[name] = found
    elif told is not None:
        notes["bad_address"] += 1


def _zones(written: tuple[object, ...], country: object, notes: Notes) -> list[str] | None:
    """Return the first zone that is known, else those of the country, else None."""
    for value in written:
        told = place(value)
        if told:
            found = zone_of(told)
            if found:
                return [found]
            notes["bad_zone"] += 1
    return list(zones_of_country(place(country))) or None


def _country(context: dict[str, Any]) -> object:
    return mapping(context.get("location")).get("country")


def _locale(value: object, notes: Notes) -> str | None:
    told = place(value)
    if not told:
        return None
    found = locale_of(told)
    if not found:
        notes["bad_locale"] += 1
    return found or None
