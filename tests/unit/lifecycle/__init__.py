"""The functional core: what `decide` answers, walked, searched and read row by row."""

import pytest

pytest.register_assert_rewrite(f"{__name__}.promises", f"{__name__}.lane_world")
