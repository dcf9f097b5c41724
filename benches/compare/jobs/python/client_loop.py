"""The protocol of a client: see `compare/client.py`."""

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from collections.abc import Callable

THREADS = 8


def serve(submit: Callable[[int, str, str], int | None], cancel: Callable[[int], None]) -> None:
    """Answers requests until the input ends. `submit` may return an id that the system gave."""
    lock = threading.Lock()

    def handle(request: dict) -> None:
        answer = {"seq": request["seq"], "job": request["job"]}
        try:
            answer["called"] = time.monotonic_ns()
            if request["op"] == "submit":
                given = submit(request["job"], request["target"], request["tenant"])
                answer["job"] = request["job"] if given is None else given
            else:
                cancel(request["job"])
            answer["answered"] = time.monotonic_ns()
        except Exception as error:
            answer["error"] = f"{type(error).__name__}: {error}"
        with lock:
            print(json.dumps(answer), flush=True)

    with ThreadPoolExecutor(THREADS) as pool:
        for line in sys.stdin:
            pool.submit(handle, json.loads(line))
