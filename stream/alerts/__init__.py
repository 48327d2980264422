"""Telling others: alerts and churn signals from Kafka to webhooks, Alertmanager and Apprise."""
