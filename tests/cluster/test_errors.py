"""tests/cluster/test_errors.py: what fails, fails in the client as it fails locally.
SPDX-License-Identifier: Apache-2.0

The same exception type, and the local message's first line inside the remote one. After each
failure the cluster must answer the next query rightly.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import polars as pl
import polars_cloud as pc
import pytest
from cluster import Cluster, UpCluster, files_below
from conftest import Remote
from frames import Data
from polars.exceptions import ComputeError
from processes import wait_until
from wire import CLIENT, caller, plan_of, query_ref, refusal, submit_request

NUMBERS = pl.LazyFrame({"a": [1, 2, 3], "s": ["x", "1", "é"]})


@pytest.fixture(autouse=True)
def _the_next_query_is_right(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "cluster" in request.fixturenames:
        cluster: Cluster = request.getfixturevalue("cluster")
        assert cluster.answers()


# --- Polars refuses ----------------------------------------------------------------------------


def missing_column(data: Data) -> pl.LazyFrame:
    return NUMBERS.select("nope")


def missing_column_in_filter(data: Data) -> pl.LazyFrame:
    return NUMBERS.filter(pl.col("größe") > 1)


def bad_cast(data: Data) -> pl.LazyFrame:
    return NUMBERS.select(pl.col("s").cast(pl.Int64))


def cast_overflow(data: Data) -> pl.LazyFrame:
    return NUMBERS.select((pl.col("a") * 200).cast(pl.Int8))


def missing_file(data: Data) -> pl.LazyFrame:
    return pl.scan_parquet(data.path("not there.parquet"))


def missing_csv(data: Data) -> pl.LazyFrame:
    return pl.scan_csv(data.path("not there.csv"))


def empty_glob(data: Data) -> pl.LazyFrame:
    return pl.scan_parquet(data.path("nothing-*.parquet"))


def not_a_parquet_file(data: Data) -> pl.LazyFrame:
    return pl.scan_parquet(data.path("orders.csv"), schema={"a": pl.Int64}).select("a")


def schemas_differ_between_files(data: Data) -> pl.LazyFrame:
    return pl.scan_csv(
        [data.path("orders.csv"), data.path("quoted.csv")], schema={"id": pl.Int64, "key": pl.Int64}
    )


def duplicate_column(data: Data) -> pl.LazyFrame:
    return NUMBERS.select("a", pl.col("a") + 1)


def rename_to_an_existing_column(data: Data) -> pl.LazyFrame:
    return NUMBERS.rename({"a": "s"})


def concat_of_other_schema(data: Data) -> pl.LazyFrame:
    return pl.concat([NUMBERS, pl.LazyFrame({"b": [1.5]})], how="vertical")


def concat_of_unequal_heights(data: Data) -> pl.LazyFrame:
    return pl.concat([NUMBERS, pl.LazyFrame({"b": [1]})], how="horizontal", strict=True)


def invalid_regex(data: Data) -> pl.LazyFrame:
    return NUMBERS.filter(pl.col("s").str.contains("(unclosed"))


def strptime_failure(data: Data) -> pl.LazyFrame:
    return NUMBERS.select(pl.col("s").str.strptime(pl.Date, "%Y-%m-%d", strict=True))


def arithmetic_on_strings(data: Data) -> pl.LazyFrame:
    return NUMBERS.select(pl.col("s") * pl.col("a"))


def shapes_do_not_match(data: Data) -> pl.LazyFrame:
    return NUMBERS.select(pl.col("a").head(2), pl.col("s"))


def out_of_bounds(data: Data) -> pl.LazyFrame:
    return NUMBERS.select(pl.col("a").gather([7]))


def replace_strict_is_incomplete(data: Data) -> pl.LazyFrame:
    return NUMBERS.select(pl.col("a").replace_strict({1: 10}))


def join_of_unequal_types(data: Data) -> pl.LazyFrame:
    return NUMBERS.join(NUMBERS, left_on="a", right_on="s")


def join_validation(data: Data) -> pl.LazyFrame:
    twice = pl.concat([NUMBERS, NUMBERS])
    return twice.join(twice, on="a", validate="1:1")


def unknown_struct_field(data: Data) -> pl.LazyFrame:
    return NUMBERS.select(pl.struct("a", "s").struct.field("nope"))


def unknown_category(data: Data) -> pl.LazyFrame:
    return NUMBERS.select(pl.col("s").cast(pl.Enum(["x", "y"])))


def ambiguous_time(data: Data) -> pl.LazyFrame:
    return NUMBERS.select(
        pl.datetime(2024, 10, 27, 2, 30).dt.replace_time_zone("Europe/Berlin")
    )


def invalid_json(data: Data) -> pl.LazyFrame:
    return pl.LazyFrame({"j": ["{oops"]}).select(pl.col("j").str.json_decode(pl.Struct({"a": pl.Int8})))


def object_column(data: Data) -> pl.LazyFrame:
    return NUMBERS.select(pl.col("a").map_elements(lambda x: object(), return_dtype=pl.Object))


REFUSED = [
    missing_column, missing_column_in_filter, bad_cast, cast_overflow, missing_file, missing_csv,
    empty_glob, not_a_parquet_file, schemas_differ_between_files, duplicate_column,
    rename_to_an_existing_column, concat_of_other_schema, concat_of_unequal_heights, invalid_regex,
    strptime_failure, arithmetic_on_strings, shapes_do_not_match, out_of_bounds,
    replace_strict_is_incomplete, join_of_unequal_types, join_validation, unknown_struct_field,
    unknown_category, ambiguous_time, invalid_json, object_column,
]  # fmt: skip


@pytest.mark.parametrize("build", REFUSED, ids=lambda f: f.__name__)
def test_same_error_as_local(
    build: Callable[[Data], pl.LazyFrame], cluster: UpCluster, remote: Remote, data: Data, folder: Path
) -> None:
    query = build(data)
    try:
        query.sink_parquet(folder / "local.parquet")
    except BaseException as error:
        local = error
    else:
        pytest.fail("the test itself: local Polars accepts this")
    with pytest.raises(BaseException) as caught:
        remote.execute(query)
    assert caught.type is type(local)
    assert first_line(local) in str(caught.value)


def first_line(error: BaseException) -> str:
    """Without the counts of a failed cast: those are of one morsel, of which local Polars has more."""
    return re.sub(r" for \d+ out of \d+ values.*", "", str(error).splitlines()[0])


# --- the user's Python fails -------------------------------------------------------------------


def on_each(function: Callable[[int], object]) -> pl.LazyFrame:
    return NUMBERS.select(pl.col("a").map_elements(function, return_dtype=pl.Int64))


def failure_of(remote: Remote, function: Callable[[int], object]) -> BaseException:
    with pytest.raises(BaseException) as caught:
        remote.execute(on_each(function))
    return caught.value


def test_udf_value_error(cluster: UpCluster, remote: Remote) -> None:
    def fail(x: int) -> int:
        raise ValueError(f"cannot take {x} ü")

    error = failure_of(remote, fail)
    assert "ValueError" in f"{type(error).__name__}: {error}"
    assert "cannot take 1 ü" in str(error)


def test_udf_own_exception_class(cluster: UpCluster, remote: Remote) -> None:
    class TooSmall(Exception):
        pass

    def fail(x: int) -> int:
        raise TooSmall(f"{x} is too small")

    error = failure_of(remote, fail)
    assert isinstance(error, (ComputeError, RuntimeError))
    assert "TooSmall" in str(error) and "1 is too small" in str(error)


def test_udf_error_without_text(cluster: UpCluster, remote: Remote) -> None:
    def fail(x: int) -> int:
        raise KeyError

    error = failure_of(remote, fail)
    assert "KeyError" in f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit], ids=lambda k: k.__name__)
def test_udf_cannot_end_the_client(kind: type[BaseException], cluster: UpCluster, remote: Remote) -> None:
    """`raise SystemExit` in a UDF is an error of the query; the client must not leave with it."""

    def fail(x: int) -> int:
        raise kind("from the UDF")

    error = failure_of(remote, fail)
    assert isinstance(error, Exception), f"{type(error).__name__} would end the client"
    assert kind.__name__ in str(error)


def test_udf_exit_is_an_error(cluster: UpCluster, remote: Remote) -> None:
    error = failure_of(remote, lambda x: sys.exit(3))
    assert isinstance(error, Exception)


def test_udf_error_of_five_megabytes(cluster: UpCluster, remote: Remote) -> None:
    def fail(x: int) -> int:
        raise ValueError("start " + "é" * 2_500_000)

    assert "start éé" in str(failure_of(remote, fail))


def test_udf_error_that_is_not_text(cluster: UpCluster, remote: Remote) -> None:
    def fail(x: int) -> int:
        raise ValueError("before \udcff\x00 after")

    error = str(failure_of(remote, fail))
    assert "before" in error and "after" in error


def test_udf_error_whose_text_fails(cluster: UpCluster, remote: Remote) -> None:
    def fail(x: int) -> int:
        class Rude(Exception):
            def __str__(self) -> str:
                raise RuntimeError("no text from me")

        raise Rude

    assert isinstance(failure_of(remote, fail), Exception)


def test_udf_infinite_recursion(cluster: UpCluster, remote: Remote) -> None:
    def fail(x: int) -> int:
        return fail(x) + 1

    assert "recursion" in str(failure_of(remote, fail)).lower()


def test_udf_of_an_unknown_module(cluster: UpCluster, remote: Remote, folder: Path) -> None:
    (folder / "only_here.py").write_text("def twice(x):\n    return 2 * x\n")
    sys.path.insert(0, str(folder))
    try:
        from only_here import twice  # type: ignore[import-not-found]

        error = failure_of(remote, twice)
    finally:
        sys.path.remove(str(folder))
    assert "only_here" in str(error)


def test_udf_of_wrong_type(cluster: UpCluster, remote: Remote) -> None:
    query = NUMBERS.select(pl.col("a").map_elements(lambda x: "text", return_dtype=pl.Int64))
    with pytest.raises(pl.exceptions.PolarsError):
        remote.execute(query)


def test_udf_prints_and_leaves_no_trace(cluster: UpCluster, remote: Remote) -> None:
    """What a UDF writes to its standard streams disturbs nothing."""

    def chatty(x: int) -> int:
        print("x" * 100_000)
        os.write(1, b"\xff" * 1000)
        os.write(2, b"\x00" * 1000)
        return x

    assert remote.collect(on_each(chatty))["a"].to_list() == [1, 2, 3]


def test_udf_closes_every_descriptor(cluster: UpCluster, remote: Remote) -> None:
    """It loses its link to the worker by that: an error, never a hang."""

    def close_all(x: int) -> int:
        os.closerange(0, 1000)
        return x

    assert isinstance(failure_of(remote, close_all), Exception)


# --- the executor dies -------------------------------------------------------------------------


def test_udf_kills_its_process(cluster: UpCluster, remote: Remote) -> None:
    def die(x: int) -> int:
        import signal

        os.kill(os.getpid(), signal.SIGKILL)
        return x

    error = failure_of(remote, die)
    assert isinstance(error, (ComputeError, RuntimeError))
    assert "executor" in str(error) and ("signal 9" in str(error) or "SIGKILL" in str(error))


def test_udf_exits_its_process(cluster: UpCluster, remote: Remote) -> None:
    assert "executor" in str(failure_of(remote, lambda x: os._exit(3)))


def test_every_worker_that_failed_is_told(cluster: UpCluster, remote: Remote) -> None:
    """Lost on one worker, the task goes to the other."""
    error = failure_of(remote, lambda x: os._exit(3))
    assert isinstance(error.__cause__, BaseExceptionGroup)
    told = [str(one) for one in error.__cause__.exceptions]
    assert [any(f"worker {name}" in text for text in told) for name in ("worker-0", "worker-1")] == [True, True], told


def test_udf_class_with_the_name_of_an_exit(cluster: UpCluster, remote: Remote) -> None:
    """The client looks names up among Python's builtins."""
    for name in ("SystemExit", "exit", "eval"):

        def fail(x: int, name: str = name) -> int:
            raise type(name, (Exception,), {})("print(1)")

        error = failure_of(remote, fail)
        assert isinstance(error, Exception) and name in str(error)


