"""What a template can reach while it is rendered: the names it is given, and bounded output.

The library's own context knows two names more, ``now`` and ``today``, which read the clock: the
same log would say other words on another day.
"""

from collections.abc import Mapping
from typing import Any, Final, TextIO, cast

from liquid import BoundTemplate, RenderContext
from liquid.exceptions import OutputStreamLimitError
from liquid.utils import ReadOnlyChainMap

_UNLIMITED: Final = 1 << 62


def render(template: BoundTemplate, names: Mapping[str, object]) -> str:
    """Return the text of a template that is given ``names``; raises what the library raises."""
    output = Output(template.env.output_stream_limit)
    # It is written to and no more; the library asks for a whole file.
    template.render_with_context(Context(template, globals=names), cast("TextIO", output))
    return output.text()


class Scope(ReadOnlyChainMap):
    """Names looked up one mapping after the other; asked first, for most mappings are empty.

    A KeyError of each empty one costs more than the answer.
    """

    def __getitem__(self, key: str) -> object:
        """Return the value of a name; raises KeyError."""
        for names in self._maps:
            if key in names:
                return names[key]
        raise KeyError(key)


class Context(RenderContext):
    """A context of the names that are given, and of those a template assigns or counts."""

    def __init__(self, template: BoundTemplate, **more: Any) -> None:
        """As the library's; a nested one is made by it."""
        super().__init__(template, **more)
        self.scope = Scope(self.locals, self.globals, self.counters)


class Output:
    """Takes text until ``limit`` bytes, as the library's does, which encodes each piece to count.

    Every line end becomes a line feed.
    """

    def __init__(self, limit: int | None) -> None:
        """Start empty; None = no limit."""
        self._left = _UNLIMITED if limit is None else limit
        self._pieces: list[str] = []

    def write(self, text: str) -> int:
        """Take one more piece; raises OutputStreamLimitError beyond the limit."""
        self._left -= len(text) if text.isascii() else len(text.encode())
        if self._left < 0:
            message = "output stream limit reached"
            raise OutputStreamLimitError(message, token=None)
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        self._pieces.append(text)
        return len(text)

    def text(self) -> str:
        """Return all that was written."""
        return "".join(self._pieces)


__all__ = ["render"]
