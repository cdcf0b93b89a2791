"""curl: the bytes themselves."""

import json
import subprocess

from case import FUNCTION, KEY, MESSAGES, MISSING, MODEL, PROMPT, v1  # noqa: F401


def ask(**body):
    asked = json.dumps({"model": MODEL, "messages": MESSAGES, **body})
    head = ["-H", "content-type: application/json", "-H", f"authorization: Bearer {KEY}"]
    command = ["curl", "-sSN", "-w", "\n%{http_code}", *head, "-d", asked, f"{v1()}/chat/completions"]
    body, _, status = subprocess.run(command, check=True, capture_output=True, text=True).stdout.rpartition("\n")
    return [int(status), body]


version = subprocess.run(["curl", "--version"], check=True, capture_output=True, text=True).stdout.split()[1]
cases = {
    "plain": ask(),
    "stream": ask(stream=True),
    "tool call": ask(tools=[{"type": "function", "function": FUNCTION}]),
    "error": ask(model=MISSING),
}
print(json.dumps({"version": version, "cases": cases}))
