"""From a request to its answer: the wish, the person, the candidates, their relevance, the list."""
