"""The only SQL: schema, writer, readers."""
