"""What is shown of a model: examinations, comparisons, reports."""
