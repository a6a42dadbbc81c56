"""OpenAI's API over the platform's models and characters: `/v1/chat/completions`,
`/v1/completions`, `/v1/models`. Nothing of it is kept in the store."""
