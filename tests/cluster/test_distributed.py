"""tests/cluster/test_distributed.py: the queries of frames.py, distributed, equal local Polars.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

from conftest import WAYS, Remote, in_turn
from equality import check, local_answer
from frames import FRAMES, Data, Frame


@in_turn([f for f in FRAMES if not f.heavy], WAYS, each=2)
def test_frame(case: Frame, distributed: Remote, data: Data) -> None:
    query = case.build(data)
    check(query, local_answer(query), distributed, ordered=case.ordered)
