"""What is right and wrong about a station before it runs, and what a person does about it."""
