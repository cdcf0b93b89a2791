"""Ids that lead back to the upstream that gave them."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sticky import BUCKETS, ID_BYTES, LOOKED_AT, MAX_IDS, WAYS, Sticky, Watch, in_answer
from tests.fakes.maker import Maker, maker
from tests.hot.gateway import Gateway, Raw, request, running, send

pytestmark = pytest.mark.anyio
RULES = [{"match": "big-*", "upstream": "second"}]


@contextlib.asynccontextmanager
async def two(tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[Gateway, Maker, Maker]]:
    """A gateway in front of two makers, the first of them the default."""
    async with maker("a") as first, maker("b") as second:
        upstreams = [{"name": "second", "base_url": second.url, "api_key": "k"}]
        given = {"upstream": {"base_url": first.url}, "upstreams": upstreams, "models": RULES, **settings}
        async with running(tmp_path, **given) as gateway:
            yield gateway, first, second


async def post(gateway: Gateway, path: str, body: dict[str, Any], **headers: str) -> Raw:
    data = json.dumps(body).encode()
    return await send(gateway, request(path, data, content_type="application/json", **headers))


async def get(gateway: Gateway, path: str) -> Raw:
    return await send(gateway, request(path, method="GET"))


def table(path: Path, *upstreams: str) -> Sticky:
    """A table that knows some upstreams."""
    made = Sticky(path)
    made.known(upstreams)
    return made


async def test_a_response_is_found_where_it_was_made(tmp_path: Path) -> None:
    """Plain, compressed or streamed; also by the next request that names it, and after a restart."""
    async with two(tmp_path) as (gateway, _, second):
        await post(gateway, "/v1/responses", {"model": "big-1", "input": "x"})
        await post(gateway, "/v1/responses", {"model": "big-1", "input": "x"}, accept_encoding="gzip")
        await post(gateway, "/v1/responses", {"model": "big-1", "input": "x", "stream": True})
        for made in list(second.made):
            assert json.loads((await get(gateway, f"/v1/responses/{made}")).body)["by"] == "b"
        again = {"model": "other", "input": "x", "previous_response_id": "resp_b1"}
        assert json.loads((await post(gateway, "/v1/responses", again)).body)["by"] == "b"
        async with running(
            tmp_path, upstreams=[{"name": "second", "base_url": second.url, "api_key": "k"}]
        ) as restarted:
            assert (await get(restarted, "/v1/responses/resp_b1/input_items")).status == 200
    assert len(second.made) == 4


async def test_what_the_default_made_is_asked_of_the_default(tmp_path: Path) -> None:
    """As is what nobody knows."""
    async with two(tmp_path) as (gateway, first, _):
        await post(gateway, "/v1/responses", {"model": "small", "input": "x"})
        assert list(first.made) == ["resp_a1"]
        assert (await get(gateway, "/v1/responses/resp_a1")).status == 200
        assert (await get(gateway, "/v1/responses/resp_b9")).status == 404


async def test_a_batch_follows_its_file(tmp_path: Path) -> None:
    """From the upload to the file of results, though none of these requests names a model."""
    async with two(tmp_path) as (gateway, _, second):
        upload = request("/v1/files", b"--x--", content_type="multipart/form-data", x_gateway_upstream="second")
        file = json.loads((await send(gateway, upload)).body)["id"]
        batch = json.loads((await post(gateway, "/v1/batches", {"input_file_id": file})).body)
        assert batch["by"] == "b"
        assert (await get(gateway, f"/v1/batches/{batch['id']}")).status == 200
        assert (await get(gateway, f"/v1/files/{batch['output_file_id']}/content")).status == 200
        assert set(second.made) == {file, batch["id"], batch["output_file_id"]}


async def test_a_named_upstream_stands_before_an_id(tmp_path: Path) -> None:
    """The client's wish first."""
    async with two(tmp_path) as (gateway, _, _):
        await post(gateway, "/v1/responses", {"model": "big-1", "input": "x"})
        asked = request("/v1/responses/resp_b1", method="GET", x_gateway_upstream="main")
        assert (await send(gateway, asked)).status == 404


