import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

import job

dramatiq.set_broker(RedisBroker(url=os.environ["REDIS_URL"]))


@dramatiq.actor(actor_name="scan", time_limit=14_400_000)
def scan(number: int, target: str) -> None:
    job.run(number, target)
