"""docs/reference/wire-formats.md: topics, what gateways read, and what they report."""

from typing import Final

from engine import actions
from engine.actions import Action
from streams.delivery.feedback import Feedback
from streams.log import topics
from streams.log.reader import POSITION
from streams.reference.markdown import fields, head, sentence, table, written

_COLUMNS: Final = ("field", "type", "default")
_PARTS: Final = (
    actions.CampaignRef,
    actions.TriggerRef,
    actions.Recipient,
    actions.Content,
    actions.Item,
    actions.Delivery,
    actions.Quiet,
    actions.ConsentRef,
)

# By topic without prefix; {channel} for each channel there is.
CONTENT: Final = {
    topics.RAW: ("anonymous id or user id", "Segment messages", "apps, the HTTP port → intake"),
    topics.EVENTS: (
        "user id; ticks and settings have none",
        "[records of the log](events.md#records-of-the-log)",
        "intake, ticks, `apply`, `import` → decide",
    ),
    **{
        topics.ACTIONS + channel: ("user id", "[actions](#actions)", "decide → deliver, gateways")
        for channel in topics.CHANNELS
    },
    topics.DECISIONS: (
        "user id",
        "[decisions](decisions-and-reasons.md#the-record)",
        "decide → `user why`, `train`, you",
    ),
    topics.FEEDBACK: ("user id", "[reports](#feedback)", "gateways, deliver → intake"),
    topics.ARTEFACTS: (
        "sha256 of the value",
        "campaigns files, template sets, models",
        "`apply` → workers",
    ),
    topics.DEAD_LETTERS: (
        "as received",
        "the original bytes; headers say why and where from",
        "intake, decide, deliver → people",
    ),
    topics.ANOMALIES: (
        "KPI and dimension",
        "[episodes and verdicts](anomalies.schema.json)",
        "`observe`, `anomalies verdict` → `observe`, you",
    ),
    topics.PRODUCTS: (
        "product id",
        "[products](products.schema.json); none = the product is gone",
        "your shop, the HTTP port → deliver, `observe`",
    ),
}


def page() -> str:
    """Return the page."""
    lines = head(
        "Topics, actions and feedback",
        "`streams/log/topics.py`, `engine/actions.py` and `streams/delivery/feedback.py`",
    )
    lines += ["## Topics", ""]
    lines += [
        (
            "Names begin with `REKINDLE_TOPIC_PREFIX`, which is `rekindle.` unless you set it. The "
            "apps may publish to topics of other names, see `REKINDLE_SOURCES`."
        ),
        "",
        *table(["topic", "partitions", "key", "value", "written by → read by"], _topics()),
        (
            "Keys are spread by Kafka's default partitioner (murmur2). All topics carry the "
            "broker's time (`message.timestamp.type=LogAppendTime`)."
        ),
        "",
        "## Actions",
        "",
        (
            "What one channel is to carry to one person: JSON of at most "
            f"{actions.MAX_BYTES // 1024} KiB, in the partition of its cause. The header "
            f"`{POSITION}` holds `offset.ordinal` of that cause; readers drop a record that is not "
            "above the last one they saw in the same topic and partition, compared as two whole "
            "numbers. Unknown fields are to be ignored; within a version fields are only added. "
            "Times are ISO 8601 in UTC."
        ),
        "",
        *table(_COLUMNS, fields(Action)),
    ]
    for part in _PARTS:
        lines += [f"### {part.__name__}", "", sentence(part), "", *table(_COLUMNS, fields(part))]
    lines += [
        "## Feedback",
        "",
        (
            "What became of an action. `action_id`, `user_id`, `channel` and `type` are required, "
            "the rest may be left out; `feedback_id` makes a report that arrives twice count "
            "once, and `machine: true` says that a scanner opened or clicked and not the person."
        ),
        "",
        *table(_COLUMNS[:2], [row[:2] for row in fields(Feedback)]),
    ]
    return written(lines)


def _topics() -> list[list[str]]:
    raw = topics.Topic(topics.RAW)
    return [
        [
            f"`{topic.name}`" + ", compacted" * topic.compacted,
            _partitions(topic),
            *CONTENT[topic.name],
        ]
        for topic in (raw, *topics.expected())
    ]


def _partitions(topic: topics.Topic) -> str:
    if topic.partitions is not None:
        return str(topic.partitions)
    if topic.name == topics.EVENTS:
        return f"{topics.PARTITIONS}, chosen once"
    return "any" if topic.name in {topics.RAW, topics.FEEDBACK} else "as `events`"


__all__ = ["CONTENT", "page"]
