"""Compiles what the settings of a partition name into what is in force: campaigns, words, model."""

import logging
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Final

from engine.errors import Refused
from engine.policy import Policy, Settings
from engine.ports import InForce, Renderer, Scorer
from models import scorer as scorers
from rules import GUARDS, TRIGGERS, campaigns, count_caps
from rules.zones import ZONES
from streams.delivery import renderer as renderers

log = logging.getLogger(__name__)

# How often a model was refused and the prior spoke instead, by name of the artefact; read by
# metrics and doctor.
refused_models: Counter[str] = Counter()

# Campaigns, template sets and models of one process: a replay with --diff holds two of each.
_KEPT: Final = 16

_NO_TEMPLATES: Final = b'{"v":1,"files":{}}'


def build(settings: Settings, files: Mapping[str, bytes]) -> InForce:
    """Return what is in force; ``files`` holds every artefact the settings name, by sha256.

    Without campaigns the policy is None: events fold and nothing is armed. Raises Refused for
    campaigns or a template set that can never be used; a refused model leaves the prior speaking.
    """
    policy = None
    if settings.campaigns is not None:
        policy = _policy(files[settings.campaigns], f"campaigns file {settings.campaigns[:8]}")
    words = files[settings.templates] if settings.templates is not None else _NO_TEMPLATES
    model = files[settings.model] if settings.model is not None else None
    return InForce(
        settings=settings,
        settings_hash=settings.digest(),
        policy=policy,
        triggers=TRIGGERS,
        guards=GUARDS,
        count_caps=count_caps,
        scorer=_scorer(model, allow_simulated=policy is not None and policy.allow_simulated_model),
        renderer=_renderer(words),
        local=ZONES,
    )


@lru_cache(maxsize=_KEPT)
def _policy(content: bytes, name: str) -> Policy:
    return campaigns.load(content, name)


@lru_cache(maxsize=_KEPT)
def _renderer(content: bytes) -> Renderer:
    return renderers.build(content)


@lru_cache(maxsize=_KEPT)
def _scorer(artefact: bytes | None, *, allow_simulated: bool) -> Scorer:
    """Return the model's scorer; the prior's when the artefact is refused: silence is no answer."""
    try:
        return scorers.build(artefact, allow_simulated=allow_simulated, local=ZONES)
    except Refused as refused:
        name = sha256(artefact or b"").hexdigest()[:8]
        refused_models[name] += 1
        log.error("model %s is not used, the prior speaks: %s", name, refused)  # noqa: TRY400 - a sentence, not a trace
        return scorers.build(None, allow_simulated=allow_simulated, local=ZONES)
