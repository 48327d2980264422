"""Ways in: events over HTTP (`server`), and the producer that `send` and `ingest` use too (`producer`)."""
