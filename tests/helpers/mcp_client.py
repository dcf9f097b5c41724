"""A client of the Model Context Protocol for tests: the SDK from PyPI connects to a server and calls
tools. The only argument is a JSON object:

- `command`, `env`: the words of a server on standard input and output, and more variables for it; or
- `url`, `token`: the address of a server over HTTP, and its API token;
- `mode`: `auto` or `legacy`, how the version of the protocol is negotiated;
- `calls`: a list of objects with `tool` and `arguments`. A text `$0.findings.0.id` in the arguments is
  replaced by that part of the document of call 0. With `until`, the call is repeated until this field
  of its document is true, not 0 and not empty.

The output is one JSON object: what the server says about itself, its tools, and for each call whether it
failed and its document.
"""

import asyncio
import json
import sys
import time

from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

PATIENCE = 30


def server_of(wanted):
    if "command" in wanted:
        program, *args = wanted["command"]
        return StdioServerParameters(command=program, args=args, env=wanted["env"])
    headers = {"Authorization": f"Bearer {wanted['token']}"} if wanted.get("token") else None
    return streamable_http_client(wanted["url"], http_client=create_mcp_http_client(headers=headers))


def part_of(value, results):
    if isinstance(value, dict):
        return {name: part_of(one, results) for name, one in value.items()}
    if not isinstance(value, str) or not value.startswith("$"):
        return value
    number, *path = value[1:].split(".")
    found = results[int(number)]["document"]
    for step in path:
        found = found[int(step) if isinstance(found, list) else step]
    return found


async def answer_of(client, call, results):
    arguments = part_of(call["arguments"], results)
    end = time.monotonic() + PATIENCE
    while True:
        answer = await client.call_tool(call["tool"], arguments)
        document = answer.structured_content
        assert json.loads(answer.content[0].text) == document, answer
        if "until" not in call or document.get(call["until"]):
            return {"is_error": answer.is_error, "document": document}
        assert time.monotonic() < end, f"{call} never got there: {document}"
        await asyncio.sleep(0.05)


async def main(wanted):
    async with Client(server_of(wanted), mode=wanted["mode"]) as client:
        tools = (await client.list_tools()).tools
        results = []
        for call in wanted["calls"]:
            results.append(await answer_of(client, call, results))
        said = {
            "server": client.server_info.name,
            "version": client.protocol_version,
            "instructions": client.instructions,
            "tools": {tool.name: tool.annotations.read_only_hint for tool in tools},
            "results": results,
        }
        print(json.dumps(said))


asyncio.run(main(json.loads(sys.argv[1])))
