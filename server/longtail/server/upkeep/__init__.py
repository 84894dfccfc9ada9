"""What runs beside serving and may fail without ending it."""
