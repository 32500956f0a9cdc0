"""The only inbound HTTP: one base URL for any OpenAI client, and the feedback endpoint."""
