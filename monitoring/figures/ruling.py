"""What was ruled: pauses in force, and the last controls and deploys: suspects of what follows."""

from msgspec import Struct, field

from engine.events import Control, SettingsRecord
from engine.policy import Settings
from monitoring.figures.counts import Counts
from monitoring.figures.seen import Ruled

_MOST: int = 50


class Deploy(Struct, frozen=True, array_like=True):
    """Artefacts put in force: what, when the broker took it, by whom."""

    at: int
    what: str
    by: str


class Controlled(Struct, frozen=True, array_like=True):
    """A control and when the broker took it."""

    at: int
    control: Control


class Ruling(Struct):
    """The settings of the shop, and the newest of what changed them; each once."""

    settings: Settings = field(default_factory=Settings)
    controls: list[Controlled] = field(default_factory=list)
    deploys: list[Deploy] = field(default_factory=list)

    def take(self, seen: Ruled, counts: Counts) -> None:
        """Fold one settings record; one written again after a crash changes nothing."""
        control = seen.record.control
        known = {one.control.id for one in self.controls}
        if control is not None and control.id not in known:
            self.controls = [*self.controls, Controlled(seen.at, control)][-_MOST:]
            counts.add(("controls", control.action, control.actor.partition(":")[0]))
        told = _changed(self.settings, seen.record)
        if told:
            self.deploys = [*self.deploys, Deploy(seen.at, told, seen.record.origin)][-_MOST:]
        self.settings = self.settings.merged(seen.record)

    def held(self, target: str, begin: int, end: int) -> str:
        """Return what held ``target`` back in a window (ms), in words; "" = nothing.

        Also where it was let go within the window, or in it: half of it was silent then.
        """
        standing = self.settings.standing(end)
        share = standing.share(target)
        if share < 1.0:
            held = standing.paused.get(target) or standing.throttled.get(target)
            by = held.by if held is not None else ""
            word = "paused" if share == 0.0 else f"throttled to {share:g}"
            return f"{target} {word}{f' by {by}' if by else ''}"
        for one in reversed(self.controls):
            if one.at < begin:
                break
            if one.control.target == target:
                return f"{target}: {one.control.action} by {one.control.actor}"
        return ""

    def paused(self, now: int) -> dict[str, str]:
        """Return what is paused at ``now`` (ms), with who did it."""
        return {name: held.by for name, held in self.settings.standing(now).paused.items()}


def _changed(settings: Settings, record: SettingsRecord) -> str:
    pairs = (
        ("campaigns", settings.campaigns, record.campaigns),
        ("templates", settings.templates, record.templates),
        ("model", settings.model, record.model),
    )
    changed = [f"{name} {new[:8]}" for name, old, new in pairs if new is not None and new != old]
    return ", ".join(changed)


__all__ = ["Controlled", "Deploy", "Ruling"]
