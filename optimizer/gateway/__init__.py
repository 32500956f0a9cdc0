"""The only outbound HTTP: thin clients for Portkey, OpenRouter and OpenAI-compatible servers."""
