"""What ``gateway up`` prints once everything answers: where to call, where to look, snippets that work as printed."""

from __future__ import annotations

import sys

from gateway.config import Config
from gateway.demo.upstream import MODEL
from gateway.environment import state_dir
from gateway.installkey import admin_token
from gateway.telemetry import say

TEXT = """
  The gateway is up.

  Base URL    {base}/v1
  Dashboards  {base}/dashboards/login?token={token}
  API         {base}/docs
{named}
  Try it:

curl {base}/v1/chat/completions \\
  -H 'content-type: application/json' \\{key_header}
  -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Say hello."}}]}}'

  or, in Python (pip install openai):

from openai import OpenAI

client = OpenAI(base_url="{base}/v1", api_key="{key}")
answer = client.chat.completions.create(
    model="{model}",
    messages=[{{"role": "user", "content": "Say hello."}}],
)
print(answer.choices[0].message.content)
"""


NAMED = "\n  Other machines, and clients that verify, connect by a name that the certificate is for.\n"


def sample_model(config: Config) -> str:
    """A model name that the snippets can use: the demo's, a configured one without wildcards, else a common one."""
    if config.demo:
        return MODEL
    plain = (model.match for model in config.models if not set("*?[") & set(model.match))
    return next(plain, "gpt-4o-mini")


def announce(config: Config) -> None:
    """Print the banner."""
    # A configured key is never printed: the placeholder says what to put in.
    header = "\n  -H 'authorization: Bearer YOUR_GATEWAY_KEY' \\" if config.keys else ""
    say(
        TEXT.format(
            base=config.server.local_url,
            named=NAMED if config.server.tls_cert else "",
            token=admin_token(config.admin_token, state_dir(), config.data_dir),
            model=sample_model(config),
            key="YOUR_GATEWAY_KEY" if config.keys else "none-needed",
            key_header=header,
        ),
        sys.stdout,
    )
