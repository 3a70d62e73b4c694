"""What several test modules share."""

from __future__ import annotations

import os

import pytest

from dmmlab.guest.cache import GuestKernel, find_kernel
from dmmlab.guest.errors import GuestError


@pytest.fixture(scope="session")
def live_kernel() -> GuestKernel:
    """The cached guest kernel; skips with the reason if there is none, fails if DMMLAB_REQUIRE_LIVE=1."""
    try:
        return find_kernel("virtual")
    except GuestError as error:
        if os.environ.get("DMMLAB_REQUIRE_LIVE") == "1":
            pytest.fail(f"DMMLAB_REQUIRE_LIVE=1 and {error}")
        pytest.skip(str(error))
