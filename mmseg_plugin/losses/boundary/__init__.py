"""Loss modules, registered in MODELS on import."""
