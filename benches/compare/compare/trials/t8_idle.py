"""T8: memory and wake-ups of a system that has nothing to do."""

import time

from .. import processes
from ..system import System
from ..trial import Column, Result, Sizes, warm_up

NAME = "T8"
TITLE = "Idle: memory (proportional set size) and context switches"
COLUMNS = [
    Column("own", "its processes, MB"),
    Column("servers", "its servers, MB"),
    Column("all", "together, MB"),
    Column("wakeups", "its processes, switches/s", 1),
    Column("all_wakeups", "together, switches/s", 1),
]
WORKERS = 1
LOCKS = False
SETTLE_S = 10


def run(system: System, sizes: Sizes) -> Result:
    warm_up(system)
    time.sleep(SETTLE_S)
    own = system.own_pids()
    servers = system.server_pids()
    begin = time.monotonic()
    before, before_servers = processes.switches(own), processes.switches(servers)
    time.sleep(sizes.idle_s)
    took = time.monotonic() - begin
    of_own = (processes.switches(own) - before) / took
    of_servers = (processes.switches(servers) - before_servers) / took
    memory, memory_of_servers = processes.pss_mb(own), processes.pss_mb(servers)
    return Result(
        {
            "own": memory,
            "servers": memory_of_servers,
            "all": memory + memory_of_servers,
            "wakeups": of_own,
            "all_wakeups": of_own + of_servers,
        }
    )
