import asyncio
import os
import signal
import time

import procrastinate
import psycopg
from psycopg_pool import AsyncConnectionPool

import job

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))
no_loss = os.environ["COMPARE_PROFILE"] == "no-loss"
_pool: AsyncConnectionPool | None = None


async def store(number: int, pid: int, code: int) -> None:
    global _pool
    if _pool is None:
        pool = AsyncConnectionPool(
            os.environ["DATABASE_URL"],
            min_size=1,
            max_size=4,
            open=False,
            kwargs={"autocommit": True},
        )
        await pool.open()
        _pool = pool
    give_up = time.monotonic() + job.STORE_LIMIT_S
    while True:
        try:
            async with _pool.connection() as connection:
                await connection.execute(job.INSERT, (number, pid, code))
                return
        except psycopg.OperationalError:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(job.STORE_PAUSE_S)


@app.task(name="scan", retry=procrastinate.RetryStrategy(max_attempts=3) if no_loss else False)
async def scan(number: int, target: str) -> None:
    if target == "noop":
        return
    with job.log(number) as output:
        process = await asyncio.create_subprocess_exec(
            *job.command(number, target),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
        )
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    await store(number, process.pid, code)


if no_loss:

    @app.periodic(cron="* * * * *")
    @app.task(queueing_lock="retry_stalled_jobs", pass_context=True)
    async def retry_stalled_jobs(context: procrastinate.JobContext, timestamp: int) -> None:
        for stalled in await app.job_manager.get_stalled_jobs():
            await app.job_manager.retry_job(stalled)
