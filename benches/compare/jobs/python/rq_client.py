import os

from redis import Redis
from rq import Queue, Retry
from rq.command import send_stop_job_command

from client_loop import serve

connection = Redis.from_url(os.environ["REDIS_URL"])
queues = {name: Queue(name, connection=connection) for name in ("a", "b")}
# A retry belongs to one job.
retried = os.environ["COMPARE_PROFILE"] == "no-loss"


def submit(job: int, target: str, tenant: str) -> None:
    options = {"retry": Retry(max=3)} if retried else {}
    queues[tenant].enqueue("job.run", job, target, job_id=f"scan-{job}", job_timeout=14400, **options)


def cancel(job: int) -> None:
    send_stop_job_command(connection, f"scan-{job}")


serve(submit, cancel)
