import os

from celery import Celery

import job

app = Celery("compare", broker=os.environ["REDIS_URL"])
app.conf.broker_connection_retry_on_startup = True
if os.environ["COMPARE_PROFILE"] == "no-loss":
    app.conf.task_acks_late = True
    app.conf.task_reject_on_worker_lost = True
    app.conf.worker_prefetch_multiplier = 1


@app.task(name="scan")
def scan(number: int, target: str) -> None:
    job.run(number, target)
