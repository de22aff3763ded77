"""The way to the MES: topics, the MQTT connection, its in-memory stand-in, and delivery."""
