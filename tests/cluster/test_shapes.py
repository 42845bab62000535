"""tests/cluster/test_shapes.py: plans aimed at the rules of distribution equal local Polars.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

from functools import cache

import pytest
from conftest import FORCED, Remote, in_turn
from equality import Answer, check, local_answer
from shapes import PAIRS, SHAPES, Shape, Tables


@cache
def expected(shape: Shape, tables: Tables) -> Answer:
    return local_answer(shape.build(tables))


@in_turn(SHAPES, FORCED, each=2)
def test_shape(case: Shape, distributed: Remote, tables: Tables) -> None:
    check(case.build(tables), expected(case, tables), distributed, ordered=case.ordered)


@in_turn(PAIRS, FORCED)
def test_pair(case: Shape, distributed: Remote, tables: Tables) -> None:
    check(case.build(tables), expected(case, tables), distributed, ordered=case.ordered)
