"""Real servers for tests and benchmarks: Apache Kafka and redis-server as child processes."""

from tests.servers.real_kafka import RealKafka
from tests.servers.real_redis import RealRedis

__all__ = ["RealKafka", "RealRedis"]
