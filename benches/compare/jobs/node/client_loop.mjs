// The protocol of a client: see `compare/client.py`.

import { createInterface } from "node:readline";

export async function serve(submit, cancel) {
  const answerTo = async ({ seq, op, job, target, tenant }) => {
    const answer = { seq, job };
    // A double holds the nanoseconds since the start of the machine to a microsecond or better.
    const called = process.hrtime.bigint();
    try {
      await (op === "submit" ? submit(job, target, tenant) : cancel(job));
      answer.answered = Number(process.hrtime.bigint());
    } catch (error) {
      answer.error = `${error.name}: ${error.message}`;
    }
    answer.called = Number(called);
    process.stdout.write(JSON.stringify(answer) + "\n");
  };
  for await (const line of createInterface({ input: process.stdin })) {
    answerTo(JSON.parse(line));
  }
  process.exit(0);
}
