"""tests/cluster/test_distributed.py: distributed queries equal local Polars, in every way.
SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import pytest
from conftest import Remote
from equality import check, local_answer
from frames import FRAMES, Data, Frame


@pytest.mark.parametrize("frame", [f for f in FRAMES if not f.heavy], ids=lambda f: f.name)
def test_frame(frame: Frame, distributed: Remote, data: Data) -> None:
    query = frame.build(data)
    check(query, local_answer(query), distributed, ordered=frame.ordered)
