"""Graph to Graph: what makes a model smaller or faster without changing an output bit."""
