"""latido: live, exact engagement KPIs from Kafka topics, kept in Redis."""

__version__ = "0.1.0"
