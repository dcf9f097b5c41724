from client_loop import serve
from dramatiq_app import scan


def submit(job: int, target: str, tenant: str) -> None:
    scan.send(job, target)


def cancel(job: int) -> None:
    raise NotImplementedError("Dramatiq has no call that ends a running job")


serve(submit, cancel)
