"""A campaigns file before it is put in force: the shipped one, the check, and what it sets."""

from importlib.resources import files

from engine.errors import Refused
from engine.policy import Policy
from rules import campaigns, templates
from streams.delivery.lint import lint

SHIPPED_NAME = "rules/campaigns.toml"


def shipped() -> bytes:
    """Return the campaigns file that ships as default."""
    return files("rules").joinpath("campaigns.toml").read_bytes()


def checked(content: bytes, name: str, words: bytes) -> Policy:
    """Return the policy of a file whose words are good too; raises Refused, one line per problem."""
    policy = campaigns.load(content, name)
    problems = lint(words, policy)
    if problems:
        raise Refused("\n".join(problems))
    return policy


def shipped_words() -> bytes:
    """Return the template set that ships as default."""
    return templates.artefact()


def summary(policy: Policy) -> str:
    """Return in one line what a file sets: campaigns, mode, and the shares printed at every start."""
    count = len(policy.campaigns)
    named = ", ".join(
        f"{campaign.id} v{campaign.version} {campaign.status}"
        for campaign in policy.campaigns.values()
    )
    explored = ", ".join(policy.exploration.channels) or "no channel"
    lifts = "lifts are ASSUMED until measured"
    return (
        f"{count} campaign{'' if count == 1 else 's'} ({named}); mode {policy.mode}; "
        f"holdout {policy.holdout.share:.1%} of users (epoch {policy.holdout.epoch or 'none'}); "
        f"exploration {policy.exploration.share:.1%} of decisions over silence, the best and "
        f"{explored}; {len(policy.testers)} tester{'' if len(policy.testers) == 1 else 's'}; {lifts}"
    )
