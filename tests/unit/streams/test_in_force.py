"""What settings put in force, and what happens when an artefact cannot be used."""

import logging
from hashlib import sha256

import pytest

from engine.errors import Refused
from engine.policy import Settings
from models.fallback import PriorScorer
from rules import GUARDS, TRIGGERS, campaigns, templates
from streams import in_force

CAMPAIGNS = campaigns.shipped()
TEMPLATES = templates.artefact()


def sha(content: bytes) -> str:
    return sha256(content).hexdigest()


FILES = {sha(content): content for content in (CAMPAIGNS, TEMPLATES)}
SETTINGS = Settings(campaigns=sha(CAMPAIGNS), templates=sha(TEMPLATES))


def test_without_campaigns_there_is_no_policy() -> None:
    force = in_force.build(Settings(), {})

    assert force.policy is None
    assert force.reactions == {}


def test_settings_put_policy_words_and_rules_in_force() -> None:
    force = in_force.build(SETTINGS, FILES)

    assert force.policy == campaigns.load(CAMPAIGNS, "campaigns.toml")
    assert force.settings_hash == SETTINGS.digest()
    assert (force.triggers, force.guards) == (TRIGGERS, GUARDS)
    assert isinstance(force.scorer, PriorScorer)


def test_equal_artefacts_are_compiled_once() -> None:
    paused = Settings(
        campaigns=SETTINGS.campaigns, templates=SETTINGS.templates, paused=("channel:sms",)
    )

    first, second = in_force.build(SETTINGS, FILES), in_force.build(paused, dict(FILES))

    assert first.renderer is second.renderer
    assert first.policy is second.policy
    assert first.settings_hash != second.settings_hash


def test_campaigns_that_cannot_be_used_are_refused_with_their_name() -> None:
    broken = b"version = 1\napp = 7\n"

    with pytest.raises(Refused, match=f"campaigns file {sha(broken)[:8]}"):
        in_force.build(Settings(campaigns=sha(broken)), {sha(broken): broken})


def test_a_refused_model_leaves_the_prior_speaking(caplog: pytest.LogCaptureFixture) -> None:
    broken = b'{"v":1,"manifest":{},"model":"tree"}'
    before = in_force.refused_models[sha(broken)[:8]]
    settings = Settings(campaigns=SETTINGS.campaigns, model=sha(broken))

    with caplog.at_level(logging.ERROR):
        force = in_force.build(settings, {**FILES, sha(broken): broken})

    assert isinstance(force.scorer, PriorScorer)
    assert in_force.refused_models[sha(broken)[:8]] == before + 1
    assert "the prior speaks" in caplog.text
