"""Whether a request carries the operator's token; who guesses is made to wait."""

import hmac
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from aiohttp import web

from engine.times import MINUTE, SECOND
from streams.live.routes import error

# Wrong tokens from one address within a minute, after which it must wait.
TRIES: Final = 5
_WITHIN: Final = MINUTE
# Addresses remembered; the one that failed longest ago gives way.
_ADDRESSES: Final = 1_000

UNSET: Final = (
    "this needs an operator's token: set REKINDLE_OPERATOR_TOKEN for the workers and send it as "
    "`Authorization: Bearer`."
)


class Gate:
    """Lets requests with the token through, and nothing else."""

    def __init__(self, token: str | None, clock: Callable[[], int]) -> None:
        """``token`` None = nobody is let through; ``clock``: ms, of any beginning."""
        self._token = None if token is None else token.encode()
        self._clock = clock
        self._failures: OrderedDict[str, deque[int]] = OrderedDict()

    def refusal(self, request: web.Request) -> web.Response | None:
        """Return why a request is not let through; None = it is.

        Only a header counts: a browser sends no header of ours from another site's page, as it
        would a cookie.
        """
        if self._token is None:
            return error(403, "no_token_set", UNSET)
        address = request.remote or ""
        wait = self._wait(address)
        if wait:
            answer = error(429, "too_many_failures", "too many wrong tokens; wait and try again.")
            answer.headers["Retry-After"] = str(wait)
            return answer
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        # surrogates of a broken header must not end in a traceback
        known = given.strip().encode("utf-8", "replace")
        if scheme.lower() != "bearer" or not known:
            answer = error(401, "no_token", "send the operator's token as `Authorization: Bearer`.")
        elif hmac.compare_digest(known, self._token):
            return None
        else:
            self._failed(address)
            answer = error(401, "wrong_token", "the operator's token is not this one.")
        answer.headers["WWW-Authenticate"] = 'Bearer realm="rekindle"'
        return answer

    def _failed(self, address: str) -> None:
        failures = self._failures.pop(address, None) or deque(maxlen=TRIES)
        failures.append(self._clock())
        self._failures[address] = failures
        if len(self._failures) > _ADDRESSES:
            self._failures.popitem(last=False)

    def _wait(self, address: str) -> int:
        """Return how many seconds an address has to wait; 0 = it may try."""
        failures = self._failures.get(address)
        if failures is None or len(failures) < TRIES:
            return 0
        left = failures[0] + _WITHIN - self._clock()
        return 0 if left <= 0 else -(-left // SECOND)
