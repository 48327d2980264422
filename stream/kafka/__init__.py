"""The edge to Kafka: the Faust worker, its outbox, the publisher, topics and dead letters."""
