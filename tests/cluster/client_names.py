"""tests/cluster/client_names.py: every public name of the client and every argument, by looking at the package.
SPDX-License-Identifier: Apache-2.0

`QueryResult.head`, `QueryResult.graph`, `QueryResult.graph(show)`, `ClusterContext(uri)`; what is Polars' own begins
with `polars.`. Nothing here knows what Floe can do.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from typing import Any

import polars as pl
import polars_cloud as pc
import polars_cloud.query
import polars_cloud.query.dst
import polars_cloud.query.query

MARKS = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


def roots() -> dict[str, Any]:
    found = {name: getattr(pc, name) for name in pc.__all__ if not name.startswith("_")}
    found |= {name: getattr(pc.query, name) for name in pc.query.__all__}
    destinations = inspect.getmembers(polars_cloud.query.dst, inspect.isclass)
    found |= {name: it for name, it in destinations if it.__module__ == polars_cloud.query.dst.__name__}
    found |= {"DistributionSettings": polars_cloud.query.query.DistributionSettings, "polars.RemoteEngine": pl.RemoteEngine}
    return dict(sorted(found.items()))


def arguments(function: Callable[..., Any]) -> list[str]:
    """Without `self`."""
    found = inspect.signature(function).parameters.values()
    return [MARKS.get(p.kind, "") + p.name for p in found if p.name not in ("self", "cls")]


def of_function(name: str, function: Callable[..., Any]) -> Iterator[str]:
    yield name
    for argument in arguments(function):
        yield f"{name}({argument})"


def of_class(name: str, it: type) -> Iterator[str]:
    """Its constructor, fields and methods. What Python's own enums can is left out."""
    is_enum = issubclass(it, enum.Enum)
    yield from [name] if is_enum or is_dataclass(it) else of_function(name, it)  # its arguments are its fields
    members = dict(inspect.getmembers(it)) | {n: getattr(it, n) for n in vars(it)}  # an enum's dir() has no methods
    fields = {n: None for c in it.__mro__ for n in getattr(c, "__annotations__", {}) if not n.startswith("_")}
    for member, what in {**fields, **members}.items():
        if member.startswith("_") or (is_enum and member in ("name", "value")):
            continue
        yield from of_function(f"{name}.{member}", what) if callable(what) else [f"{name}.{member}"]


def of_polars() -> Iterator[str]:
    """Where Polars itself takes an engine."""
    yield from of_function("polars.LazyFrame.remote", pl.LazyFrame.remote)
    yield "polars.Config.set_engine_affinity"
    for name, method in [*inspect.getmembers(pl.LazyFrame, inspect.isfunction), *inspect.getmembers(pl, inspect.isfunction)]:
        if "engine" in arguments(method) and not name.startswith(("_", "read_")):
            owner = "polars.LazyFrame" if hasattr(pl.LazyFrame, name) else "polars"
            yield f"{owner}.{name}(engine)"


def names() -> list[str]:
    found: list[str] = []
    for name, it in roots().items():
        if inspect.isclass(it):
            found += of_class(name, it)
        elif callable(it):
            found += of_function(name, it)
        else:
            found += [f"{name}.{member}" for member, _ in inspect.getmembers(it, inspect.isclass)]
    return [*dict.fromkeys([*found, *of_polars()])]
