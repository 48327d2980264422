"""Every setting of a process: from flags, LATIDO_ variables, a TOML file, or the default, in that order.

Only commands and `wiring` read settings; everything below is given values. Durations are text, such as
`30m` or `1500ms`, and become integer milliseconds. Secrets do not show in `repr`, logs or `latido config`.
"""

from stream.settings.load import churn_of, find_config, load_settings, with_goals
from stream.settings.model import CollectorSettings, KafkaSettings, Settings, policy
from stream.settings.text import SettingsProblem, format_duration, parse_duration

__all__ = [
    "CollectorSettings",
    "KafkaSettings",
    "Settings",
    "SettingsProblem",
    "churn_of",
    "find_config",
    "format_duration",
    "load_settings",
    "parse_duration",
    "policy",
    "with_goals",
]
