"""The reasons to speak, by kind: what ``trigger`` may be in a campaign."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from engine.triggers import TriggerRule
from rules.triggers import cart_abandonment, post_purchase

_RULES: Final[tuple[TriggerRule, ...]] = (
    cart_abandonment.RULE,
    post_purchase.DAY_7,
    post_purchase.DAY_30,
)

TRIGGERS: Final[Mapping[str, TriggerRule]] = MappingProxyType({rule.kind: rule for rule in _RULES})

# Those that offer what can be bought: pointless once all of it is sold out. What somebody has
# bought is spoken of as hers.
OFFERING: Final = frozenset({cart_abandonment.RULE.kind})