async def test_a_small_body_tells_its_model_on_any_route(tmp_path: Path) -> None:
    """To choose the upstream, and to a key that is limited to some models."""
    keys = [{"name": "n", "key": "sk-some", "models": ["big-*"]}]
    async with two(tmp_path, keys=keys) as (gateway, _, second):
        told = await post(gateway, "/v1/files", {"model": "big-2"}, authorization="Bearer sk-some")
        denied = await post(gateway, "/v1/files", {"model": "small"}, authorization="Bearer sk-some")
        assert (told.status, denied.status) == (200, 403)
        assert list(second.made) == ["file_b1"]
        first, *_ = await gateway.journal.arrived(2)
    assert first.call.model == "big-2"
    assert first.call.body == b""


@given(
    st.dictionaries(st.binary(min_size=6, max_size=40), st.sampled_from(["a", "b", "c"]), max_size=60),
    st.binary(min_size=41, max_size=60),
)
def test_the_table_tells_what_it_learned(
    tmp_path_factory: pytest.TempPathFactory, made: dict[bytes, str], new: bytes
) -> None:
    """To another process, too; names that are configured no more are not told."""
    path = tmp_path_factory.mktemp("sticky") / "sticky"
    one, other = table(path, "a", "b", "c"), table(path, "a", "b")
    for each, upstream in made.items():
        one.learn([each], upstream)
    for each, upstream in made.items():
        assert one.find([new, each]) == upstream
        assert other.find([each]) == (upstream if upstream != "c" else "")
    assert one.find([new]) == one.find([]) == ""
    one.close()
    other.close()


def test_the_table_is_bounded_and_keeps_the_latest(tmp_path: Path) -> None:
    """Responses push out no file."""
    known = table(tmp_path / "sticky", "a")
    known.learn([b"file-1"], "a")
    size = (tmp_path / "sticky").stat().st_size
    known.learn((b"resp_%d" % number for number in range(2 * BUCKETS * WAYS)), "a")
    assert known.find([b"file-1"]) == "a"
    assert known.find([b"resp_%d" % (2 * BUCKETS * WAYS - 1)]) == "a"
    assert (tmp_path / "sticky").stat().st_size == size
    known.close()


def test_where_no_file_can_be_it_is_kept_in_memory(tmp_path: Path) -> None:
    """Nothing else fails for it."""
    known = table(tmp_path / "missing" / "sticky", "a")
    known.learn([b"file-1"], "a")
    assert known.find([b"file-1"]) == "a"
    known.close()


def test_ids_in_answers() -> None:
    """Those under names of ids, each once, and not too many of them."""
    body = b'{"id": "resp_1", "error_file_id":"file-2","x":{"id":"resp_1"},"kid":"nothing","grid":"no","idea":"no1234"}'
    assert in_answer(body) == [b"resp_1", b"file-2"]
    many = json.dumps([{"id": f"file-{number}"} for number in range(500)]).encode()
    assert len(in_answer(many)) == MAX_IDS
    assert in_answer(b'{"id":"' + b"x" * (ID_BYTES + 1) + b'"}') == []
    assert in_answer(b" " * LOOKED_AT + b'{"id":"file-9"}') == []


@given(st.lists(st.integers(1, 40), max_size=10), st.booleans(), st.booleans())
def test_an_answer_is_watched_in_any_split(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], zipped: bool, first: bool
) -> None:
    """What stands in it is known before its last piece goes on."""
    known = table(tmp_path_factory.mktemp("sticky") / "sticky", "a")
    body = b'{"object":"x","id":"resp_12345","file_id":"file-6789"}'
    data = gzip.compress(body) if zipped else body
    watch = Watch(known, "a", "gzip" if zipped else "", first=first)
    at = 0
    for cut in cuts:
        watch.feed(data[at : at + cut], ended=False)
        at += cut
    watch.feed(data[at:], ended=True)
    assert known.find([b"resp_12345"]) == "a"
    assert known.find([b"file-6789"]) == ("" if first else "a")
    known.close()
