"""The campaigns files of the topic ``artefacts``, by sha256, as the audit reads them."""

import logging
from hashlib import sha256
from typing import Final

from monitoring.audit import terms
from monitoring.audit.reading import Unreadable
from monitoring.audit.terms import Terms

log = logging.getLogger(__name__)

# Models are megabytes and none of the audit's business.
_LARGEST: Final = 1024 * 1024


class Files:
    """Keeps contents by their hash; reads one when settings first name it."""

    def __init__(self) -> None:
        """Nothing has arrived yet."""
        self._contents: dict[str, bytes] = {}
        self._read: dict[str, Terms | None] = {}

    def keep(self, key: bytes | None, value: bytes | None) -> None:
        """Keep an artefact whose bytes have the hash it is named by."""
        if key is None or value is None or len(value) > _LARGEST:
            return
        name = key.decode("ascii", "replace")
        if sha256(value).hexdigest() == name:
            self._contents[name] = value

    def terms(self, name: str) -> Terms | None:
        """Return a campaigns file; None while it has not arrived, or when it cannot be read."""
        if name not in self._read and name in self._contents:
            try:
                self._read[name] = terms.read(self._contents[name])
            except Unreadable as error:
                log.error("%s", error)  # noqa: TRY400 - a sentence, not a trace
                self._read[name] = None
        return self._read.get(name)
