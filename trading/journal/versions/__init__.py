"""How journals of older versions become journals of today."""
