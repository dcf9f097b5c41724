"""The job systems, by name."""

from ..system import System
from .apalis import Apalis
from .bullmq import BullMq
from .celery import Celery
from .dramatiq import Dramatiq
from .graphile import Graphile
from .kastrel import Kastrel, KastrelServers
from .pgboss import PgBoss
from .procrastinate import Procrastinate
from .restate import Restate
from .rq import Rq

ALL: list[type[System]] = [
    Kastrel, KastrelServers, Celery, Rq, Dramatiq, Procrastinate, BullMq, Graphile, PgBoss, Restate, Apalis,
]  # fmt: skip
