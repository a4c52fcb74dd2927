"""How hypothesis runs: without a clock, for what takes milliseconds alone takes seconds on a busy machine."""

from hypothesis import HealthCheck, settings

settings.register_profile("weaksync", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("weaksync")
