"""The station's end of delivery: from the journal to the broker, live verdicts first."""
