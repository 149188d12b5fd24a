"""docs/reference/features.md: what a model is told about a case."""

from models.features import CHANNELS, REGISTRY, SCHEMA_HASH, Feature
from streams.reference.markdown import head, table, written

_SOURCES = {
    "life": "what she did",
    "sends": "what was said to her",
    "case": "the question itself",
}


def page() -> str:
    """Return the page."""
    coded = ", ".join(f"{code} {name or 'nothing'}" for name, code in CHANNELS.items())
    lines = head(
        "Features",
        "`models/features.py`",
        f"{len(REGISTRY)} features, in this order, for serving and for training; the hash of the "
        f"schema is `{SCHEMA_HASH[:16]}…`. A model trained on another schema is refused. Values "
        "are rounded to 1e-9; a missing one is null in the record of a decision and NaN for the "
        "model. Nothing that lies after the decision is read: a feature that would rest on a later "
        "event is missing instead.",
        f"Codes of `channel`: {coded}, 4 any channel of your own.",
    )
    for source, what in _SOURCES.items():
        lines += [f"## {what[0].upper()}{what[1:]}", ""]
        rows = [
            [f"`{feature.name}`", feature.meaning, feature.unit, feature.dtype, _unknown(feature)]
            for feature in REGISTRY
            if feature.source == source
        ]
        lines += table(["feature", "meaning", "unit", "type", "of somebody unknown"], rows)
    return written(lines)


def _unknown(feature: Feature) -> str:
    return "missing" if feature.default is None else f"{feature.default:g}"


__all__ = ["page"]
