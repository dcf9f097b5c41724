from celery_app import app, scan
from client_loop import serve


def submit(job: int, target: str, tenant: str) -> None:
    scan.apply_async((job, target), task_id=f"scan-{job}", queue=tenant)


def cancel(job: int) -> None:
    app.control.revoke(f"scan-{job}", terminate=True)


serve(submit, cancel)
