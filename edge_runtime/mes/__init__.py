"""The way to the MES: topics, both ends of the MQTT connection, and their in-memory stand-in."""
