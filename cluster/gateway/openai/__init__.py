"""OpenAI's wire format: requests to turns, pieces to chunks and messages.  No network here."""
