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
LOOK_S = 1


def run(system: System, sizes: Sizes) -> Result:
    warm_up(system)
    time.sleep(SETTLE_S)
    own = system.own_pids()
    servers = system.server_pids()
    begin = time.monotonic()
    before, before_servers = processes.switches(own), processes.switches(servers)
    of_own = of_servers = 0.0
    # Threads of a pool come and go, so one look at the end would miss some.
    while time.monotonic() - begin < sizes.idle_s:
        time.sleep(LOOK_S)
        now, now_servers = processes.switches(own), processes.switches(servers)
        of_own += processes.fresh_switches(before, now)
        of_servers += processes.fresh_switches(before_servers, now_servers)
        before, before_servers = now, now_servers
    took = time.monotonic() - begin
    of_own, of_servers = of_own / took, of_servers / took
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
