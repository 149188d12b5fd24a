"""Judges one message by what was known of the person, and of the file, when it was decided."""

from monitoring.audit.actions import AT_NIGHT, Entry, Found
from monitoring.audit.caps import full
from monitoring.audit.clocks import homes, quiet
from monitoring.audit.people import Person
from monitoring.audit.terms import Terms


def judge(person: Person, entry: Entry, terms: Terms, *, whole: bool) -> list[Found]:
    """Return all that is wrong with it.

    ``whole`` False: the beginning of the log is gone, and what she may have said there is not held
    against anybody.
    """
    found: list[Found] = []
    if terms.withholds(entry.user):
        found.append(("withheld", "she is in the holdout"))
    if knows(person, entry, whole=whole) and (_nobody(entry) or not person.agrees(entry.channel)):
        found.append(("no_consent", "her last word was no, or there was none"))
    if quiet(terms.quiet, entry.zones, entry.at):
        found.append(AT_NIGHT)
    if entry.user not in terms.testers:
        cap = full(terms.caps, person.charges, entry.channel, entry.at, entry.zones)
        if cap is not None:
            found.append(("over_cap", f"{cap.name} allows {cap.limit}"))
    return found


def knows(person: Person, entry: Entry, *, whole: bool) -> bool:
    """Return whether it can be said that she agreed, or did not."""
    return whole or _nobody(entry) or person.spoke(entry.channel)


def _nobody(entry: Entry) -> bool:
    """Return whether it is for a visitor without a name, who cannot agree to anything."""
    return entry.user.startswith("anon:")


def zones_of(person: Person, terms: Terms | None, *, whole: bool) -> list[str]:
    """Return the zones she may be in; the file's own when she told none, none when unknown.

    Where she may have told it in a part of the log that is not ours, it is no night and no day.
    """
    if not whole and not person.zones:
        return []
    return homes(person.zones, terms.timezone if terms is not None else "UTC")
