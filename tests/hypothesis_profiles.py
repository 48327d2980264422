"""How many random cases: some each time, many with `--hypothesis-profile=long tests/core tests/pipeline`."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "short", max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("long", parent=settings.get_profile("short"), max_examples=5000)
settings.register_profile(
    "unshrunk", parent=settings.get_profile("short"), phases=[Phase.explicit, Phase.generate]
)
if settings.get_current_profile_name() == "default":  # else the command line has chosen
    settings.load_profile("short")
