"""A worker of another mind: the real one, with another campaigns file and model under each hash.

``python -m tests.support.another_engine worker`` is what a release with changed rules would be to
a log that the release before it has written.
"""

from collections.abc import Mapping

import msgspec

from engine.policy import Policy, Settings
from engine.ports import InForce
from engine.times import HOUR, MINUTE
from streams import in_force
from streams.cli import main
from tests.support.fallen import another

_build = in_force.build


def build(settings: Settings, files: Mapping[str, bytes]) -> InForce:
    """Return what the settings name, and then something else."""
    force = _build(settings, files)
    return force if force.policy is None else another(force, changed(force.policy))


def changed(policy: Policy) -> Policy:
    """Half the delay for carts, the channels in another order of worth, a campaign gone."""
    campaigns = {}
    for name, campaign in policy.campaigns.items():
        lift = dict.fromkeys(campaign.channels, 1.2) | {campaign.channels[-1]: 1.6}
        delay = 30 * MINUTE if campaign.delay == HOUR else campaign.delay
        version = campaign.version + 1
        other = msgspec.structs.replace(campaign, delay=delay, lift=lift, version=version)
        campaigns[name] = other
    campaigns.popitem()
    return msgspec.structs.replace(policy, campaigns=campaigns)


if __name__ == "__main__":
    in_force.build = build
    main()
