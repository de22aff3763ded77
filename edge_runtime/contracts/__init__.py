"""The vocabulary that crosses rooms and floors: frames, verdicts, station health, bundle manifests.

Frozen and validated on construction. What leaves the process (MQTT payload, journal row, manifest) is a
pydantic model whose JSON Schema is generated into `docs/schemas/`; what stays inside is a slotted
dataclass. Nothing here does I/O, and nothing here imports another room.
"""
