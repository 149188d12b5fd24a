"""A campaigns file before it is put in force: the check of file and words, and what it sets."""

from engine.errors import Refused
from engine.policy import Policy
from rules import campaigns, templates
from streams.delivery.lint import lint


def checked(content: bytes, name: str, words: bytes) -> Policy:
    """Return the policy of a file whose words are good too; raises Refused, a line per problem."""
    policy = campaigns.load(content, name, templates.names(words))
    problems = lint(words, policy)
    if problems:
        raise Refused("\n".join(problems))
    return policy


def summary(policy: Policy) -> str:
    """Return in one line what a file sets: campaigns, mode and shares; printed at every start."""
    count = len(policy.campaigns)
    named = ", ".join(
        f"{campaign.id} v{campaign.version} {campaign.status}"
        for campaign in policy.campaigns.values()
    )
    explored = ", ".join(policy.exploration.channels) or "no channel"
    testers = f"{len(policy.testers)} tester{'' if len(policy.testers) == 1 else 's'}"
    return (
        f"{count} campaign{'' if count == 1 else 's'} ({named}); mode {policy.mode}; "
        f"holdout {policy.holdout.share:.1%} of users (epoch {policy.holdout.epoch or 'none'}); "
        f"exploration {policy.exploration.share:.1%} of decisions over silence, the best and "
        f"{explored}; {testers}; lifts are ASSUMED until measured"
    )
