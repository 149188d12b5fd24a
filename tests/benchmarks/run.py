"""`make bench`: the bench on a Kafka and a Redis of its own, or on those the settings name.

`python -m tests.benchmarks.run [OPTIONS OF rekindle bench]`
"""

import re
import signal
import subprocess
import sys
from contextlib import ExitStack

from streams.settings import PREFIX, Deployment
from tests.support.kafka import POM, KafkaBroker, KafkaUnavailable
from tests.support.redis_server import RedisServer

_MEMORY = "512 MB"


def main(options: list[str]) -> int:
    """Start what is not named and run the command on it."""
    environ = Deployment.of_child()
    with ExitStack() as stack:
        added: dict[str, str] = {}
        if not environ.get(f"{PREFIX}KAFKA"):
            try:
                added["KAFKA"] = stack.enter_context(KafkaBroker()).bootstrap
            except KafkaUnavailable as missing:
                print(missing, file=sys.stderr)
                return 1
            if "--note" not in options:
                version = re.search(r"<kafka.version>([^<]+)<", POM.read_text())
                kafka = f"Kafka {version[1] if version else ''}, one broker, {_MEMORY} of heap"
                options = [*options, "--note", kafka]
        if not environ.get(f"{PREFIX}REDIS"):
            added["REDIS"] = stack.enter_context(RedisServer(tcp=True)).url
        command = [sys.executable, "-m", "streams.cli", "bench", *options]
        bench = subprocess.Popen(command, env=Deployment.of_child(**added))
        signal.signal(signal.SIGTERM, lambda *_: bench.terminate())
        while True:
            try:
                return bench.wait()
            except KeyboardInterrupt:
                continue  # the bench had the same signal and cleans up; its servers stay until then


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
