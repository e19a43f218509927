"""HTTP: commands in; read models, history and live events out."""