def test_udf_crashes(cluster: UpCluster, remote: Remote) -> None:
    def crash(x: int) -> int:
        import ctypes

        return ctypes.string_at(0)  # type: ignore[return-value]

    error = str(failure_of(remote, crash))
    assert "signal 11" in error or "SIGSEGV" in error


def test_udf_kills_its_process_once(cluster: UpCluster, remote: Remote, folder: Path) -> None:
    """A lost executor is not the query's fault: the query is run again."""
    mark = str(folder / "died")

    def die_once(x: int) -> int:
        import signal

        if not os.path.exists(mark):
            open(mark, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    assert remote.collect(on_each(die_once))["a"].to_list() == [1, 2, 3]
    assert os.path.exists(mark), "the fault did not fire"


@pytest.fixture(scope="module")
def narrow() -> Iterator[UpCluster]:
    """One worker with little memory."""
    cluster = UpCluster("narrow", workers=1, options=["--memory=700MiB"])
    yield cluster
    wrong = cluster.stop()
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


def polars_hoards() -> pl.LazyFrame:
    i = pl.int_range(300_000_000, dtype=pl.Int64)  # 2.4 GB a column, and no operator can stream it
    return pl.LazyFrame({"x": [0]}).select(i.shuffle(seed=1).alias("i")).select(pl.col("i").sort().head(3))


def python_hoards() -> pl.LazyFrame:
    def hoard(x: int) -> int:
        import time

        kept = []
        for _ in range(32):  # 4 GB in three seconds
            kept.append(b"x" * (128 << 20))
            time.sleep(0.1)
        return len(kept)

    return on_each(hoard)


@pytest.mark.parametrize("build", [polars_hoards, python_hoards], ids=lambda f: f.__name__)
def test_out_of_memory(build: Callable[[], pl.LazyFrame], narrow: UpCluster) -> None:
    remote = Remote(narrow)
    with pytest.raises(Exception, match="(?i)memory") as caught:
        remote.execute(build())
    assert not isinstance(caught.value, TimeoutError)
    assert narrow.answers()


# --- plans that no client would send -----------------------------------------------------------


def test_unknown_polars_version(cluster: UpCluster) -> None:
    plan = plan_of(NUMBERS)
    other = plan[:15] + b"0" * 64 + plan[79:]
    with caller(cluster.ports.client) as call, pytest.raises(grpc.RpcError) as caught:
        call.submit(other, polars_version="1.99.9")
    code, details = refusal(caught.value)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details.split(":")[0].isidentifier()
    assert "1.99.9" in details and pl.__version__ in details


def test_functions_of_another_python(cluster: UpCluster) -> None:
    """As if the client's Python were 3.9: a flag, minor, micro, then the pickle."""
    head = bytes([1, sys.version_info.minor, sys.version_info.micro, 0x80])
    plan = plan_of(on_each(lambda x: x))
    assert plan.count(head) == 1
    with caller(cluster.ports.client) as call, pytest.raises(grpc.RpcError) as caught:
        call.submit(plan.replace(head, bytes([1, 9, 18, 0x80])))
    code, details = refusal(caught.value)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith("ComputeError: ") and "Python 3.9.18" in details
    assert f"`floe runtime add {pl.__version__} --python python3.9`" in details


BROKEN_PLANS = {
    "empty": b"",
    "random": bytes((i * 7919 + i // 7) % 256 for i in range(5000)),
    "header_only": plan_of(NUMBERS)[:79],
    "truncated": plan_of(NUMBERS)[:-20],
    "wrong_tag": b"XSL_VERSION" + plan_of(NUMBERS)[11:],
    "deeply_nested": plan_of(NUMBERS)[:79] + b"\x91" * 100_000,
    "false_length": plan_of(NUMBERS)[:79] + b"\xdd\xff\xff\xff\xff",
    "not_a_plan": plan_of(NUMBERS)[:79] + b"\x80",
}


@pytest.mark.parametrize("name", BROKEN_PLANS)
def test_broken_plan(name: str, cluster: UpCluster) -> None:
    """Refused at once, or failed when Polars reads it; never accepted, never a hang."""
    with caller(cluster.ports.client) as call:
        try:
            query_id = call.submit(BROKEN_PLANS[name])
        except grpc.RpcError as error:
            code, details = refusal(error)
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert ":" in details
            return
        call(CLIENT + "GetQueryResult", query_ref(query_id))
        assert call.status(query_id) == 4


BROKEN_REQUESTS = {"ff": b"\xff" * 64, "length": b"\x12\xff\xff\xff\xff\x0f", "empty": b"", "no_plan": b"\x0a\x00"}


@pytest.mark.parametrize("request_bytes", BROKEN_REQUESTS.values(), ids=BROKEN_REQUESTS.keys())
def test_broken_protobuf(request_bytes: bytes, cluster: UpCluster) -> None:
    with caller(cluster.ports.client) as call, pytest.raises(grpc.RpcError) as caught:
        call(CLIENT + "SubmitQuery", request_bytes, {"x-polars-version": pl.__version__})
    assert caught.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL)  # type: ignore[attr-defined]


def test_missing_version_header(cluster: UpCluster) -> None:
    """The plan's own header says enough."""
    with caller(cluster.ports.client) as call:
        answer = call(CLIENT + "SubmitQuery", submit_request(plan_of(NUMBERS)))
        query_id = dict_of(answer)
        call(CLIENT + "GetQueryResult", query_ref(query_id))
        assert call.status(query_id) == 3
        call(CLIENT + "DeleteQueryResult", query_ref(query_id))


def dict_of(submit_answer: bytes) -> str:
    return submit_answer[4:].decode()  # {1: {1: id}}: two heads of two bytes


def test_unknown_method(cluster: UpCluster) -> None:
    with caller(cluster.ports.client) as call, pytest.raises(grpc.RpcError) as caught:
        call(CLIENT + "MakeCoffee", b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", ["GetQueryStatus", "GetQueryResult"])
@pytest.mark.parametrize("query_id", ["3e1a2b44-0000-4000-8000-000000000000", "nonsense", ""])
def test_unknown_query(query_id: str, method: str, cluster: UpCluster) -> None:
    with caller(cluster.ports.client) as call, pytest.raises(grpc.RpcError) as caught:
        call(CLIENT + method, query_ref(query_id))
    assert caught.value.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)  # type: ignore[attr-defined]


# --- sinks -------------------------------------------------------------------------------------


def sink(remote: Remote, path: Path) -> None:
    remote.prepare(NUMBERS, "single_node").sink_parquet(str(path)).await_result()


def test_sink_into_a_missing_folder(cluster: UpCluster, remote: Remote, folder: Path) -> None:
    with pytest.raises(FileNotFoundError) as local:
        NUMBERS.sink_parquet(folder / "no" / "such" / "x.parquet")
    with pytest.raises(type(local.value)):
        sink(remote, folder / "no" / "such" / "x.parquet")


def test_sink_onto_a_folder(cluster: UpCluster, remote: Remote, folder: Path) -> None:
    (folder / "taken").mkdir()
    with pytest.raises(BaseException) as local:
        NUMBERS.sink_parquet(folder / "taken")
    with pytest.raises(local.type):
        sink(remote, folder / "taken")


def test_sink_without_permission(cluster: UpCluster, remote: Remote) -> None:
    """/proc takes no files, not even from root."""
    with pytest.raises(BaseException) as local:
        NUMBERS.sink_parquet("/proc/floe.parquet")
    with pytest.raises(local.type):
        sink(remote, Path("/proc/floe.parquet"))


def test_sink_into_a_relative_path(cluster: UpCluster, remote: Remote) -> None:
    """It would end up wherever a worker stands: refused, or at least not in the scheduler's way."""
    try:
        result = remote.prepare(NUMBERS, "single_node").sink_parquet("floe-relative.parquet").await_result()
    except Exception:
        return
    for location in result.location or []:
        Path(location).unlink(missing_ok=True)


# --- sizes -------------------------------------------------------------------------------------


def test_head_of_huge_rows(cluster: UpCluster, remote: Remote) -> None:
    """60 MB in a few rows: the head may be shortened or absent, the answer is whole."""
    query = pl.LazyFrame({"n": [20_000_000] * 3}).select(s=pl.lit("x").repeat_by("n").list.join(""))
    result = remote.execute(query)
    try:
        head = result.head
        assert head is None or head.height <= 3
    except RuntimeError as error:
        assert "first 3 rows" in str(error)
    lengths = result.lazy().select(pl.col("s").str.len_bytes()).collect()
    assert lengths["s"].to_list() == [20_000_000] * 3


def test_error_without_raising(cluster: UpCluster, remote: Remote) -> None:
    result = remote.submit(missing_column(None)).await_result(raise_on_failure=False)  # type: ignore[arg-type]
    assert result.status == pc.QueryStatus.FAILED
    assert "nope" in "".join(result.finished_task_info.errors)
    with pytest.raises(pl.exceptions.InvalidOperationError):
        result.lazy()


def test_client_that_leaves_early(cluster: UpCluster, folder: Path) -> None:
    """A client that is killed in its long poll disturbs nobody; its query goes on to its end."""

    def results() -> int:
        return sum(p.is_file() for p in files_below(cluster.results))

    before = results()
    program = f"""
import polars as pl, polars_cloud as pc, time
def slow(x):
    open({str(folder / "runs")!r}, "w").close()
    time.sleep(1)
    open({str(folder / "ran")!r}, "w").close()
    return x
ctx = pc.ClusterContext(uri="http://localhost:{cluster.ports.client}")
pl.LazyFrame({{"a": [1]}}).select(pl.col("a").map_elements(slow, return_dtype=pl.Int64)).remote(ctx).execute()
"""
    process = subprocess.Popen([sys.executable, "-c", program])
    wait_until(lambda: (folder / "runs").exists(), "the query runs", 30)
    process.kill()
    process.wait()
    assert cluster.answers()
    wait_until(lambda: (folder / "ran").exists() and results() > before, "the query has ended", 30)
    cluster.expected_leftovers += 1  # nobody is left to delete it
