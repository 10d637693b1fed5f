"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# The same examples every time, on any machine: a test that fails today and passes tomorrow proves nothing.
settings.register_profile(
    "project", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("project")
