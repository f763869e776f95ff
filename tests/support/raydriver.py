"""Composes on a Ray cluster of its own, in a process of its own, as often as it is asked to.

Ray's warnings, threads and signals stay in this process. It reads requests as JSON, one to a line,
and answers each with one line; the first line that it writes is the cluster's address.
"""

from __future__ import annotations

import json
import logging
import sys

import teapot
from teapot import MixOptions
from teapot.errors import TeapotError
from teapot.raycluster import ray_engine


def main() -> None:
    """Serve until there are no more requests."""
    answers, sys.stdout = sys.stdout, sys.stderr  # Ray says on stdout whom it has lost
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
             logging_level=logging.ERROR)  # fmt: skip
    print(ray.get_runtime_context().gcs_address, file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        options = MixOptions(engine=ray_engine(**asked["sizes"]), shards=asked["shards"])
        try:
            made = teapot.compose(asked["config"], options, output=asked["output"])
            answer = {"lines": made.data.records}
        except TeapotError as error:
            answer = {"error": str(error), "kind": type(error).__name__}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
