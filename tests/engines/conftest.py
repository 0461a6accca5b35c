"""What the tests of engines share."""

import pytest

for module in ("contract", "embeds", "ids", "shapes"):
    pytest.register_assert_rewrite(f"tests.engines.{module}")
