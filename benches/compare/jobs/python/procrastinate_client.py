from client_loop import serve
from procrastinate_app import app, scan

handles: dict[int, int] = {}


def submit(job: int, target: str, tenant: str) -> None:
    handles[job] = scan.defer(number=job, target=target)


def cancel(job: int) -> None:
    if not app.job_manager.cancel_job_by_id(handles[job], abort=True):
        raise RuntimeError("the job was not running")


with app.open():
    serve(submit, cancel)
