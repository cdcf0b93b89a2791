"""What went wrong with a judge, in a word that is safe to keep: never a message, which may quote the model."""

from __future__ import annotations

from collections.abc import Iterator

from evaluators.verdict import Away, Unjudged

MAX_CHAIN = 10


def code(error: BaseException) -> str:
    """The code of a failure. Raises ``Away`` when the gateway could not be reached, which says nothing of a judge."""
    # Imported here: the process that judges says by itself, and better, when these are missing.
    import httpx2
    import openai

    for cause in _chain(error):
        if isinstance(cause, Unjudged):
            return cause.code
        if isinstance(cause, openai.APITimeoutError | TimeoutError):
            return "timeout"
        if isinstance(cause, openai.APIStatusError):
            return f"upstream_{cause.status_code}"
        if isinstance(cause, httpx2.ConnectError):
            raise Away from error
    if any(isinstance(cause, openai.APIConnectionError) for cause in _chain(error)):
        return "connection_lost"
    if any(isinstance(cause, ValueError) for cause in _chain(error)):
        return "unreadable"
    return "error"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what caused it, libraries' wrappings included."""
    for _ in range(MAX_CHAIN):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__
