"""The head: vectors of texts, moved to where what people like together is near."""
