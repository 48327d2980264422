"""Random cases: the number of them is in tests/hypothesis_profiles.py."""

import tests.hypothesis_profiles  # noqa: F401
